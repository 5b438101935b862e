// A JSON document written in order.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

namespace bench {

class JsonWriter {
public:
    void begin_object() { begin('{'); }
    void end_object() { end('}'); }
    void begin_array() { begin('['); }
    void end_array() { end(']'); }

    void key(const std::string& name);

    void value(const std::string& text);
    void value(const char* text) { value(std::string(text)); }
    void value(bool truth);
    void value(int64_t number);
    void value(double number);  // six decimals: nanoseconds, where the unit is ms
    void null();

    template <typename T>
    void member(const std::string& name, const T& content)
    {
        key(name);
        value(content);
    }
    void member(const std::string& name, int content) { member(name, static_cast<int64_t>(content)); }
    void member(const std::string& name, const std::optional<int64_t>& content);
    template <typename T>
    void member(const std::string& name, const std::vector<T>& content)
    {
        key(name);
        begin_array();
        for (const T& item : content) value(item);
        end_array();
    }

    const std::string& text() const { return text_; }

private:
    void begin(char bracket);
    void end(char bracket);
    void separate();

    std::string text_;
    bool needs_comma_ = false;
};

}  // namespace bench
