// The timed part.
#pragma once

#include <vector>

#include "arguments.h"
#include "configuration.h"
#include "journal.h"
#include "watch.h"

namespace bench {

// Warm every configuration up, then measure in rounds: in each, every configuration runs one
// inference, in an order shuffled by the seed, so that drift of the device hits all alike.
// Where a configuration has a profiler, each measured round also runs it once with a clock behind each
// layer, before or after the plain inference as the seed decides.
// Fills `timings`, and writes each to the journal when it is known. Returns what the watch has read.
//
// Warming up ends when every configuration has --warmup runs and --warmup-time-ms, and, where
// --max-warmup-ms asks for it, no longer gets faster. Measuring ends when all have --min-runs
// samples and --min-time-ms of measured time, or --max-runs samples, or no further round may start
// because --max-time-ms have passed; where --pace-hz is given the same is then measured at that pace.
std::vector<Reading> measure(std::vector<Configuration>& configurations, const Arguments& arguments,
                             CpuSwitch& cpu_switch, const Journal& journal);

}  // namespace bench
