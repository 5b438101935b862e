#include "bin_reader.h"

#include <errno.h>
#include <string.h>

#include "error.h"
#include "files.h"

namespace bench {

BinReader::BinReader(const std::string& path)
    : path_(path), remaining_(file_size(path)), file_(fopen(path.c_str(), "rb"))
{
    if (!file_) throw Error(ExitCode::bad_file, path + ": " + strerror(errno));
}

BinReader::~BinReader() { fclose(file_); }

size_t BinReader::reference(size_t size, const void**) const
{
    check(size);
    return 0;
}

size_t BinReader::read(void* buffer, size_t size) const
{
    check(size);
    const size_t count = fread(buffer, 1, size, file_);
    remaining_ -= count;
    return count;
}

void BinReader::check(size_t size) const
{
    if (size > remaining_) throw Error(ExitCode::bad_file, path_ + ": shorter than its .param needs");
}

}  // namespace bench
