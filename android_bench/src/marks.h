// Says to whoever counts instructions from outside where an inference begins and ends.
#pragma once

#include <cstddef>

namespace bench {

enum class Mark { begin = 1, layer = 2, end = 3 };

// A system call that nothing comes of, with words in its arguments that an emulator's plugin knows
// (../plugin/count_instructions.c). `number` is the configuration's; a layer has none.
void mark(Mark kind, size_t number = 0);

}  // namespace bench
