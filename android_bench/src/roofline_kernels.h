// Loops that do one thing as fast as the CPU can: the peaks that layers are held against.
#pragma once

#include <cstddef>
#include <cstdint>
#include <vector>

namespace bench {

// Multiply-adds on registers alone, on enough independent sums that none waits for another.
struct MultiplyAdd {
    const char* arithmetic;   // fp32, fp16 or int8
    const char* instruction;  // as the assembler names it
    int macs;                 // multiply-adds of one iteration
    // Adds kProduct to a sum at each multiply-add; returns all sums together.
    double (*run)(int64_t iterations);
};

static const int kProduct = 6;

// For each arithmetic the instruction that ncnn's kernels of this build use on this CPU.
std::vector<MultiplyAdd> multiply_adds();

// Sums `size` bytes of 32-bit integers; size is a multiple of kMemoryStep.
uint32_t read_memory(const uint32_t* from, size_t size);

// Copies `size` bytes, adding 1 to each 32-bit integer; the same rule for the size.
void copy_memory(const uint32_t* from, uint32_t* to, size_t size);

static const size_t kMemoryStep = 256;

}  // namespace bench
