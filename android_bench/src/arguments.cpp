#include "arguments.h"

#include <climits>

#include "affinity.h"
#include "error.h"

namespace bench {

static const int kMaxThreads = 256;
static const int kMaxRuns = 10000000;
static const int kMaxPaceHz = 1000;
static const int kMaxSpinPercent = 1000;
static const size_t kMaxNameLength = 100;

const char* help_text()
{
    return R"(Usage: android_bench [OPTION...] --config NAME --param FILE --bin FILE [OPTION...] [--config ...]

Loads each configuration, runs it on the inputs, and prints one JSON document.

For all configurations, or after a --config for that one alone in addition:
  --input BLOB=FILE.npy   input of a blob: little-endian float32, C order, shape (N, C, H, W), (N, H, W)
                          or (N, W); the same N for all of a configuration; repeatable
  --output BLOB           output to extract; repeatable

For all configurations:
  --dump DIR              run every sample once, untimed, and write DIR/CONFIG.BLOB.npy
  --warmup N              inferences of each configuration before the measured ones, at least (3)
  --warmup-time-ms N      time of these for each configuration, at least (0)
  --max-warmup-ms N       go on warming up while a configuration still gets faster, so long in all (0)
  --min-runs N            measured inferences of each configuration, at least; 0 measures nothing (10)
  --min-time-ms N         measured time of each configuration, at least (500)
  --max-runs N            enough for a configuration, whatever its time; 0 is no limit (0)
  --max-time-ms N         start no further round after this time; 0 is no limit (0)
  --pace-hz N             afterwards measure again, one inference at each tick of a clock of N Hz (0: not)
  --profile 0|1           in each round run each configuration again with a clock behind each layer; said
                          in lines only, so it needs --stream or --journal (0)
  --mark 0|1              mark the begin and end of the inferences of --dump by system calls, and, with
                          --profile, of one more with a mark behind each layer: for counting instructions
                          from outside, in one thread (0)
  --seed N                seed of the order of configurations within each round (1)
  --watch NAME=FILE       read a number from a file, such as a clock's, now and then; repeatable
  --watch-every-ms N      how often (500)
  --stream 0|1            print one line of JSON for each thing at once, instead of one document (0)
  --journal FILE          write these lines to a file

For the configuration named by the --config before:
  --config NAME           begin a configuration; letters, digits and ._+- only
  --param FILE            ncnn .param file
  --bin FILE              ncnn .bin file
  --threads N             threads (1)
  --cpus HEXMASK          CPUs to run on, bit i for CPU i (where the process may run)
  --fp16 0|1              fp16 storage and arithmetic, where the CPU has them (1)
  --int8 0|1              int8 kernels (1); 0 is refused for a model with int8 layers
  --winograd 0|1          winograd convolution (1)
  --sgemm 0|1             im2col and gemm convolution (1)
  --packing 0|1           packed channel layout (1)
  --spin-percent N        spin so much longer in each inference, to see that slowness is found (0)

Alone:
  --layers                print a JSON list of the layer types in this build
  --roofline N [--cpus HEXMASK]
                          measure how fast 1 and N threads multiply and read memory, as one line of JSON
  --version               print what this build is, as one line of JSON
  --help                  print this

Exit codes: 0 done; 2 usage, blob names included; 3 a file is missing, malformed, not what the model
needs, or cannot be written; 4 the model has a layer that this build lacks; 5 the inference failed;
6 this build does not support the CPU.
)";
}

static Error usage_error(const std::string& message)
{
    return Error(ExitCode::usage, message + " (see --help)");
}

static uint64_t parse_number(const std::string& flag, const std::string& text, uint64_t minimum, uint64_t maximum)
{
    uint64_t value = 0;
    bool valid = !text.empty() && text.size() <= 20;
    for (const char c : text) {
        const int digit = c - '0';
        if (!valid || digit < 0 || digit > 9 || value > (maximum - digit) / 10) {
            valid = false;
            break;
        }
        value = value * 10 + digit;
    }
    if (!valid || value < minimum) {
        throw usage_error(flag + " takes a number from " + std::to_string(minimum) + " to " + std::to_string(maximum) +
                          ", not '" + text + "'");
    }
    return value;
}

static int parse_int(const std::string& flag, const std::string& text, int minimum, int maximum)
{
    return static_cast<int>(parse_number(flag, text, minimum, maximum));
}

static bool parse_switch(const std::string& flag, const std::string& text)
{
    if (text != "0" && text != "1") throw usage_error(flag + " takes 0 or 1, not '" + text + "'");
    return text == "1";
}

// Configuration names become file names on the device.
static std::string parse_name(const std::string& text)
{
    const char* allowed = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789._+-";
    const bool valid = !text.empty() && text.size() <= kMaxNameLength && text[0] != '.' &&
                       text.find_first_not_of(allowed) == std::string::npos;
    if (!valid) throw usage_error("--config takes a name of letters, digits and ._+-, not '" + text + "'");
    return text;
}

static std::pair<std::string, std::string> parse_file(const std::string& flag, const std::string& form,
                                                      const std::string& text)
{
    // Paths hold '=' more often than names do, so the first one separates.
    const size_t separator = text.find('=');
    if (separator == std::string::npos || separator == 0 || separator + 1 == text.size()) {
        throw usage_error(flag + " takes " + form + ", not '" + text + "'");
    }
    return {text.substr(0, separator), text.substr(separator + 1)};
}

static cpu_set_t parse_cpus(const std::string& text)
{
    const std::optional<cpu_set_t> mask = parse_cpu_mask(text);
    if (!mask) throw usage_error("--cpus takes a hexadecimal mask of CPUs, not '" + text + "'");
    return *mask;
}

static bool apply_global(Arguments& arguments, const std::string& flag, const std::string& value)
{
    if (flag == "--dump") arguments.dump_folder = value;
    else if (flag == "--stream") arguments.stream = parse_switch(flag, value);
    else if (flag == "--journal") arguments.journal = value;
    else if (flag == "--warmup") arguments.warmup = parse_int(flag, value, 0, kMaxRuns);
    else if (flag == "--warmup-time-ms") arguments.warmup_time_ms = parse_int(flag, value, 0, INT_MAX);
    else if (flag == "--max-warmup-ms") arguments.max_warmup_ms = parse_int(flag, value, 0, INT_MAX);
    else if (flag == "--min-runs") arguments.min_runs = parse_int(flag, value, 0, kMaxRuns);
    else if (flag == "--max-runs") arguments.max_runs = parse_int(flag, value, 0, kMaxRuns);
    else if (flag == "--min-time-ms") arguments.min_time_ms = parse_int(flag, value, 0, INT_MAX);
    else if (flag == "--max-time-ms") arguments.max_time_ms = parse_int(flag, value, 0, INT_MAX);
    else if (flag == "--pace-hz") arguments.pace_hz = parse_int(flag, value, 0, kMaxPaceHz);
    else if (flag == "--profile") arguments.profile = parse_switch(flag, value);
    else if (flag == "--mark") arguments.mark = parse_switch(flag, value);
    else if (flag == "--watch") arguments.watches.push_back(parse_file(flag, "NAME=FILE", value));
    else if (flag == "--watch-every-ms") arguments.watch_every_ms = parse_int(flag, value, 0, INT_MAX);
    else if (flag == "--seed") arguments.seed = parse_number(flag, value, 0, INT64_MAX);
    else return false;
    return true;
}

// Flags that stand before the first --config for all of them, or after one for it alone.
static bool apply_to_any(ConfigurationArguments& configuration, const std::string& flag, const std::string& value)
{
    if (flag == "--input") configuration.inputs.push_back(parse_file(flag, "BLOB=FILE.npy", value));
    else if (flag == "--output") configuration.outputs.push_back(value);
    else return false;
    return true;
}

static bool apply_to_configuration(ConfigurationArguments& configuration, const std::string& flag,
                                   const std::string& value)
{
    if (flag == "--param") configuration.param = value;
    else if (flag == "--bin") configuration.bin = value;
    else if (flag == "--threads") configuration.threads = parse_int(flag, value, 1, kMaxThreads);
    else if (flag == "--cpus") configuration.cpus = parse_cpus(value);
    else if (flag == "--fp16") configuration.fp16 = parse_switch(flag, value);
    else if (flag == "--int8") configuration.int8 = parse_switch(flag, value);
    else if (flag == "--winograd") configuration.winograd = parse_switch(flag, value);
    else if (flag == "--sgemm") configuration.sgemm = parse_switch(flag, value);
    else if (flag == "--packing") configuration.packing = parse_switch(flag, value);
    else if (flag == "--spin-percent") configuration.spin_percent = parse_int(flag, value, 0, kMaxSpinPercent);
    else return false;
    return true;
}

static void check_inputs_and_outputs(const ConfigurationArguments& configuration)
{
    const InputFiles& inputs = configuration.inputs;
    const std::vector<std::string>& outputs = configuration.outputs;
    if (inputs.empty()) throw usage_error("no --input");
    if (outputs.empty()) throw usage_error("no --output");
    for (size_t i = 0; i < inputs.size(); i++) {
        for (size_t j = 0; j < i; j++) {
            if (inputs[i].first == inputs[j].first) throw usage_error("--input " + inputs[i].first + " is given twice");
        }
    }
    for (size_t i = 0; i < outputs.size(); i++) {
        for (size_t j = 0; j < i; j++) {
            if (outputs[i] == outputs[j]) throw usage_error("--output " + outputs[i] + " is given twice");
        }
    }
}

static void check_configurations(const std::vector<ConfigurationArguments>& configurations)
{
    if (configurations.empty()) throw usage_error("no --config");
    for (size_t i = 0; i < configurations.size(); i++) {
        const ConfigurationArguments& configuration = configurations[i];
        if (configuration.param.empty()) throw usage_error("--config " + configuration.name + " has no --param");
        if (configuration.bin.empty()) throw usage_error("--config " + configuration.name + " has no --bin");
        check_inputs_and_outputs(configuration);
        for (size_t j = 0; j < i; j++) {
            if (configurations[j].name == configuration.name) {
                throw usage_error("--config " + configuration.name + " is given twice");
            }
        }
    }
}

static std::optional<Action> standalone_action(int argc, char** argv)
{
    for (int i = 1; i < argc; i++) {
        const std::string flag = argv[i];
        if (flag == "--help" || flag == "-h") return Action::show_help;
        if (flag == "--version") return Action::show_version;
        if (flag == "--layers") return Action::show_layers;
    }
    return std::nullopt;
}

static Arguments parse_roofline(int argc, char** argv)
{
    const bool with_cpus = argc == 5 && std::string(argv[3]) == "--cpus";
    if (argc != 3 && !with_cpus) throw usage_error("--roofline takes a number of threads, and --cpus if anything more");
    Arguments arguments;
    arguments.action = Action::show_roofline;
    arguments.roofline_threads = parse_int("--roofline", argv[2], 1, kMaxThreads);
    if (with_cpus) arguments.roofline_cpus = parse_cpus(argv[4]);
    return arguments;
}

Arguments parse_arguments(int argc, char** argv)
{
    Arguments arguments;
    if (const std::optional<Action> action = standalone_action(argc, argv)) {
        arguments.action = *action;
        return arguments;
    }
    if (argc > 1 && std::string(argv[1]) == "--roofline") return parse_roofline(argc, argv);
    ConfigurationArguments common;
    for (int i = 1; i < argc; i += 2) {
        const std::string flag = argv[i];
        if (i + 1 == argc) throw usage_error("unknown flag or missing value: " + flag);
        const std::string value = argv[i + 1];
        if (flag == "--config") {
            arguments.configurations.push_back(common);
            arguments.configurations.back().name = parse_name(value);
        } else if (apply_global(arguments, flag, value)) {
            continue;
        } else if (apply_to_any(arguments.configurations.empty() ? common : arguments.configurations.back(), flag,
                                value)) {
            continue;
        } else if (arguments.configurations.empty()) {
            throw usage_error("unknown flag, or one that belongs after a --config: " + flag);
        } else if (!apply_to_configuration(arguments.configurations.back(), flag, value)) {
            throw usage_error("unknown flag: " + flag);
        }
    }
    check_configurations(arguments.configurations);
    if (arguments.mark && arguments.dump_folder.empty()) throw usage_error("--mark needs --dump");
    for (const ConfigurationArguments& configuration : arguments.configurations) {
        if (arguments.mark && configuration.threads != 1) throw usage_error("--mark needs --threads 1");
    }
    if (arguments.profile && !arguments.stream && arguments.journal.empty()) {
        throw usage_error("--profile needs --stream 1 or --journal");
    }
    return arguments;
}

}  // namespace bench
