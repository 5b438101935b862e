// What this device could do at most: multiply-adds a second, and bytes a second out of its caches and memory.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

namespace bench {

struct Peak {
    std::string arithmetic;   // fp32, fp16 or int8
    std::string instruction;  // the one that was measured
    int threads;
    double gmacs;  // 10^9 multiply-adds a second, of all threads together
};

struct Bandwidth {
    int64_t bytes;  // of the working set, all threads together
    int threads;
    double read_gbs;  // 10^9 bytes a second
    double copy_gbs;  // read and written bytes both count
};

struct Roofline {
    std::vector<Peak> peaks;
    std::vector<Bandwidth> bandwidths;
};

// Measure with one thread and with `threads`; takes a second or two for each.
// Throws Error(inference_failed) if a kernel does not compute what it should.
Roofline measure_roofline(int threads);

}  // namespace bench
