// How the program ends, and the one exception that carries it.
#pragma once

#include <stdexcept>
#include <string>

namespace bench {

// Exit codes, as --help lists them.
enum class ExitCode {
    ok = 0,
    usage = 2,
    bad_file = 3,
    missing_layer = 4,
    inference_failed = 5,
    unsupported_cpu = 6,
};

class Error : public std::runtime_error {
public:
    Error(ExitCode code, const std::string& message) : std::runtime_error(message), code_(code) {}

    ExitCode code() const { return code_; }

private:
    ExitCode code_;
};

}  // namespace bench
