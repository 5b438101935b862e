// The timed part.
#pragma once

#include <vector>

#include "arguments.h"
#include "configuration.h"

namespace bench {

// Warm every configuration up, then run rounds: in each, every configuration runs one inference on
// the same sample, in an order shuffled by the seed, so that drift of the device hits all alike.
// Ends when all have --min-runs samples and --min-time-ms of measured time, or no further round may
// start because --max-time-ms have passed. Fills times_ms and started_ms (since `process_start_ms`).
void measure(std::vector<Configuration>& configurations, const std::vector<Sample>& samples, const Arguments& arguments,
             CpuSwitch& cpu_switch, double process_start_ms);

}  // namespace bench
