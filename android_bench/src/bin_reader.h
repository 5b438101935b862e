// A .bin file as ncnn reads it.
#pragma once

#include <datareader.h>
#include <stdio.h>

#include <string>

namespace bench {

// Ends the load, by Error(bad_file), as soon as ncnn asks for more than the file holds: ncnn allocates
// before it reads, and a corrupt .param can ask for gigabytes.
class BinReader : public ncnn::DataReader {
public:
    explicit BinReader(const std::string& path);
    ~BinReader() override;
    BinReader(const BinReader&) = delete;
    BinReader& operator=(const BinReader&) = delete;

    // ncnn asks for a reference first, with the size that it is about to allocate and read; it gets none.
    size_t reference(size_t size, const void** buffer) const override;

    size_t read(void* buffer, size_t size) const override;

    // Bytes not read yet.
    size_t remaining() const { return remaining_; }

private:
    void check(size_t size) const;

    std::string path_;
    mutable size_t remaining_;
    FILE* file_;
};

}  // namespace bench
