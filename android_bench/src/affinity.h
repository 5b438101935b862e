// Which CPUs the process may run on, for all of its threads.
#pragma once

#include <sched.h>

#include <optional>
#include <string>

namespace bench {

// Read a mask such as "f0" or "0xf0": bit i is CPU i. Nothing for text that is not a mask, is
// empty of CPUs, or names a CPU above CPU_SETSIZE.
std::optional<cpu_set_t> parse_cpu_mask(const std::string& text);

// Lower-case hexadecimal without leading zeros or prefix.
std::string format_cpu_mask(const cpu_set_t& mask);

// The calling thread's mask, from sched_getaffinity.
cpu_set_t current_affinity();

// Ask for `mask` on every thread of the process, the pool of ncnn included, and return what was
// obtained: the union of the masks of all threads, so that a thread left elsewhere shows. The
// kernel may refuse (EINVAL where cpusets or hotplug leave none of the CPUs); that is no error here.
cpu_set_t set_affinity_of_all_threads(const cpu_set_t& mask);

}  // namespace bench
