// What the program prints.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "arguments.h"
#include "configuration.h"

namespace bench {

// The result of a run, schema 1.
std::string result_document(const Arguments& arguments, const std::vector<Configuration>& configurations,
                            size_t samples, int64_t peak_memory_bytes);

// {"version": ..., "ncnn": ..., "abi": ..., "compiler": ...}
std::string version_document();

// The layer types of this build, as a list.
std::string layers_document();

}  // namespace bench
