#include "document.h"

#include <cpu.h>

#include "affinity.h"
#include "json.h"
#include "model.h"

namespace bench {

static const int64_t kSchema = 2;

// What the CPU has of the extensions that this build carries kernels for, by the kernel's names.
static std::vector<std::string> cpu_features()
{
    std::vector<std::string> features;
    const auto add = [&](const char* name, int supported) {
        if (supported) features.push_back(name);
    };
#if defined(__aarch64__)
    add("asimd", ncnn::cpu_support_arm_neon());
    add("asimdhp", ncnn::cpu_support_arm_asimdhp());
    add("asimddp", ncnn::cpu_support_arm_asimddp());
    add("i8mm", ncnn::cpu_support_arm_i8mm());
#elif defined(__arm__)
    add("neon", ncnn::cpu_support_arm_neon());
    add("vfpv4", ncnn::cpu_support_arm_vfpv4());
#elif defined(__x86_64__)
    add("avx", ncnn::cpu_support_x86_avx());
    add("fma", ncnn::cpu_support_x86_fma());
    add("f16c", ncnn::cpu_support_x86_f16c());
    add("avx2", ncnn::cpu_support_x86_avx2());
#if defined(BENCH_AVX512VNNI)
    add("avx512f", ncnn::cpu_support_x86_avx512());
    add("avx512_vnni", ncnn::cpu_support_x86_avx512_vnni());
#endif
#endif
    return features;
}

static void write_binary(JsonWriter& json)
{
    json.begin_object();
    json.member("version", std::string(BENCH_VERSION));
    json.member("ncnn", std::string("1.0." BENCH_NCNN_DATE));
    json.member("abi", std::string(BENCH_ABI));
    json.member("compiler", std::string(__VERSION__));
    json.end_object();
}

static void write_parameters(JsonWriter& json, const Arguments& arguments)
{
    json.begin_object();
    json.member("warmup", arguments.warmup);
    json.member("warmup_time_ms", arguments.warmup_time_ms);
    json.member("max_warmup_ms", arguments.max_warmup_ms);
    json.member("min_runs", arguments.min_runs);
    json.member("max_runs", arguments.max_runs);
    json.member("min_time_ms", arguments.min_time_ms);
    json.member("max_time_ms", arguments.max_time_ms);
    json.member("pace_hz", arguments.pace_hz);
    json.member("seed", static_cast<int64_t>(arguments.seed));
    json.end_object();
}

static void write_affinity(JsonWriter& json, const Configuration& configuration)
{
    json.begin_object();
    json.key("requested");
    if (configuration.arguments->cpus) json.value(format_cpu_mask(*configuration.arguments->cpus));
    else json.null();
    json.member("obtained", format_cpu_mask(configuration.affinity));
    json.end_object();
}

static void write_options(JsonWriter& json, const ConfigurationArguments& arguments)
{
    json.begin_object();
    json.member("fp16", arguments.fp16);
    json.member("int8", arguments.int8);
    json.member("winograd", arguments.winograd);
    json.member("sgemm", arguments.sgemm);
    json.member("packing", arguments.packing);
    json.end_object();
}

static void write_output(JsonWriter& json, const OutputRecord& output)
{
    json.begin_object();
    json.member("name", output.blob);
    json.key("shape");
    json.begin_array();
    for (const size_t size : output.shape) json.value(static_cast<int64_t>(size));
    json.end_array();
    json.key("file");
    if (output.file.empty()) json.null();
    else json.value(output.file);
    json.end_object();
}

// The members that are known once a configuration is loaded.
static void write_loaded(JsonWriter& json, const Configuration& configuration)
{
    const ConfigurationArguments& arguments = *configuration.arguments;
    json.member("name", arguments.name);
    json.member("param", arguments.param);
    json.member("bin", arguments.bin);
    json.member("threads", arguments.threads);
    json.member("spin_percent", arguments.spin_percent);
    json.member("samples", static_cast<int64_t>(configuration.samples->size()));
    json.key("affinity");
    write_affinity(json, configuration);
    json.key("options");
    write_options(json, arguments);
    json.member("load_ms", configuration.load_ms);
    json.member("first_ms", configuration.first_ms);
    json.member("peak_memory_bytes", configuration.peak_memory_bytes);
    json.key("outputs");
    json.begin_array();
    for (const OutputRecord& output : configuration.outputs) write_output(json, output);
    json.end_array();
}

static const char* phase_name(Phase phase)
{
    switch (phase) {
    case Phase::warmup: return "warmup";
    case Phase::steady: return "steady";
    default: return "paced";
    }
}

// The samples of one phase, a list for each of their figures.
static void write_timings(JsonWriter& json, const Configuration& configuration, Phase phase)
{
    std::vector<double> started, times, cpu, due;
    std::vector<int64_t> rounds;
    for (const Timing& timing : configuration.timings) {
        if (timing.phase != phase) continue;
        rounds.push_back(timing.round);
        started.push_back(timing.started_ms);
        times.push_back(timing.time_ms);
        cpu.push_back(timing.cpu_ms);
        due.push_back(timing.due_ms);
    }
    json.key(phase_name(phase));
    json.begin_object();
    json.member("round", rounds);
    json.member("started_ms", started);
    json.member("times_ms", times);
    json.member("cpu_ms", cpu);
    if (phase == Phase::paced) json.member("due_ms", due);
    json.end_object();
}

static void write_configuration(JsonWriter& json, const Configuration& configuration)
{
    json.begin_object();
    write_loaded(json, configuration);
    for (const Phase phase : {Phase::warmup, Phase::steady, Phase::paced}) {
        write_timings(json, configuration, phase);
    }
    json.end_object();
}

// The members that are known at the start.
static void write_begin(JsonWriter& json, const Arguments& arguments, const ProcessRecord& process)
{
    json.member("schema", kSchema);
    json.key("binary");
    write_binary(json);
    json.key("cpu");
    json.begin_object();
    json.member("count", ncnn::get_cpu_count());
    json.member("features", cpu_features());
    json.end_object();
    json.key("parameters");
    write_parameters(json, arguments);
    json.key("process_ms");
    if (process.start_ms) json.value(*process.start_ms);
    else json.null();
}

static void write_reading(JsonWriter& json, const Reading& reading, const Arguments& arguments)
{
    json.begin_object();
    json.member("at_ms", reading.at_ms);
    json.key("values");
    json.begin_object();
    for (size_t i = 0; i < reading.values.size(); i++) {
        json.key(arguments.watches[i].first);
        if (reading.values[i]) json.value(*reading.values[i]);
        else json.null();
    }
    json.end_object();
    json.end_object();
}

std::string result_document(const Arguments& arguments, const std::vector<Configuration>& configurations,
                            const std::vector<Reading>& readings, const ProcessRecord& process)
{
    JsonWriter json;
    json.begin_object();
    write_begin(json, arguments, process);
    json.key("configurations");
    json.begin_array();
    for (const Configuration& configuration : configurations) write_configuration(json, configuration);
    json.end_array();
    json.key("readings");
    json.begin_array();
    for (const Reading& reading : readings) write_reading(json, reading, arguments);
    json.end_array();
    json.member("peak_memory_bytes", process.peak_memory_bytes);
    json.end_object();
    return json.text();
}

// {"NAME": {what `write` writes}}
template <typename Write>
static std::string line(const char* name, Write write)
{
    JsonWriter json;
    json.begin_object();
    json.key(name);
    json.begin_object();
    write(json);
    json.end_object();
    json.end_object();
    return json.text();
}

std::string begin_line(const Arguments& arguments, const ProcessRecord& process)
{
    return line("begin", [&](JsonWriter& json) { write_begin(json, arguments, process); });
}

std::string loaded_line(const Configuration& configuration)
{
    return line("loaded", [&](JsonWriter& json) { write_loaded(json, configuration); });
}

std::string timing_line(size_t configuration, const Timing& timing)
{
    return line("sample", [&](JsonWriter& json) {
        json.member("configuration", static_cast<int64_t>(configuration));
        json.member("phase", phase_name(timing.phase));
        json.member("round", timing.round);
        json.member("started_ms", timing.started_ms);
        json.member("time_ms", timing.time_ms);
        json.member("cpu_ms", timing.cpu_ms);
        if (timing.phase == Phase::paced) json.member("due_ms", timing.due_ms);
    });
}

static void write_blobs(JsonWriter& json, const std::vector<BlobRecord>& blobs)
{
    json.begin_array();
    for (const BlobRecord& blob : blobs) {
        json.begin_object();
        json.member("shape", blob.shape);
        json.member("elempack", blob.elempack);
        json.member("elembits", blob.elembits);
        json.end_object();
    }
    json.end_array();
}

std::string network_line(size_t configuration, const std::vector<LayerRecord>& layers)
{
    return line("network", [&](JsonWriter& json) {
        json.member("configuration", static_cast<int64_t>(configuration));
        json.key("layers");
        json.begin_array();
        for (const LayerRecord& layer : layers) {
            json.begin_object();
            json.member("name", layer.name);
            json.member("type", layer.type);
            json.key("inputs");
            write_blobs(json, layer.inputs);
            json.key("outputs");
            write_blobs(json, layer.outputs);
            json.end_object();
        }
        json.end_array();
    });
}

std::string layers_line(size_t configuration, int64_t round, const LayerTimes& times)
{
    return line("layers", [&](JsonWriter& json) {
        json.member("configuration", static_cast<int64_t>(configuration));
        json.member("round", round);
        json.member("started_ms", times.started_ms);
        json.member("times_ms", times.times_ms);
        json.member("whole_ms", times.whole_ms);
    });
}

std::string reading_line(const Reading& reading, const Arguments& arguments)
{
    JsonWriter json;
    json.begin_object();
    json.key("reading");
    write_reading(json, reading, arguments);
    json.end_object();
    return json.text();
}

std::string end_line(const ProcessRecord& process)
{
    return line("end", [&](JsonWriter& json) { json.member("peak_memory_bytes", process.peak_memory_bytes); });
}

std::string version_document()
{
    JsonWriter json;
    write_binary(json);
    return json.text();
}

std::string roofline_document(const Roofline& roofline)
{
    JsonWriter json;
    json.begin_object();
    json.key("peaks");
    json.begin_array();
    for (const Peak& peak : roofline.peaks) {
        json.begin_object();
        json.member("arithmetic", peak.arithmetic);
        json.member("instruction", peak.instruction);
        json.member("threads", peak.threads);
        json.member("gmacs", peak.gmacs);
        json.end_object();
    }
    json.end_array();
    json.key("bandwidths");
    json.begin_array();
    for (const Bandwidth& bandwidth : roofline.bandwidths) {
        json.begin_object();
        json.member("bytes", bandwidth.bytes);
        json.member("threads", bandwidth.threads);
        json.member("read_gbs", bandwidth.read_gbs);
        json.member("copy_gbs", bandwidth.copy_gbs);
        json.end_object();
    }
    json.end_array();
    json.end_object();
    return json.text();
}

std::string layers_document()
{
    JsonWriter json;
    json.begin_array();
    for (const std::string& layer : built_layers()) json.value(layer);
    json.end_array();
    return json.text();
}

}  // namespace bench
