// The life of a configuration: its model, how it is run, and what came of it.
#pragma once

#include <sched.h>

#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "arguments.h"
#include "layer_times.h"
#include "model.h"
#include "samples.h"

namespace bench {

struct OutputRecord {
    std::string blob;
    std::vector<size_t> shape;  // (samples, ...)
    std::string file;           // empty where nothing is dumped
};

// What an inference was run for.
enum class Phase { warmup, steady, paced };

struct Timing {
    Phase phase;
    int64_t round;      // within its phase
    double started_ms;  // of CLOCK_MONOTONIC
    double time_ms;     // wall
    double cpu_ms;      // of all threads
    double due_ms;      // of CLOCK_MONOTONIC: the tick that it waited for, if paced
};

struct Configuration {
    const ConfigurationArguments* arguments = nullptr;
    std::shared_ptr<const std::vector<Sample>> samples;
    std::unique_ptr<Model> model;
    std::unique_ptr<Profiler> profiler;  // where --profile asks for it
    cpu_set_t affinity;  // as obtained
    double load_ms = 0;
    double first_ms = 0;
    std::optional<int64_t> peak_memory_bytes;
    std::vector<Timing> timings;
    std::vector<OutputRecord> outputs;
};

// Moves the process between the CPUs of configurations.
class CpuSwitch {
public:
    CpuSwitch();

    // Take the configuration's CPUs, or those that the process began with, and note what was obtained.
    void apply(Configuration& configuration);

private:
    cpu_set_t initial_;
    cpu_set_t asked_;
    cpu_set_t obtained_;
};

// Load the model and run it once; fills load_ms, first_ms, peak_memory_bytes and the outputs' shapes.
// Returns the peak of the whole process so far, which measuring one configuration's starts over.
int64_t load_and_run_first(Configuration& configuration);

// Run every sample once and write the outputs to FOLDER/CONFIG.BLOB.npy. With `mark_as` each inference
// begins and ends with a mark of that number (marks.h).
void dump_outputs(Configuration& configuration, const std::string& folder, std::optional<size_t> mark_as);

}  // namespace bench
