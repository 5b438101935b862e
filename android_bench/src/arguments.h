// The command line.
#pragma once

#include <sched.h>

#include <cstdint>
#include <optional>
#include <string>
#include <utility>
#include <vector>

namespace bench {

using InputFiles = std::vector<std::pair<std::string, std::string>>;  // blob name, .npy path

// One row of the table to be: a model with the way to run it.
struct ConfigurationArguments {
    std::string name;
    std::string param;
    std::string bin;
    InputFiles inputs;
    std::vector<std::string> outputs;
    int threads = 1;
    std::optional<cpu_set_t> cpus;
    bool fp16 = true;
    bool int8 = true;
    bool winograd = true;
    bool sgemm = true;
    bool packing = true;
    int spin_percent = 0;
};

enum class Action { run, show_help, show_version, show_layers, show_roofline };

struct Arguments {
    Action action = Action::run;
    int roofline_threads = 1;                // for show_roofline alone
    std::optional<cpu_set_t> roofline_cpus;  // the same
    std::string dump_folder;  // empty: nothing is dumped
    bool stream = false;
    std::string journal;  // empty: none
    int warmup = 3;
    int warmup_time_ms = 0;
    int max_warmup_ms = 0;  // 0: not waiting until steady
    int min_runs = 10;
    int max_runs = 0;  // 0: no limit
    int min_time_ms = 500;
    int max_time_ms = 0;  // 0: no limit
    int pace_hz = 0;      // 0: no paced part
    bool profile = false;
    bool mark = false;
    std::vector<std::pair<std::string, std::string>> watches;  // name, path of a file that holds a number
    int watch_every_ms = 500;
    uint64_t seed = 1;
    std::vector<ConfigurationArguments> configurations;
};

// Throws Error(usage) for anything that it does not know.
Arguments parse_arguments(int argc, char** argv);

const char* help_text();

}  // namespace bench
