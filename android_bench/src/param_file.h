// A .param file, read as far as needed to say in good words what ncnn would refuse or crash on.
#pragma once

#include <string>
#include <vector>

namespace bench {

struct ParamLayer {
    std::string type;
    std::string name;
    std::vector<std::string> inputs;
    std::vector<std::string> outputs;
    std::vector<std::string> parameters;  // as written: "0=24"
    int line = 0;

    // The value of an integer parameter, or `fallback` where it is not given as one.
    int integer(int key, int fallback) const;

    // Whether the layer's weights are stored or quantized as int8.
    bool is_int8() const;
};

class ParamFile {
public:
    // Throws Error(bad_file), naming the line.
    ParamFile(const std::string& path, const std::string& text);

    const std::vector<ParamLayer>& layers() const { return layers_; }

    // The layer that makes the blob, or nullptr.
    const ParamLayer* producer(const std::string& blob) const;

    // The distinct layer types that are not among `built`.
    std::vector<std::string> missing_types(const std::vector<std::string>& built) const;

private:
    void read_counts(const std::string& line);
    void read_layer(const std::string& line, int number);
    void check_blobs(size_t declared_blobs) const;
    [[noreturn]] void fail(int line, const std::string& what) const;

    std::string path_;
    size_t layer_count_ = 0;
    size_t blob_count_ = 0;
    std::vector<ParamLayer> layers_;
};

}  // namespace bench
