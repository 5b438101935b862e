// The last resort: ncnn trusts much of what it reads, and a corrupt model can make it fault. The
// process then still ends with a message and a documented exit code.
#pragma once

#include <string>

#include "error.h"

namespace bench {

void install_crash_handler();

// What a fault from now on is reported as: "android_bench: error: SIGSEGV while <activity>".
void set_activity(ExitCode code, const std::string& activity);

}  // namespace bench
