#include "document.h"

#include <cpu.h>

#include "affinity.h"
#include "json.h"
#include "model.h"

namespace bench {

static const int64_t kSchema = 1;

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

static void write_parameters(JsonWriter& json, const Arguments& arguments, size_t samples)
{
    json.begin_object();
    json.member("warmup", arguments.warmup);
    json.member("min_runs", arguments.min_runs);
    json.member("min_time_ms", arguments.min_time_ms);
    json.member("max_time_ms", arguments.max_time_ms);
    json.member("seed", static_cast<int64_t>(arguments.seed));
    json.member("samples", static_cast<int64_t>(samples));
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

static void write_configuration(JsonWriter& json, const Configuration& configuration)
{
    const ConfigurationArguments& arguments = *configuration.arguments;
    json.begin_object();
    json.member("name", arguments.name);
    json.member("param", arguments.param);
    json.member("bin", arguments.bin);
    json.member("threads", arguments.threads);
    json.key("affinity");
    write_affinity(json, configuration);
    json.key("options");
    write_options(json, arguments);
    json.member("load_ms", configuration.load_ms);
    json.member("first_ms", configuration.first_ms);
    json.member("peak_memory_bytes", configuration.peak_memory_bytes);
    json.member("times_ms", configuration.times_ms);
    json.member("started_ms", configuration.started_ms);
    json.key("outputs");
    json.begin_array();
    for (const OutputRecord& output : configuration.outputs) write_output(json, output);
    json.end_array();
    json.end_object();
}

std::string result_document(const Arguments& arguments, const std::vector<Configuration>& configurations,
                            size_t samples, int64_t peak_memory_bytes)
{
    JsonWriter json;
    json.begin_object();
    json.member("schema", kSchema);
    json.key("binary");
    write_binary(json);
    json.key("cpu");
    json.begin_object();
    json.member("count", ncnn::get_cpu_count());
    json.member("features", cpu_features());
    json.end_object();
    json.key("parameters");
    write_parameters(json, arguments, samples);
    json.key("configurations");
    json.begin_array();
    for (const Configuration& configuration : configurations) write_configuration(json, configuration);
    json.end_array();
    json.member("peak_memory_bytes", peak_memory_bytes);
    json.end_object();
    return json.text();
}

std::string version_document()
{
    JsonWriter json;
    write_binary(json);
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
