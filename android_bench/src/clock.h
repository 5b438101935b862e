// Wall time and CPU time.
#pragma once

#include <errno.h>
#include <time.h>

namespace bench {

// Milliseconds of CLOCK_MONOTONIC.
inline double now_ms()
{
    timespec time;
    clock_gettime(CLOCK_MONOTONIC, &time);
    return time.tv_sec * 1e3 + time.tv_nsec * 1e-6;
}

// Milliseconds that this process's threads have run, all together.
inline double cpu_ms()
{
    timespec time;
    clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &time);
    return time.tv_sec * 1e3 + time.tv_nsec * 1e-6;
}

// Sleep until now_ms() is at least `moment`.
inline void sleep_until_ms(double moment)
{
    timespec time;
    time.tv_sec = static_cast<time_t>(moment / 1e3);
    time.tv_nsec = static_cast<long>((moment - time.tv_sec * 1e3) * 1e6);
    while (clock_nanosleep(CLOCK_MONOTONIC, TIMER_ABSTIME, &time, nullptr) == EINTR) {
    }
}

}  // namespace bench
