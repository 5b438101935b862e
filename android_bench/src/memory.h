// Resident memory of this process, from /proc.
#pragma once

#include <cstddef>
#include <cstdint>
#include <optional>

namespace bench {

// Start the kernel's peak over at the present size (proc_pid_clear_refs(5)); false where it can't.
bool reset_peak_memory();

// Peak and present resident size in bytes; nothing where /proc does not say.
std::optional<int64_t> peak_memory();
std::optional<int64_t> present_memory();

// Bound the address space to `bytes` more than it has now, so that a corrupt file that asks for more
// fails where it asks. (An allocator may have reserved gigabytes already: Android's scudo does.)
void limit_further_memory(uint64_t bytes);

}  // namespace bench
