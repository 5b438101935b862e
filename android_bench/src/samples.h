// Between .npy arrays and ncnn's Mat.
#pragma once

#include <mat.h>

#include <memory>
#include <string>
#include <vector>

#include "npy.h"

namespace bench {

struct InputArray {
    std::string blob;
    std::shared_ptr<const Array> array;
};

// One Mat for each input, in the order of the --input flags.
using Sample = std::vector<ncnn::Mat>;

// The N samples that the arrays hold between them; throws Error(bad_file) where their N differ.
std::vector<Sample> make_samples(const std::vector<InputArray>& inputs);

// (w), (h, w), (c, h, w) or (c, d, h, w), of packed elements where the Mat is packed.
std::vector<size_t> numpy_shape(const ncnn::Mat& mat);

// Append an output of ncnn's to an array of shape (samples, ...), whose shape the first one sets.
// Throws Error(inference_failed) if it is empty, not float32, or of another shape than the first.
void append_output(const std::string& blob, const ncnn::Mat& mat, size_t samples, Array& array);

}  // namespace bench
