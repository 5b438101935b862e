// What it takes the system to start this program.
#pragma once

#include <optional>

namespace bench {

// Milliseconds from exec to main. To know it the program executes itself once more, with the moment
// in its environment; nothing is returned where it cannot (under an emulator, say).
std::optional<double> time_from_exec_ms(char** argv);

}  // namespace bench
