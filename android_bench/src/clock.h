// Wall time.
#pragma once

#include <time.h>

namespace bench {

// Milliseconds of CLOCK_MONOTONIC.
inline double now_ms()
{
    timespec time;
    clock_gettime(CLOCK_MONOTONIC, &time);
    return time.tv_sec * 1e3 + time.tv_nsec * 1e-6;
}

}  // namespace bench
