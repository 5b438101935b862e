// The command line.
#pragma once

#include <sched.h>

#include <cstdint>
#include <optional>
#include <string>
#include <utility>
#include <vector>

namespace bench {

// One row of the table to be: a model with the way to run it.
struct ConfigurationArguments {
    std::string name;
    std::string param;
    std::string bin;
    int threads = 1;
    std::optional<cpu_set_t> cpus;
    bool fp16 = true;
    bool int8 = true;
    bool winograd = true;
    bool sgemm = true;
    bool packing = true;
};

enum class Action { run, show_help, show_version, show_layers };

struct Arguments {
    Action action = Action::run;
    std::vector<std::pair<std::string, std::string>> inputs;  // blob name, .npy path
    std::vector<std::string> outputs;
    std::string dump_folder;  // empty: nothing is dumped
    int warmup = 3;
    int min_runs = 10;
    int min_time_ms = 500;
    int max_time_ms = 0;  // 0: no limit
    uint64_t seed = 1;
    std::vector<ConfigurationArguments> configurations;
};

// Throws Error(usage) for anything that it does not know.
Arguments parse_arguments(int argc, char** argv);

const char* help_text();

}  // namespace bench
