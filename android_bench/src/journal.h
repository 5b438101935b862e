// Lines of JSON that go out as things happen, so that an end at any moment loses nothing before it.
#pragma once

#include <string>

namespace bench {

class Journal {
public:
    // Write to standard output where `stream` says so, and to a new file unless `path` is empty.
    // Throws Error(bad_file) if the file cannot be made.
    Journal(const std::string& path, bool stream);
    ~Journal();
    Journal(const Journal&) = delete;
    Journal& operator=(const Journal&) = delete;

    // Append a line at once, the file first: a reader of standard output may have gone.
    // Throws Error(bad_file) if either cannot be written.
    void write(const std::string& line) const;

private:
    std::string path_;
    bool stream_;
    int file_ = -1;
};

}  // namespace bench
