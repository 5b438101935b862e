#include "affinity.h"

#include <dirent.h>
#include <stdlib.h>
#include <sys/types.h>

#include <algorithm>
#include <vector>

namespace bench {

static int hex_digit(char c)
{
    if (c >= '0' && c <= '9') return c - '0';
    if (c >= 'a' && c <= 'f') return c - 'a' + 10;
    if (c >= 'A' && c <= 'F') return c - 'A' + 10;
    return -1;
}

std::optional<cpu_set_t> parse_cpu_mask(const std::string& text)
{
    const bool prefixed = text.size() > 2 && text[0] == '0' && (text[1] == 'x' || text[1] == 'X');
    const std::string digits = prefixed ? text.substr(2) : text;
    cpu_set_t mask;
    CPU_ZERO(&mask);
    for (size_t i = 0; i < digits.size(); i++) {
        const int digit = hex_digit(digits[digits.size() - 1 - i]);
        if (digit < 0) return std::nullopt;
        for (int bit = 0; bit < 4; bit++) {
            if (!(digit & (1 << bit))) continue;
            if (i * 4 + bit >= CPU_SETSIZE) return std::nullopt;
            CPU_SET(i * 4 + bit, &mask);
        }
    }
    if (CPU_COUNT(&mask) == 0) return std::nullopt;
    return mask;
}

std::string format_cpu_mask(const cpu_set_t& mask)
{
    std::string digits;
    for (int first = 0; first < CPU_SETSIZE; first += 4) {
        int digit = 0;
        for (int bit = 0; bit < 4; bit++) {
            if (CPU_ISSET(first + bit, &mask)) digit |= 1 << bit;
        }
        digits.push_back("0123456789abcdef"[digit]);
    }
    while (digits.size() > 1 && digits.back() == '0') digits.pop_back();
    std::reverse(digits.begin(), digits.end());
    return digits;
}

cpu_set_t current_affinity()
{
    cpu_set_t mask;
    CPU_ZERO(&mask);
    sched_getaffinity(0, sizeof(mask), &mask);
    return mask;
}

static std::vector<pid_t> thread_ids()
{
    std::vector<pid_t> ids;
    DIR* folder = opendir("/proc/self/task");
    if (!folder) return {0};  // 0 is the calling thread
    while (const dirent* entry = readdir(folder)) {
        const pid_t id = static_cast<pid_t>(atoi(entry->d_name));
        if (id > 0) ids.push_back(id);
    }
    closedir(folder);
    return ids;
}

cpu_set_t set_affinity_of_all_threads(const cpu_set_t& mask)
{
    cpu_set_t obtained;
    CPU_ZERO(&obtained);
    for (const pid_t id : thread_ids()) {
        sched_setaffinity(id, sizeof(mask), &mask);
        cpu_set_t of_thread;
        CPU_ZERO(&of_thread);
        if (sched_getaffinity(id, sizeof(of_thread), &of_thread) >= 0) {
            CPU_OR(&obtained, &obtained, &of_thread);
        }
    }
    return obtained;
}

}  // namespace bench
