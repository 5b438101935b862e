// One ncnn network, loaded the way a configuration asks for.
#pragma once

#include <net.h>

#include <string>
#include <vector>

#include "arguments.h"
#include "npy.h"
#include "param_file.h"

namespace bench {

struct InputArray {
    std::string blob;
    Array array;
};

// One Mat for each input, in the order of the --input flags.
using Sample = std::vector<ncnn::Mat>;

// The layer types of this build.
const std::vector<std::string>& built_layers();

class Model {
public:
    // Reads and checks the .param file against this build, the inputs and the outputs; loads nothing.
    Model(const ConfigurationArguments& arguments, const std::vector<InputArray>& inputs,
          const std::vector<std::string>& outputs);

    // Loads the network. Its threads and kernels are chosen for the CPU that the caller runs on.
    void load();

    // One inference: a new extractor, the inputs, all outputs. Throws Error(inference_failed).
    void infer(const Sample& sample, std::vector<ncnn::Mat>& outputs) const;

private:
    void check_layers() const;
    void check_inputs(const std::vector<InputArray>& inputs) const;
    void set_extraction_order();
    int blob_index(const std::string& name) const;

    const ConfigurationArguments& arguments_;
    std::vector<std::string> input_names_;
    std::vector<std::string> output_names_;
    std::string param_text_;
    ParamFile param_;
    ncnn::Net net_;
    std::vector<int> input_indexes_;
    std::vector<int> output_indexes_;
    std::vector<size_t> extraction_order_;
};

// The N samples that the arrays hold between them.
std::vector<Sample> make_samples(const std::vector<InputArray>& inputs);

// Append an output of ncnn's to an array of shape (samples, ...), whose shape the first one sets.
// Throws Error(inference_failed) if it is empty, not float32, or of another shape than the first.
void append_output(const std::string& blob, const ncnn::Mat& mat, size_t samples, Array& array);

}  // namespace bench
