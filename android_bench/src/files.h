// Files in and out.
#pragma once

#include <cstddef>
#include <string>

namespace bench {

// The whole of a regular file. Throws Error(bad_file) if it is none, cannot be read, or is larger
// than `max_bytes`.
std::string read_file(const std::string& path, size_t max_bytes);

// Size in bytes of a regular file; throws Error(bad_file) if it is none.
size_t file_size(const std::string& path);

// Write beside the path, then rename, so that a reader never sees half a file.
void write_file(const std::string& path, const std::string& content);

// Make the folder if it is not there; its parent must be.
void make_folder(const std::string& path);

}  // namespace bench
