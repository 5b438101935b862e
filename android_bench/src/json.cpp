#include "json.h"

#include <cmath>
#include <cstdio>

namespace bench {

void JsonWriter::begin(char bracket)
{
    separate();
    text_ += bracket;
    needs_comma_ = false;
}

void JsonWriter::end(char bracket)
{
    text_ += bracket;
    needs_comma_ = true;
}

void JsonWriter::separate()
{
    if (needs_comma_) text_ += ", ";
    needs_comma_ = true;
}

void JsonWriter::key(const std::string& name)
{
    value(name);
    text_ += ": ";
    needs_comma_ = false;
}

// The length of the well-formed UTF-8 sequence at `i`, or 0 (Unicode 15, table 3-7).
static size_t utf8_length(const std::string& text, size_t i)
{
    const auto byte = [&](size_t k) { return i + k < text.size() ? static_cast<unsigned char>(text[i + k]) : 0u; };
    const auto continues = [&](size_t k) { return (byte(k) & 0xc0) == 0x80; };
    const unsigned int first = byte(0);
    if (first < 0x80) return 1;
    if (first >= 0xc2 && first <= 0xdf && continues(1)) return 2;
    if (first >= 0xe0 && first <= 0xef && continues(1) && continues(2)) {
        const bool overlong = first == 0xe0 && byte(1) < 0xa0;
        const bool surrogate = first == 0xed && byte(1) > 0x9f;
        return overlong || surrogate ? 0 : 3;
    }
    if (first >= 0xf0 && first <= 0xf4 && continues(1) && continues(2) && continues(3)) {
        const bool overlong = first == 0xf0 && byte(1) < 0x90;
        const bool beyond = first == 0xf4 && byte(1) > 0x8f;
        return overlong || beyond ? 0 : 4;
    }
    return 0;
}

// File names need not be UTF-8, a JSON document must be: other bytes become U+FFFD.
void JsonWriter::value(const std::string& text)
{
    separate();
    text_ += '"';
    for (size_t i = 0; i < text.size();) {
        const unsigned char c = static_cast<unsigned char>(text[i]);
        const size_t length = utf8_length(text, i);
        if (c < 0x20 || c == 0x7f) {
            char escape[8];
            snprintf(escape, sizeof(escape), "\\u%04x", c);
            text_ += escape;
        } else if (c == '"' || c == '\\') {
            text_ += '\\';
            text_ += text[i];
        } else if (length == 0) {
            text_ += "\\ufffd";
        } else {
            text_ += text.substr(i, length);
        }
        i += length == 0 ? 1 : length;
    }
    text_ += '"';
}

void JsonWriter::value(bool truth)
{
    separate();
    text_ += truth ? "true" : "false";
}

void JsonWriter::value(int64_t number)
{
    separate();
    text_ += std::to_string(number);
}

void JsonWriter::value(double number)
{
    if (!std::isfinite(number)) return null();
    separate();
    char digits[64];
    snprintf(digits, sizeof(digits), "%.6f", number);
    text_ += digits;
}

void JsonWriter::null()
{
    separate();
    text_ += "null";
}

void JsonWriter::member(const std::string& name, const std::optional<int64_t>& content)
{
    key(name);
    if (content) value(*content);
    else null();
}

}  // namespace bench
