#include "npy.h"

#include <climits>
#include <cstdint>
#include <cstring>

#include "error.h"
#include "files.h"

namespace bench {

static const size_t kMaxFileBytes = size_t(1) << 30;
static const char kMagic[] = "\x93NUMPY";
static const size_t kMagicLength = 6;

static Error npy_error(const std::string& path, const std::string& what)
{
    return Error(ExitCode::bad_file, path + ": " + what);
}

// The text between `key` and the ',' or '}' that ends its value; a tuple's value runs to its ')'.
static std::string header_value(const std::string& header, const std::string& key)
{
    const size_t start = header.find("'" + key + "'");
    if (start == std::string::npos) return "";
    const size_t colon = header.find(':', start);
    if (colon == std::string::npos) return "";
    const size_t first = header.find_first_not_of(' ', colon + 1);
    if (first == std::string::npos) return "";
    const size_t last = header.find_first_of(header[first] == '(' ? ")" : ",}", first);
    return last == std::string::npos ? "" : header.substr(first, last - first);
}

// The numbers of "(1, 3, 256, 256"; empty if there is anything else in it or a number is too large.
static std::vector<size_t> parse_shape(const std::string& text)
{
    std::vector<size_t> shape;
    bool in_number = false;
    for (size_t i = 1; i < text.size(); i++) {
        const char c = text[i];
        if (c >= '0' && c <= '9') {
            if (!in_number) shape.push_back(0);
            in_number = true;
            shape.back() = shape.back() * 10 + (c - '0');
            if (shape.back() > INT_MAX) return {};
        } else if (c == ',' || c == ' ') {
            in_number = false;
        } else {
            return {};
        }
    }
    return shape;
}

// Where the data begins, and the header's text in `header`.
static size_t find_data(const std::string& path, const std::string& content, std::string& header)
{
    if (content.size() < 12 || memcmp(content.data(), kMagic, kMagicLength) != 0) {
        throw npy_error(path, "not a .npy file");
    }
    const auto byte = [&](size_t i) { return static_cast<size_t>(static_cast<unsigned char>(content[i])); };
    const size_t version = byte(6);
    if (version != 1 && version != 2) throw npy_error(path, "an unknown version of the .npy format");
    const size_t length_end = version == 1 ? 10 : 12;
    size_t length = byte(8) | byte(9) << 8;
    if (version == 2) length |= byte(10) << 16 | byte(11) << 24;
    if (length > content.size() - length_end) throw npy_error(path, "truncated in its header");
    header = content.substr(length_end, length);
    return length_end + length;
}

Array read_npy(const std::string& path)
{
    const std::string content = read_file(path, kMaxFileBytes);
    std::string header;
    const size_t data_start = find_data(path, content, header);
    if (header_value(header, "descr") != "'<f4'") throw npy_error(path, "its type is not little-endian float32");
    if (header_value(header, "fortran_order") != "False") throw npy_error(path, "it is not in C order");

    Array array;
    array.shape = parse_shape(header_value(header, "shape"));
    if (array.shape.size() < 2 || array.shape.size() > 4) {
        throw npy_error(path, "its shape does not have 2 to 4 dimensions");
    }
    size_t count = 1;
    for (const size_t size : array.shape) {
        // The file's own size bounds the product, before it can overflow.
        if (size == 0 || size > kMaxFileBytes / count) throw npy_error(path, "its shape is empty or too large");
        count *= size;
    }
    const size_t data_bytes = content.size() - data_start;
    if (data_bytes != count * sizeof(float)) {
        throw npy_error(path, "it holds " + std::to_string(data_bytes) + " bytes of data, and its shape needs " +
                                  std::to_string(count * sizeof(float)));
    }
    array.values.resize(count);
    memcpy(array.values.data(), content.data() + data_start, data_bytes);
    return array;
}

void write_npy(const std::string& path, const Array& array)
{
    std::string header = "{'descr': '<f4', 'fortran_order': False, 'shape': (";
    for (const size_t size : array.shape) header += std::to_string(size) + ", ";
    header += "), }";
    // The format asks for data at a multiple of 64 bytes, and a newline before it.
    while ((kMagicLength + 4 + header.size() + 1) % 64 != 0) header += ' ';
    header += '\n';

    std::string content(kMagic, kMagicLength);
    content += '\x01';
    content += '\x00';
    content += static_cast<char>(header.size() & 0xff);
    content += static_cast<char>(header.size() >> 8);
    content += header;
    content.append(reinterpret_cast<const char*>(array.values.data()), array.values.size() * sizeof(float));
    write_file(path, content);
}

}  // namespace bench
