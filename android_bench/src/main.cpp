// android_bench: runs ncnn models on the device that it is started on, and prints what it measured.
#include <cpu.h>

#include <algorithm>
#include <cstdio>
#include <exception>
#include <string>
#include <vector>

#include "arguments.h"
#include "clock.h"
#include "configuration.h"
#include "crash.h"
#include "document.h"
#include "error.h"
#include "files.h"
#include "measure.h"
#include "memory.h"
#include "model.h"
#include "npy.h"
#include "samples.h"

namespace bench {

static void print(const std::string& text)
{
    const bool written = fwrite(text.data(), 1, text.size(), stdout) == text.size();
    if (!written || fflush(stdout) != 0) throw Error(ExitCode::bad_file, "cannot write to standard output");
}

static std::vector<InputArray> read_inputs(const Arguments& arguments)
{
    std::vector<InputArray> inputs;
    for (const auto& [blob, path] : arguments.inputs) inputs.push_back({blob, read_npy(path)});
    return inputs;
}

static std::vector<Configuration> make_configurations(const Arguments& arguments, const std::vector<InputArray>& inputs)
{
    std::vector<Configuration> configurations(arguments.configurations.size());
    for (size_t i = 0; i < configurations.size(); i++) {
        configurations[i].arguments = &arguments.configurations[i];
        configurations[i].model =
            std::make_unique<Model>(arguments.configurations[i], inputs, arguments.outputs);
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
    }
    for (const auto& input : arguments.inputs) bytes += 8 * static_cast<uint64_t>(file_size(input.second));
    const uint64_t thread_stack = uint64_t(16) << 20;
    return bytes + ncnn::get_cpu_count() * thread_stack;
}

static void run(const Arguments& arguments, double process_start_ms)
{
    limit_further_memory(memory_budget(arguments));
    const std::vector<InputArray> inputs = read_inputs(arguments);
    std::vector<Configuration> configurations = make_configurations(arguments, inputs);
    const std::vector<Sample> samples = make_samples(inputs);
    if (!arguments.dump_folder.empty()) make_folder(arguments.dump_folder);

    CpuSwitch cpu_switch;
    int64_t peak = 0;
    for (Configuration& configuration : configurations) {
        cpu_switch.apply(configuration);
        peak = std::max(peak, load_and_run_first(configuration, samples, arguments.outputs));
    }
    if (!arguments.dump_folder.empty()) {
        for (Configuration& configuration : configurations) {
            cpu_switch.apply(configuration);
            dump_outputs(configuration, samples, arguments.dump_folder);
        }
    }
    if (arguments.min_runs > 0) measure(configurations, samples, arguments, cpu_switch, process_start_ms);
    peak = std::max(peak, peak_memory().value_or(0));
    print(result_document(arguments, configurations, samples.size(), peak) + "\n");
}

static void act(const Arguments& arguments, double process_start_ms)
{
    switch (arguments.action) {
    case Action::show_help: print(help_text()); break;
    case Action::show_version: print(version_document() + "\n"); break;
    case Action::show_layers: print(layers_document() + "\n"); break;
    case Action::run: run(arguments, process_start_ms); break;
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
    const double process_start_ms = bench::now_ms();
    bench::ExitCode code = bench::ExitCode::ok;
    bench::install_crash_handler();
    try {
        bench::act(bench::parse_arguments(argc, argv), process_start_ms);
    } catch (const bench::Error& error) {
        code = bench::report(error.code(), error.what());
    } catch (const std::bad_alloc&) {
        code = bench::report(bench::ExitCode::bad_file, "out of memory for the inputs");
    } catch (const std::exception& error) {
        code = bench::report(bench::ExitCode::inference_failed, error.what());
    }
    return static_cast<int>(code);
}
