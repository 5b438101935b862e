// One ncnn network, loaded the way a configuration asks for.
#pragma once

#include <net.h>

#include <string>
#include <vector>

#include "arguments.h"
#include "param_file.h"
#include "samples.h"

namespace bench {

// The layer types of this build.
const std::vector<std::string>& built_layers();

class Model {
public:
    // Reads and checks the .param file against this build, the inputs and the outputs; loads nothing.
    Model(const ConfigurationArguments& arguments, const std::vector<InputArray>& inputs);

    // Loads the network. Its threads and kernels are chosen for the CPU that the caller runs on.
    void load();

    // One inference: a new extractor, the inputs, all outputs. Throws Error(inference_failed).
    void infer(const Sample& sample, std::vector<ncnn::Mat>& outputs) const;

    ncnn::Net& net() { return net_; }

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

}  // namespace bench
