// Numbers that the system shows in files, such as clocks and temperatures, read now and then.
#pragma once

#include <optional>
#include <string>
#include <utility>
#include <vector>

namespace bench {

struct Reading {
    double at_ms;                               // of CLOCK_MONOTONIC
    std::vector<std::optional<double>> values;  // in the order of the files; nothing where one can't be read
};

class Watch {
public:
    // `files` are (name, path).
    Watch(const std::vector<std::pair<std::string, std::string>>& files, int every_ms);

    // Read all files if that is due, or at any rate if `at_once`; returns nothing where it is not,
    // or where there are no files.
    std::optional<Reading> read(bool at_once = false);

private:
    std::vector<std::string> paths_;
    double every_ms_;
    double next_ms_ = 0;
};

}  // namespace bench
