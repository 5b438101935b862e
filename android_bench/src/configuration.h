// The life of a configuration: its model, how it is run, and what came of it.
#pragma once

#include <sched.h>

#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "arguments.h"
#include "model.h"
#include "samples.h"

namespace bench {

struct OutputRecord {
    std::string blob;
    std::vector<size_t> shape;  // (samples, ...)
    std::string file;           // empty where nothing is dumped
};

struct Configuration {
    const ConfigurationArguments* arguments = nullptr;
    std::unique_ptr<Model> model;
    cpu_set_t affinity;  // as obtained
    double load_ms = 0;
    double first_ms = 0;
    std::optional<int64_t> peak_memory_bytes;
    double measured_ms = 0;  // the sum of times_ms
    std::vector<double> times_ms;
    std::vector<double> started_ms;  // since the start of the process
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
int64_t load_and_run_first(Configuration& configuration, const std::vector<Sample>& samples,
                           const std::vector<std::string>& outputs);

// Run every sample once and write the outputs to FOLDER/CONFIG.BLOB.npy.
void dump_outputs(Configuration& configuration, const std::vector<Sample>& samples, const std::string& folder);

}  // namespace bench
