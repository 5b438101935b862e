// NumPy's .npy files of float32, format 1.0 and 2.0:
// https://numpy.org/doc/stable/reference/generated/numpy.lib.format.html
#pragma once

#include <string>
#include <vector>

namespace bench {

struct Array {
    std::vector<size_t> shape;
    std::vector<float> values;  // C order
};

// Throws Error(bad_file) for anything but little-endian float32 in C order with 2 to 4 dimensions,
// none of them 0, and for files shorter or longer than their header says.
Array read_npy(const std::string& path);

// Written as format 1.0, atomically.
void write_npy(const std::string& path, const Array& array);

}  // namespace bench
