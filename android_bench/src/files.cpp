#include "files.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include <memory>

#include "error.h"

namespace bench {

struct CloseFile {
    void operator()(FILE* file) const { fclose(file); }
};
using File = std::unique_ptr<FILE, CloseFile>;

static Error file_error(const std::string& path, const std::string& what)
{
    return Error(ExitCode::bad_file, path + ": " + what);
}

static Error system_error(const std::string& path)
{
    return file_error(path, strerror(errno));
}

size_t file_size(const std::string& path)
{
    struct stat status;
    if (stat(path.c_str(), &status) != 0) throw system_error(path);
    if (!S_ISREG(status.st_mode)) throw file_error(path, "not a regular file");
    return static_cast<size_t>(status.st_size);
}

std::string read_file(const std::string& path, size_t max_bytes)
{
    const size_t size = file_size(path);
    if (size > max_bytes) {
        throw file_error(path, std::to_string(size) + " bytes, more than the " + std::to_string(max_bytes) +
                                   " that are taken");
    }
    const File file(fopen(path.c_str(), "rb"));
    if (!file) throw system_error(path);
    std::string content(size, '\0');
    if (fread(content.data(), 1, size, file.get()) != size) throw file_error(path, "cannot be read to its end");
    return content;
}

void write_file(const std::string& path, const std::string& content)
{
    const std::string temporary = path + ".part";
    {
        const File file(fopen(temporary.c_str(), "wb"));
        if (!file) throw system_error(temporary);
        const bool written = fwrite(content.data(), 1, content.size(), file.get()) == content.size();
        if (!written || fflush(file.get()) != 0) {
            const Error error = system_error(temporary);
            unlink(temporary.c_str());
            throw error;
        }
    }
    if (rename(temporary.c_str(), path.c_str()) != 0) {
        const Error error = system_error(path);
        unlink(temporary.c_str());
        throw error;
    }
}

void make_folder(const std::string& path)
{
    if (mkdir(path.c_str(), 0755) != 0 && errno != EEXIST) throw system_error(path);
}

}  // namespace bench
