#include "samples.h"

#include <cstring>
#include <new>

#include "error.h"

namespace bench {

// Sample `index` of an array (N, C, H, W), (N, H, W) or (N, W).
static ncnn::Mat make_mat(const Array& array, size_t index)
{
    const std::vector<size_t>& shape = array.shape;
    const int w = static_cast<int>(shape.back());
    const int h = shape.size() > 2 ? static_cast<int>(shape[shape.size() - 2]) : 1;
    const int c = shape.size() > 3 ? static_cast<int>(shape[1]) : 1;
    ncnn::Mat mat;
    if (shape.size() == 2) mat.create(w);
    if (shape.size() == 3) mat.create(w, h);
    if (shape.size() == 4) mat.create(w, h, c);
    if (mat.empty()) throw std::bad_alloc();
    const size_t channel_size = static_cast<size_t>(w) * h;
    const float* source = array.values.data() + index * channel_size * c;
    for (int q = 0; q < c; q++) {
        float* channel = shape.size() == 4 ? static_cast<float*>(mat.channel(q)) : static_cast<float*>(mat);
        memcpy(channel, source + q * channel_size, channel_size * sizeof(float));
    }
    return mat;
}

std::vector<Sample> make_samples(const std::vector<InputArray>& inputs)
{
    const size_t count = inputs[0].array->shape[0];
    for (const InputArray& input : inputs) {
        if (input.array->shape[0] != count) {
            throw Error(ExitCode::bad_file, "--input " + input.blob + " holds " +
                                                std::to_string(input.array->shape[0]) + " samples, and " +
                                                inputs[0].blob + " " + std::to_string(count));
        }
    }
    std::vector<Sample> samples(count);
    for (size_t i = 0; i < count; i++) {
        for (const InputArray& input : inputs) samples[i].push_back(make_mat(*input.array, i));
    }
    return samples;
}

std::vector<size_t> numpy_shape(const ncnn::Mat& mat)
{
    const size_t w = mat.w, h = mat.h, d = mat.d, c = mat.c;
    switch (mat.dims) {
    case 1: return {w};
    case 2: return {h, w};
    case 3: return {c, h, w};
    default: return {c, d, h, w};
    }
}

void append_output(const std::string& blob, const ncnn::Mat& mat, size_t samples, Array& array)
{
    if (mat.empty()) throw Error(ExitCode::inference_failed, "output " + blob + " is empty");
    if (mat.elempack != 1 || mat.elemsize != sizeof(float)) {
        throw Error(ExitCode::inference_failed, "output " + blob + " is not float32");
    }
    std::vector<size_t> shape = numpy_shape(mat);
    shape.insert(shape.begin(), samples);
    if (array.shape.empty()) array.shape = shape;
    if (array.shape != shape) {
        throw Error(ExitCode::inference_failed, "output " + blob + " changes its shape from sample to sample");
    }
    const size_t channel_size = static_cast<size_t>(mat.w) * mat.h * mat.d;
    for (int q = 0; q < mat.c; q++) {
        const float* channel = static_cast<const float*>(mat.data) + mat.cstep * q;
        array.values.insert(array.values.end(), channel, channel + channel_size);
    }
}

}  // namespace bench
