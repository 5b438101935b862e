// android_bench: runs ncnn models on the device that it is started on, and prints what it measured.
#include <cpu.h>

#include <algorithm>
#include <cstdio>
#include <exception>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "affinity.h"
#include "arguments.h"
#include "configuration.h"
#include "crash.h"
#include "document.h"
#include "error.h"
#include "files.h"
#include "journal.h"
#include "marks.h"
#include "measure.h"
#include "memory.h"
#include "model.h"
#include "npy.h"
#include "process_start.h"
#include "roofline.h"
#include "samples.h"

namespace bench {

static void print(const std::string& text)
{
    const bool written = fwrite(text.data(), 1, text.size(), stdout) == text.size();
    if (!written || fflush(stdout) != 0) throw Error(ExitCode::bad_file, "cannot write to standard output");
}

// Reads each file, and makes each set of samples, once for all configurations that share it.
class SampleStore {
public:
    std::vector<InputArray> arrays(const InputFiles& files)
    {
        std::vector<InputArray> inputs;
        for (const auto& [blob, path] : files) {
            std::shared_ptr<const Array>& array = arrays_[path];
            if (!array) array = std::make_shared<const Array>(read_npy(path));
            inputs.push_back({blob, array});
        }
        return inputs;
    }

    std::shared_ptr<const std::vector<Sample>> samples(const InputFiles& files)
    {
        std::shared_ptr<const std::vector<Sample>>& samples = samples_[files];
        if (!samples) samples = std::make_shared<const std::vector<Sample>>(make_samples(arrays(files)));
        return samples;
    }

private:
    std::map<std::string, std::shared_ptr<const Array>> arrays_;
    std::map<InputFiles, std::shared_ptr<const std::vector<Sample>>> samples_;
};

static std::vector<Configuration> make_configurations(const Arguments& arguments)
{
    SampleStore store;
    std::vector<Configuration> configurations(arguments.configurations.size());
    for (size_t i = 0; i < configurations.size(); i++) {
        const ConfigurationArguments& given = arguments.configurations[i];
        configurations[i].arguments = &given;
        configurations[i].model = std::make_unique<Model>(given, store.arrays(given.inputs));
        configurations[i].samples = store.samples(given.inputs);
    }
    return configurations;
}

// Eight times what the files hold, for repacked weights and several configurations of them, and two
// gigabytes for activations: no mobile network comes near, a corrupt one is stopped there.
static uint64_t memory_budget(const Arguments& arguments)
{
    uint64_t bytes = uint64_t(2) << 30;
    for (const ConfigurationArguments& configuration : arguments.configurations) {
        bytes += 8 * static_cast<uint64_t>(file_size(configuration.param) + file_size(configuration.bin));
        for (const auto& input : configuration.inputs) bytes += 8 * static_cast<uint64_t>(file_size(input.second));
    }
    const uint64_t thread_stack = uint64_t(16) << 20;
    return bytes + ncnn::get_cpu_count() * thread_stack;
}

static void make_profilers(std::vector<Configuration>& configurations, const Arguments& arguments,
                           CpuSwitch& cpu_switch, const Journal& journal)
{
    for (size_t i = 0; i < configurations.size(); i++) {
        Configuration& configuration = configurations[i];
        set_activity(ExitCode::inference_failed, "profiling configuration " + configuration.arguments->name);
        cpu_switch.apply(configuration);
        const Sample& sample = configuration.samples->front();
        configuration.profiler = std::make_unique<Profiler>(*configuration.model, sample, arguments.mark);
        journal.write(network_line(i, configuration.profiler->layers()));
        if (!arguments.mark) continue;
        mark(Mark::begin, i);
        configuration.profiler->infer(sample);
        mark(Mark::end, i);
    }
}

static void run(const Arguments& arguments, ProcessRecord process)
{
    limit_further_memory(memory_budget(arguments));
    std::vector<Configuration> configurations = make_configurations(arguments);
    if (!arguments.dump_folder.empty()) make_folder(arguments.dump_folder);
    const Journal journal(arguments.journal, arguments.stream);
    journal.write(begin_line(arguments, process));

    CpuSwitch cpu_switch;
    for (Configuration& configuration : configurations) {
        cpu_switch.apply(configuration);
        process.peak_memory_bytes = std::max(process.peak_memory_bytes, load_and_run_first(configuration));
    }
    for (size_t i = 0; i < configurations.size(); i++) {
        cpu_switch.apply(configurations[i]);
        const std::optional<size_t> mark_as = arguments.mark ? std::make_optional(i) : std::nullopt;
        if (!arguments.dump_folder.empty()) dump_outputs(configurations[i], arguments.dump_folder, mark_as);
        journal.write(loaded_line(configurations[i]));
    }
    if (arguments.profile) make_profilers(configurations, arguments, cpu_switch, journal);
    std::vector<Reading> readings;
    if (arguments.min_runs > 0) readings = measure(configurations, arguments, cpu_switch, journal);
    process.peak_memory_bytes = std::max(process.peak_memory_bytes, peak_memory().value_or(0));
    journal.write(end_line(process));
    if (!arguments.stream) print(result_document(arguments, configurations, readings, process) + "\n");
}

static void show_roofline(const Arguments& arguments)
{
    if (arguments.roofline_cpus) set_affinity_of_all_threads(*arguments.roofline_cpus);
    print(roofline_document(measure_roofline(arguments.roofline_threads)) + "\n");
}

static void act(const Arguments& arguments, const ProcessRecord& process)
{
    switch (arguments.action) {
    case Action::show_help: print(help_text()); break;
    case Action::show_version: print(version_document() + "\n"); break;
    case Action::show_layers: print(layers_document() + "\n"); break;
    case Action::show_roofline: show_roofline(arguments); break;
    case Action::run: run(arguments, process); break;
    }
}

static ExitCode report(ExitCode code, const char* message)
{
    fprintf(stderr, "android_bench: error: %s\n", message);
    return code;
}

}  // namespace bench

int main(int argc, char** argv)
{
    const bench::ProcessRecord process = {bench::time_from_exec_ms(argv), 0};
    bench::ExitCode code = bench::ExitCode::ok;
    bench::install_crash_handler();
    try {
        bench::act(bench::parse_arguments(argc, argv), process);
    } catch (const bench::Error& error) {
        code = bench::report(error.code(), error.what());
    } catch (const std::bad_alloc&) {
        code = bench::report(bench::ExitCode::bad_file, "out of memory for the inputs");
    } catch (const std::exception& error) {
        code = bench::report(bench::ExitCode::inference_failed, error.what());
    }
    return static_cast<int>(code);
}
