// What the program prints: one document at its end, or a line of JSON for each thing as it happens.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "arguments.h"
#include "configuration.h"
#include "roofline.h"
#include "watch.h"

namespace bench {

// What is true of the whole process.
struct ProcessRecord {
    std::optional<double> start_ms;  // from exec to main
    int64_t peak_memory_bytes = 0;
};

// The result of a run, schema 2.
std::string result_document(const Arguments& arguments, const std::vector<Configuration>& configurations,
                            const std::vector<Reading>& readings, const ProcessRecord& process);

// {"begin": {schema, binary, cpu, parameters, process_ms}}
std::string begin_line(const Arguments& arguments, const ProcessRecord& process);

// {"loaded": {what the document has of a configuration, without samples}}
std::string loaded_line(const Configuration& configuration);

// {"sample": {configuration, phase, round, started_ms, time_ms, cpu_ms, due_ms}}
std::string timing_line(size_t configuration, const Timing& timing);

// {"network": {configuration, layers: [{name, type, inputs: [{shape, elempack, elembits}], outputs}]}}
std::string network_line(size_t configuration, const std::vector<LayerRecord>& layers);

// {"layers": {configuration, round, started_ms, times_ms, whole_ms}}
std::string layers_line(size_t configuration, int64_t round, const LayerTimes& times);

// {"reading": {at_ms, values: {name: number or null}}}
std::string reading_line(const Reading& reading, const Arguments& arguments);

// {"end": {peak_memory_bytes}}
std::string end_line(const ProcessRecord& process);

// {"version": ..., "ncnn": ..., "abi": ..., "compiler": ...}
std::string version_document();

// {"peaks": [{arithmetic, instruction, threads, gmacs}], "bandwidths": [{bytes, threads, read_gbs, copy_gbs}]}
std::string roofline_document(const Roofline& roofline);

// The layer types of this build, as a list.
std::string layers_document();

}  // namespace bench
