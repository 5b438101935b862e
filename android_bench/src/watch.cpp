#include "watch.h"

#include <fcntl.h>
#include <stdlib.h>
#include <unistd.h>

#include "clock.h"

namespace bench {

Watch::Watch(const std::vector<std::pair<std::string, std::string>>& files, int every_ms) : every_ms_(every_ms)
{
    for (const auto& file : files) paths_.push_back(file.second);
}

// Opened anew each time: a file of sysfs may go when a core goes offline, and come back.
static std::optional<double> read_number(const std::string& path)
{
    const int file = open(path.c_str(), O_RDONLY | O_CLOEXEC);
    if (file < 0) return std::nullopt;
    char text[64];
    const ssize_t size = ::read(file, text, sizeof(text) - 1);
    close(file);
    if (size <= 0) return std::nullopt;
    text[size] = '\0';
    char* end = text;
    const double value = strtod(text, &end);
    if (end == text) return std::nullopt;
    return value;
}

std::optional<Reading> Watch::read(bool at_once)
{
    const double now = now_ms();
    if (paths_.empty() || (!at_once && now < next_ms_)) return std::nullopt;
    next_ms_ = now + every_ms_;
    Reading reading;
    reading.at_ms = now;
    for (const std::string& path : paths_) reading.values.push_back(read_number(path));
    return reading;
}

}  // namespace bench
