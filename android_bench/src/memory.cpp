#include "memory.h"

#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/resource.h>
#include <unistd.h>

namespace bench {

bool reset_peak_memory()
{
    const int file = open("/proc/self/clear_refs", O_WRONLY | O_CLOEXEC);
    if (file < 0) return false;
    const bool written = write(file, "5", 1) == 1;
    close(file);
    return written;
}

// A "Name:   1234 kB" line of /proc/self/status, in bytes.
static std::optional<int64_t> status_field(const char* name)
{
    FILE* file = fopen("/proc/self/status", "r");
    if (!file) return std::nullopt;
    std::optional<int64_t> bytes;
    char line[256];
    const size_t name_length = strlen(name);
    while (!bytes && fgets(line, sizeof(line), file)) {
        long long kibibytes = 0;
        if (strncmp(line, name, name_length) == 0 && sscanf(line + name_length, ": %lld kB", &kibibytes) == 1) {
            bytes = kibibytes * 1024;
        }
    }
    fclose(file);
    return bytes;
}

std::optional<int64_t> peak_memory() { return status_field("VmHWM"); }

std::optional<int64_t> present_memory() { return status_field("VmRSS"); }

void limit_further_memory(uint64_t bytes)
{
    rlimit limit;
    const std::optional<int64_t> present = status_field("VmSize");
    if (!present || getrlimit(RLIMIT_AS, &limit) != 0) return;
    const rlim_t wanted = static_cast<rlim_t>(*present + bytes);
    if (limit.rlim_cur != RLIM_INFINITY && limit.rlim_cur <= wanted) return;
    limit.rlim_cur = wanted;
    setrlimit(RLIMIT_AS, &limit);
}

}  // namespace bench
