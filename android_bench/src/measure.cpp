#include "measure.h"

#include <cstdint>
#include <numeric>
#include <utility>

#include "clock.h"
#include "crash.h"

namespace bench {

// SplitMix64 (Steele, Lea and Flood, "Fast splittable pseudorandom number generators", 2014): the
// same order of rounds for a seed on every device.
class Random {
public:
    explicit Random(uint64_t seed) : state_(seed) {}

    uint64_t next()
    {
        uint64_t z = state_ += 0x9e3779b97f4a7c15u;
        z = (z ^ (z >> 30)) * 0xbf58476d1ce4e5b9u;
        z = (z ^ (z >> 27)) * 0x94d049bb133111ebu;
        return z ^ (z >> 31);
    }

private:
    uint64_t state_;
};

// Fisher and Yates.
static void shuffle(std::vector<size_t>& order, Random& random)
{
    for (size_t i = order.size(); i > 1; i--) std::swap(order[i - 1], order[random.next() % i]);
}

static bool is_measured(const std::vector<Configuration>& configurations, const Arguments& arguments)
{
    for (const Configuration& configuration : configurations) {
        if (configuration.times_ms.size() < static_cast<size_t>(arguments.min_runs)) return false;
        if (configuration.measured_ms < arguments.min_time_ms) return false;
    }
    return true;
}

static void run_timed(Configuration& configuration, const Sample& sample, double process_start_ms)
{
    std::vector<ncnn::Mat> results;
    const double start = now_ms();
    configuration.model->infer(sample, results);
    const double end = now_ms();
    configuration.measured_ms += end - start;
    configuration.times_ms.push_back(end - start);
    configuration.started_ms.push_back(start - process_start_ms);
}

void measure(std::vector<Configuration>& configurations, const std::vector<Sample>& samples, const Arguments& arguments,
             CpuSwitch& cpu_switch, double process_start_ms)
{
    for (Configuration& configuration : configurations) {
        set_activity(ExitCode::inference_failed, "running configuration " + configuration.arguments->name);
        cpu_switch.apply(configuration);
        std::vector<ncnn::Mat> results;
        for (int i = 0; i < arguments.warmup; i++) configuration.model->infer(samples[i % samples.size()], results);
    }

    set_activity(ExitCode::inference_failed, "measuring");
    Random random(arguments.seed);
    std::vector<size_t> order(configurations.size());
    std::iota(order.begin(), order.end(), size_t(0));
    const double start = now_ms();
    for (size_t round = 0; !is_measured(configurations, arguments); round++) {
        if (arguments.max_time_ms > 0 && round > 0 && now_ms() - start >= arguments.max_time_ms) break;
        shuffle(order, random);
        for (const size_t i : order) {
            cpu_switch.apply(configurations[i]);
            run_timed(configurations[i], samples[round % samples.size()], process_start_ms);
        }
    }
}

}  // namespace bench
