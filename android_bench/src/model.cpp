#include "model.h"

#include <datareader.h>

#include <algorithm>
#include <new>
#include <numeric>

#include "bin_reader.h"
#include "error.h"
#include "files.h"

namespace bench {

static const size_t kMaxParamBytes = size_t(64) << 20;

const std::vector<std::string>& built_layers()
{
    static const std::vector<std::string> layers = {
#include "built_layers.inc"  // written by layers.cmake
    };
    return layers;
}

Model::Model(const ConfigurationArguments& arguments, const std::vector<InputArray>& inputs)
    : arguments_(arguments),
      output_names_(arguments.outputs),
      param_text_(read_file(arguments.param, kMaxParamBytes)),
      param_(arguments.param, param_text_)
{
    for (const InputArray& input : inputs) input_names_.push_back(input.blob);
    check_layers();
    check_inputs(inputs);
    for (const std::string& output : output_names_) {
        if (!param_.producer(output)) {
            throw Error(ExitCode::usage, arguments.param + " has no blob " + output);
        }
    }
    set_extraction_order();
}

// In the order of the layers: in ncnn's light mode a blob is gone once its consumer has run.
void Model::set_extraction_order()
{
    extraction_order_.resize(output_names_.size());
    std::iota(extraction_order_.begin(), extraction_order_.end(), size_t(0));
    std::stable_sort(extraction_order_.begin(), extraction_order_.end(), [this](size_t a, size_t b) {
        return param_.producer(output_names_[a]) < param_.producer(output_names_[b]);
    });
}

void Model::check_layers() const
{
    const std::vector<std::string> missing = param_.missing_types(built_layers());
    if (!missing.empty()) {
        std::string names;
        for (const std::string& name : missing) names += (names.empty() ? "" : ", ") + name;
        throw Error(ExitCode::missing_layer, arguments_.param + ": this build has no layer " + names);
    }
    for (const ParamLayer& layer : param_.layers()) {
        // Without its int8 kernels ncnn would read the int8 weights as float.
        if (!arguments_.int8 && layer.is_int8()) {
            throw Error(ExitCode::usage,
                        "--int8 0 with " + arguments_.param + ", whose layer " + layer.name + " is int8");
        }
    }
}

static void check_shape(const ParamLayer& layer, const InputArray& input)
{
    const size_t dims = input.array->shape.size() - 1;
    const int declared[] = {layer.integer(0, 0), layer.integer(1, 0), layer.integer(2, 0)};  // w, h, c
    for (size_t i = 0; i < 3; i++) {
        const size_t given = i < dims ? input.array->shape[dims - i] : 0;
        if (declared[i] > 0 && given != static_cast<size_t>(declared[i])) {
            throw Error(ExitCode::bad_file,
                        "--input " + input.blob + ": its shape does not fit the model, which declares w=" +
                            std::to_string(declared[0]) + " h=" + std::to_string(declared[1]) +
                            " c=" + std::to_string(declared[2]));
        }
    }
}

void Model::check_inputs(const std::vector<InputArray>& inputs) const
{
    for (const InputArray& input : inputs) {
        const ParamLayer* layer = param_.producer(input.blob);
        if (!layer || layer->type != "Input") {
            throw Error(ExitCode::usage, arguments_.param + " has no input " + input.blob);
        }
        check_shape(*layer, input);
    }
    for (const ParamLayer& layer : param_.layers()) {
        if (layer.type != "Input") continue;
        for (const std::string& blob : layer.outputs) {
            bool given = false;
            for (const InputArray& input : inputs) given = given || input.blob == blob;
            if (!given) throw Error(ExitCode::usage, arguments_.param + " needs --input " + blob);
        }
    }
}

static void set_options(const ConfigurationArguments& arguments, ncnn::Option& options)
{
    options.lightmode = true;
    options.num_threads = arguments.threads;
    options.use_fp16_packed = arguments.fp16;
    options.use_fp16_storage = arguments.fp16;
    options.use_fp16_arithmetic = arguments.fp16;
    options.use_bf16_packed = false;
    options.use_bf16_storage = false;
    options.use_int8_inference = arguments.int8;
    options.use_winograd_convolution = arguments.winograd;
    options.use_sgemm_convolution = arguments.sgemm;
    options.use_packing_layout = arguments.packing;
    options.use_vulkan_compute = false;
}

void Model::load()
{
    // A fresh Option looks at the CPU that the thread is on now (use_a53_a55_optimized_kernel).
    net_.opt = ncnn::Option();
    set_options(arguments_, net_.opt);
    const unsigned char* text = reinterpret_cast<const unsigned char*>(param_text_.data());
    try {
        if (net_.load_param(ncnn::DataReaderFromMemory(text, param_text_.size())) != 0) {
            throw Error(ExitCode::bad_file, arguments_.param + ": ncnn cannot load it");
        }
        const BinReader reader(arguments_.bin);
        if (net_.load_model(reader) != 0) {
            throw Error(ExitCode::bad_file, arguments_.bin + ": ncnn cannot load it");
        }
        if (reader.remaining() != 0) {
            throw Error(ExitCode::bad_file, arguments_.bin + ": longer than its .param needs");
        }
    } catch (const std::bad_alloc&) {
        throw Error(ExitCode::bad_file,
                    arguments_.param + ": loading it needs more memory than a sound model of its size");
    }
    for (const std::string& name : input_names_) input_indexes_.push_back(blob_index(name));
    for (const std::string& name : output_names_) output_indexes_.push_back(blob_index(name));
}

int Model::blob_index(const std::string& name) const
{
    const std::vector<ncnn::Blob>& blobs = net_.blobs();
    for (size_t i = 0; i < blobs.size(); i++) {
        if (blobs[i].name == name) return static_cast<int>(i);
    }
    throw Error(ExitCode::usage, arguments_.param + " has no blob " + name);
}

void Model::infer(const Sample& sample, std::vector<ncnn::Mat>& outputs) const
{
    outputs.resize(output_indexes_.size());
    try {
        ncnn::Extractor extractor = net_.create_extractor();
        for (size_t i = 0; i < sample.size(); i++) extractor.input(input_indexes_[i], sample[i]);
        for (const size_t i : extraction_order_) {
            const int result = extractor.extract(output_indexes_[i], outputs[i]);
            if (result != 0) {
                throw Error(ExitCode::inference_failed, arguments_.name + ": ncnn returned " +
                                                            std::to_string(result) + " for output " +
                                                            output_names_[i]);
            }
        }
    } catch (const std::bad_alloc&) {
        throw Error(ExitCode::inference_failed, arguments_.name + ": out of memory");
    }
}

}  // namespace bench
