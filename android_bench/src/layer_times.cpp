#include "layer_times.h"

#include <net.h>

#include <cstring>

#include "clock.h"
#include "error.h"
#include "marks.h"

namespace bench {

static BlobRecord describe_one(const ncnn::Mat& mat)
{
    BlobRecord record = {{}, mat.elempack, mat.elembits()};
    for (const size_t size : numpy_shape(mat)) record.shape.push_back(static_cast<int64_t>(size));
    record.shape.front() *= mat.elempack;
    return record;
}

static std::vector<BlobRecord> describe(const ncnn::Mat& mat)
{
    return {describe_one(mat)};
}

static std::vector<BlobRecord> describe(const std::vector<ncnn::Mat>& mats)
{
    std::vector<BlobRecord> records;
    for (const ncnn::Mat& mat : mats) records.push_back(describe_one(mat));
    return records;
}

// What the timed layers of one inference leave.
class LayerLog {
public:
    std::vector<LayerRecord> records;
    std::vector<double> ends_ms;
    bool describing = false;
    bool marking = false;

    // Runs one layer: all of a profile passes through here.
    template <typename Bottoms, typename Tops, typename Forward>
    int run(const ncnn::Layer& layer, const Bottoms& bottoms, const Tops& tops, Forward forward)
    {
        if (describing) records.push_back({layer.name, layer.type, describe(bottoms), {}});
        const int result = forward();
        ends_ms.push_back(now_ms());
        if (marking) mark(Mark::layer);
        if (describing && result == 0) records.back().outputs = describe(tops);
        return result;
    }
};

namespace {

// Stands in a layer's place: with its flags, blobs and mask, which ncnn looks at, and calling its code.
class TimedLayer : public ncnn::Layer {
public:
    TimedLayer(const ncnn::Layer& layer, LayerLog& log) : ncnn::Layer(layer), layer_(layer), log_(log) {}

    int forward(const std::vector<ncnn::Mat>& bottoms, std::vector<ncnn::Mat>& tops,
                const ncnn::Option& options) const override
    {
        return log_.run(*this, bottoms, tops, [&] { return layer_.forward(bottoms, tops, options); });
    }

    int forward(const ncnn::Mat& bottom, ncnn::Mat& top, const ncnn::Option& options) const override
    {
        return log_.run(*this, bottom, top, [&] { return layer_.forward(bottom, top, options); });
    }

    int forward_inplace(std::vector<ncnn::Mat>& mats, const ncnn::Option& options) const override
    {
        return log_.run(*this, mats, mats, [&] { return layer_.forward_inplace(mats, options); });
    }

    int forward_inplace(ncnn::Mat& mat, const ncnn::Option& options) const override
    {
        return log_.run(*this, mat, mat, [&] { return layer_.forward_inplace(mat, options); });
    }

private:
    const ncnn::Layer& layer_;
    LayerLog& log_;
};

// Puts the timed layers into the net, and takes them out again however the inference ends.
class InPlaceOf {
public:
    InPlaceOf(std::vector<ncnn::Layer*>& layers, const std::vector<std::unique_ptr<ncnn::Layer>>& timed)
        : layers_(layers), own_(layers)
    {
        for (size_t i = 0; i < timed.size(); i++) layers_[i] = timed[i].get();
    }
    ~InPlaceOf() { layers_.swap(own_); }
    InPlaceOf(const InPlaceOf&) = delete;
    InPlaceOf& operator=(const InPlaceOf&) = delete;

private:
    std::vector<ncnn::Layer*>& layers_;
    std::vector<ncnn::Layer*> own_;
};

}  // namespace

static bool same(const ncnn::Mat& a, const ncnn::Mat& b)
{
    Array of_a, of_b;
    append_output("", a, 1, of_a);
    append_output("", b, 1, of_b);
    return of_a.shape == of_b.shape &&
           memcmp(of_a.values.data(), of_b.values.data(), of_a.values.size() * sizeof(float)) == 0;
}

Profiler::Profiler(Model& model, const Sample& sample, bool marking) : model_(model), log_(std::make_unique<LayerLog>())
{
    for (const ncnn::Layer* layer : model.net().layers()) {
        timed_layers_.push_back(std::make_unique<TimedLayer>(*layer, *log_));
    }
    std::vector<ncnn::Mat> plain;
    model.infer(sample, plain);
    log_->describing = true;
    const std::vector<ncnn::Mat> profiled = infer_with_clocks(sample);
    log_->describing = false;
    for (size_t i = 0; i < plain.size(); i++) {
        if (!same(plain[i], profiled[i])) {
            throw Error(ExitCode::inference_failed, "an inference with a clock behind each layer has other outputs");
        }
    }
    log_->marking = marking;
}

Profiler::~Profiler() = default;

const std::vector<LayerRecord>& Profiler::layers() const
{
    return log_->records;
}

std::vector<ncnn::Mat> Profiler::infer_with_clocks(const Sample& sample)
{
    std::vector<ncnn::Mat> outputs;
    log_->ends_ms.clear();
    const InPlaceOf in_place(model_.net().mutable_layers(), timed_layers_);
    model_.infer(sample, outputs);
    return outputs;
}

LayerTimes Profiler::infer(const Sample& sample)
{
    const double start = now_ms();
    const std::vector<ncnn::Mat> outputs = infer_with_clocks(sample);
    const double end = now_ms();
    LayerTimes times = {start, {}, end - start};
    double previous = start;
    for (const double moment : log_->ends_ms) {
        times.times_ms.push_back(moment - previous);
        previous = moment;
    }
    return times;
}

}  // namespace bench
