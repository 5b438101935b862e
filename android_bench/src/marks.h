// Says to whoever counts instructions from outside where an inference begins and ends.
#pragma once

#include <cstddef>

#include "configuration.h"

namespace bench {

enum class Mark { begin = 1, layer = 2, end = 3 };

// A system call that nothing comes of, with words in its arguments that an emulator's plugin knows
// (../plugin/count_instructions.c). `number` is the configuration's; a layer has none.
void mark(Mark kind, size_t number = 0);

// Runs a configuration once on each of its samples between marks, and, where it has a profiler, once
// more with a mark behind each layer.
void run_between_marks(const Configuration& configuration, size_t number);

}  // namespace bench
