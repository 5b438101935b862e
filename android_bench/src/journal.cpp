#include "journal.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <unistd.h>

#include "error.h"

namespace bench {

static void write_all(int file, const std::string& text, const std::string& name)
{
    size_t done = 0;
    while (done < text.size()) {
        const ssize_t written = ::write(file, text.data() + done, text.size() - done);
        if (written < 0 && errno == EINTR) continue;
        if (written < 0) throw Error(ExitCode::bad_file, "cannot write to " + name + ": " + strerror(errno));
        done += static_cast<size_t>(written);
    }
}

Journal::Journal(const std::string& path, bool stream) : path_(path), stream_(stream)
{
    if (path.empty()) return;
    file_ = open(path.c_str(), O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0644);
    if (file_ < 0) throw Error(ExitCode::bad_file, "cannot write to " + path + ": " + strerror(errno));
}

Journal::~Journal()
{
    if (file_ >= 0) close(file_);
}

void Journal::write(const std::string& line) const
{
    if (file_ >= 0) write_all(file_, line + "\n", path_);
    if (stream_) write_all(STDOUT_FILENO, line + "\n", "standard output");
}

}  // namespace bench
