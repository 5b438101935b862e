#include "param_file.h"

#include <algorithm>
#include <cstdlib>
#include <map>
#include <set>
#include <sstream>

#include "error.h"

namespace bench {

static const char kMagic[] = "7767517";
static const size_t kMaxCount = 1000000;     // as ncnn's own net.cpp
static const size_t kMaxNameLength = 255;    // ncnn reads names into char[256]

static std::vector<std::string> split(const std::string& line)
{
    std::istringstream stream(line);
    std::vector<std::string> tokens;
    std::string token;
    while (stream >> token) tokens.push_back(token);
    return tokens;
}

// A count of at most kMaxCount; -1 for anything else.
static long parse_count(const std::string& text)
{
    if (text.empty() || text.size() > 7 || text.find_first_not_of("0123456789") != std::string::npos) return -1;
    const long value = std::strtol(text.c_str(), nullptr, 10);
    return value <= static_cast<long>(kMaxCount) ? value : -1;
}

int ParamLayer::integer(int key, int fallback) const
{
    const std::string prefix = std::to_string(key) + "=";
    for (const std::string& parameter : parameters) {
        if (parameter.compare(0, prefix.size(), prefix) != 0) continue;
        const std::string value = parameter.substr(prefix.size());
        char* end = nullptr;
        const long number = std::strtol(value.c_str(), &end, 10);
        if (end != value.c_str() && *end == '\0') return static_cast<int>(number);
    }
    return fallback;
}

bool ParamLayer::is_int8() const
{
    // The parameter that holds int8_scale_term (quantize_term) in each layer's load_param.
    static const std::map<std::string, int> keys = {
        {"Convolution", 8}, {"ConvolutionDepthWise", 8}, {"InnerProduct", 8}, {"LSTM", 8},
        {"GRU", 8},         {"RNN", 8},                  {"Gemm", 18},        {"Embed", 18},
        {"SDPA", 18},       {"MultiHeadAttention", 18},
    };
    const auto key = keys.find(type);
    return key != keys.end() && integer(key->second, 0) != 0;
}

ParamFile::ParamFile(const std::string& path, const std::string& text) : path_(path)
{
    std::istringstream stream(text);
    std::string line;
    int number = 0;
    int filled_lines = 0;
    while (std::getline(stream, line)) {
        number++;
        if (line.find('\0') != std::string::npos) fail(number, "it holds a zero byte");
        const std::vector<std::string> tokens = split(line);
        if (tokens.empty()) continue;
        filled_lines++;
        if (filled_lines == 1 && (tokens.size() != 1 || tokens[0] != kMagic)) {
            fail(number, "not an ncnn .param file in text form");
        }
        if (filled_lines == 2) read_counts(line);
        if (filled_lines > 2) read_layer(line, number);
    }
    if (filled_lines < 2) fail(number, "the file ends before its counts");
    if (layers_.size() != layer_count_) {
        fail(number, std::to_string(layer_count_) + " layers are announced, " + std::to_string(layers_.size()) +
                         " are there");
    }
    check_blobs(blob_count_);
}

void ParamFile::fail(int line, const std::string& what) const
{
    throw Error(ExitCode::bad_file, path_ + ":" + std::to_string(line) + ": " + what);
}

void ParamFile::read_counts(const std::string& line)
{
    const std::vector<std::string> tokens = split(line);
    const long layers = tokens.size() == 2 ? parse_count(tokens[0]) : -1;
    const long blobs = tokens.size() == 2 ? parse_count(tokens[1]) : -1;
    if (layers <= 0 || blobs <= 0) fail(2, "the counts of layers and blobs are not two positive numbers");
    layer_count_ = static_cast<size_t>(layers);
    blob_count_ = static_cast<size_t>(blobs);
}

void ParamFile::read_layer(const std::string& line, int number)
{
    const std::vector<std::string> tokens = split(line);
    if (layers_.size() == layer_count_) fail(number, "more layers than announced");
    const long inputs = tokens.size() >= 4 ? parse_count(tokens[2]) : -1;
    const long outputs = tokens.size() >= 4 ? parse_count(tokens[3]) : -1;
    if (inputs < 0 || outputs < 0 || tokens.size() < 4 + static_cast<size_t>(inputs + outputs)) {
        fail(number, "not a layer: type, name, two counts, that many blob names, parameters");
    }
    for (size_t i = 0; i < 4 + static_cast<size_t>(inputs + outputs); i++) {
        if (tokens[i].size() > kMaxNameLength) fail(number, "a name is longer than 255 characters");
    }
    ParamLayer layer;
    layer.type = tokens[0];
    layer.name = tokens[1];
    layer.line = number;
    const auto first_input = tokens.begin() + 4;
    layer.inputs.assign(first_input, first_input + inputs);
    layer.outputs.assign(first_input + inputs, first_input + inputs + outputs);
    layer.parameters.assign(first_input + inputs + outputs, tokens.end());
    for (const std::string& parameter : layer.parameters) {
        if (parameter.find('=') == std::string::npos) fail(number, "not a parameter: " + parameter);
    }
    layers_.push_back(std::move(layer));
}

// Every blob is made once, before it is used, and used once: a fan-out needs a Split layer.
void ParamFile::check_blobs(size_t declared_blobs) const
{
    std::set<std::string> made;
    std::set<std::string> used;
    for (const ParamLayer& layer : layers_) {
        for (const std::string& blob : layer.inputs) {
            if (!made.count(blob)) fail(layer.line, "blob " + blob + " is used before any layer makes it");
            if (!used.insert(blob).second) {
                fail(layer.line, "blob " + blob + " has a second consumer, without a Split layer");
            }
        }
        for (const std::string& blob : layer.outputs) {
            if (!made.insert(blob).second) fail(layer.line, "blob " + blob + " is made twice");
        }
    }
    if (made.size() > declared_blobs) {
        fail(2, std::to_string(declared_blobs) + " blobs are announced, " + std::to_string(made.size()) + " are there");
    }
}

const ParamLayer* ParamFile::producer(const std::string& blob) const
{
    for (const ParamLayer& layer : layers_) {
        if (std::find(layer.outputs.begin(), layer.outputs.end(), blob) != layer.outputs.end()) return &layer;
    }
    return nullptr;
}

std::vector<std::string> ParamFile::missing_types(const std::vector<std::string>& built) const
{
    std::vector<std::string> missing;
    for (const ParamLayer& layer : layers_) {
        const bool known = std::find(built.begin(), built.end(), layer.type) != built.end();
        const bool reported = std::find(missing.begin(), missing.end(), layer.type) != missing.end();
        if (!known && !reported) missing.push_back(layer.type);
    }
    return missing;
}

}  // namespace bench
