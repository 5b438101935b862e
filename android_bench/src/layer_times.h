// How long each layer of an inference takes, and on what it works.
#pragma once

#include <layer.h>

#include <cstdint>
#include <memory>
#include <string>
#include <vector>

#include "model.h"
#include "samples.h"

namespace bench {

// A blob as it was when a layer ran.
struct BlobRecord {
    std::vector<int64_t> shape;  // (w), (h, w), (c, h, w) or (c, d, h, w), not packed
    int elempack;                // values of the first axis that lie beside each other
    int elembits;                // of one value: 32, 16 or 8
};

struct LayerRecord {
    std::string name;
    std::string type;
    std::vector<BlobRecord> inputs;  // as the layer got them: ncnn has converted their layout
    std::vector<BlobRecord> outputs;
};

// One inference. A layer's time goes from the end of the one before to its own end: its kernel, the
// conversion of its inputs' layout, and what ncnn does in between. So the layers lie back to back.
struct LayerTimes {
    double started_ms;             // of CLOCK_MONOTONIC
    std::vector<double> times_ms;  // in the order of Profiler::layers()
    double whole_ms;               // these, and the conversion of the outputs at the end
};

class LayerLog;

// Runs a model with a clock behind each layer.
//
// ncnn measures layers only where it is built to print them, and to extract blob after blob would copy
// each out of the pool that it lies in (Extractor::extract in net.cpp). Here every layer of the loaded
// net is replaced, for the time of an inference, by one that calls it and looks at the clock. Nothing
// else differs: the same pool, the same work in place, the same order.
class Profiler {
public:
    // Runs the sample once without and once with clocks. Throws Error(inference_failed) if the outputs differ.
    // With `marking`, later inferences make a mark behind each layer too (marks.h).
    Profiler(Model& model, const Sample& sample, bool marking);
    ~Profiler();

    LayerTimes infer(const Sample& sample);

    // The layers that the outputs need, in the order in which they run; Input layers do nothing.
    const std::vector<LayerRecord>& layers() const;

private:
    std::vector<ncnn::Mat> infer_with_clocks(const Sample& sample);

    Model& model_;
    std::unique_ptr<LayerLog> log_;
    std::vector<std::unique_ptr<ncnn::Layer>> timed_layers_;
};

}  // namespace bench
