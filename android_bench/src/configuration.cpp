#include "configuration.h"

#include <algorithm>
#include <cstring>

#include "affinity.h"
#include "clock.h"
#include "crash.h"
#include "error.h"
#include "files.h"
#include "marks.h"
#include "memory.h"

namespace bench {

CpuSwitch::CpuSwitch() : initial_(current_affinity()), asked_(initial_), obtained_(initial_) {}

void CpuSwitch::apply(Configuration& configuration)
{
    const cpu_set_t wanted = configuration.arguments->cpus.value_or(initial_);
    if (!CPU_EQUAL(&wanted, &asked_)) {
        obtained_ = set_affinity_of_all_threads(wanted);
        asked_ = wanted;
    }
    configuration.affinity = obtained_;
}

int64_t load_and_run_first(Configuration& configuration)
{
    const std::vector<Sample>& samples = *configuration.samples;
    const std::vector<std::string>& outputs = configuration.arguments->outputs;
    const std::string& name = configuration.arguments->name;
    const int64_t peak_before = peak_memory().value_or(0);
    const bool peak_is_fresh = reset_peak_memory();
    const std::optional<int64_t> present = present_memory();

    set_activity(ExitCode::bad_file, "loading configuration " + name);
    const double start = now_ms();
    configuration.model->load();
    configuration.load_ms = now_ms() - start;

    set_activity(ExitCode::inference_failed, "running configuration " + name);
    std::vector<ncnn::Mat> results;
    const double first_start = now_ms();
    configuration.model->infer(samples[0], results);
    configuration.first_ms = now_ms() - first_start;

    const std::optional<int64_t> peak = peak_memory();
    if (peak_is_fresh && peak && present) configuration.peak_memory_bytes = *peak - *present;
    for (size_t i = 0; i < outputs.size(); i++) {
        Array array;
        append_output(outputs[i], results[i], samples.size(), array);
        configuration.outputs.push_back({outputs[i], array.shape, ""});
    }
    return std::max(peak_before, peak.value_or(0));
}

// Blob names from other tools hold '/' and ':'.
static std::string file_name(const std::string& configuration, const std::string& blob)
{
    std::string name = configuration + "." + blob;
    for (char& c : name) {
        const bool plain = (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9');
        if (!plain && !std::strchr("._+-", c)) c = '_';
    }
    return name + ".npy";
}

void dump_outputs(Configuration& configuration, const std::string& folder, std::optional<size_t> mark_as)
{
    const std::vector<Sample>& samples = *configuration.samples;
    const std::string& name = configuration.arguments->name;
    set_activity(ExitCode::inference_failed, "running configuration " + name);
    std::vector<Array> arrays(configuration.outputs.size());
    for (const Sample& sample : samples) {
        std::vector<ncnn::Mat> results;
        if (mark_as) mark(Mark::begin, *mark_as);
        configuration.model->infer(sample, results);
        if (mark_as) mark(Mark::end, *mark_as);
        for (size_t i = 0; i < results.size(); i++) {
            append_output(configuration.outputs[i].blob, results[i], samples.size(), arrays[i]);
        }
    }
    for (size_t i = 0; i < arrays.size(); i++) {
        OutputRecord& output = configuration.outputs[i];
        output.file = folder + "/" + file_name(name, output.blob);
        for (size_t j = 0; j < i; j++) {
            if (configuration.outputs[j].file == output.file) {
                throw Error(ExitCode::usage, "outputs " + configuration.outputs[j].blob + " and " + output.blob +
                                                 " would both be written to " + output.file);
            }
        }
        write_npy(output.file, arrays[i]);
    }
}

}  // namespace bench
