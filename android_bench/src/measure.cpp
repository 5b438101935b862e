#include "measure.h"

#include <algorithm>
#include <cmath>
#include <cstdint>
#include <functional>
#include <numeric>
#include <utility>

#include "clock.h"
#include "crash.h"
#include "document.h"

namespace bench {

// A configuration is warm when its last runs are not faster than those before by more than this.
static const size_t kTrendRuns = 8;
static const double kTrendShare = 0.02;

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

// What a configuration has done in one phase.
struct Progress {
    size_t runs = 0;
    double time_ms = 0;
    std::vector<double> last;  // the newest 2 * kTrendRuns times
};

static double median(std::vector<double> values)
{
    std::nth_element(values.begin(), values.begin() + values.size() / 2, values.end());
    return values[values.size() / 2];
}

static bool still_gets_faster(const Progress& progress)
{
    if (progress.last.size() < 2 * kTrendRuns) return true;
    const auto middle = progress.last.begin() + kTrendRuns;
    return median({middle, progress.last.end()}) < (1 - kTrendShare) * median({progress.last.begin(), middle});
}

// Runs rounds of one phase after another.
class Rounds {
public:
    Rounds(std::vector<Configuration>& configurations, const Arguments& arguments, CpuSwitch& cpu_switch,
           const Journal& journal)
        : configurations_(configurations),
          arguments_(arguments),
          cpu_switch_(cpu_switch),
          journal_(journal),
          watch_(arguments.watches, arguments.watch_every_ms),
          random_(arguments.seed),
          order_(configurations.size())
    {
        std::iota(order_.begin(), order_.end(), size_t(0));
    }

    void warm_up();
    void measure(Phase phase);
    std::vector<Reading> readings() && { return std::move(readings_); }

private:
    void begin(Phase phase);
    void run_round();
    void run(size_t index, double due_ms);
    void profile(size_t index);
    void take_reading(bool at_once);
    double wait_for_tick();
    bool all(const std::function<bool(const Progress&)>& holds) const
    {
        return std::all_of(progress_.begin(), progress_.end(), holds);
    }

    std::vector<Configuration>& configurations_;
    const Arguments& arguments_;
    CpuSwitch& cpu_switch_;
    const Journal& journal_;
    Watch watch_;
    std::vector<Reading> readings_;
    Random random_;
    std::vector<size_t> order_;

    Phase phase_ = Phase::warmup;
    int64_t round_ = 0;
    double phase_start_ms_ = 0;
    double next_tick_ms_ = 0;
    std::vector<Progress> progress_;
};

void Rounds::begin(Phase phase)
{
    phase_ = phase;
    round_ = 0;
    phase_start_ms_ = next_tick_ms_ = now_ms();
    progress_.assign(configurations_.size(), Progress());
}

void Rounds::take_reading(bool at_once)
{
    if (const std::optional<Reading> reading = watch_.read(at_once)) {
        readings_.push_back(*reading);
        journal_.write(reading_line(*reading, arguments_));
    }
}

// Ticks that passed during an inference are skipped, as a camera's frames would be dropped.
double Rounds::wait_for_tick()
{
    const double period = 1e3 / arguments_.pace_hz;
    const double late = now_ms() - next_tick_ms_;
    if (late > 0) next_tick_ms_ += std::ceil(late / period) * period;
    const double due = next_tick_ms_;
    next_tick_ms_ += period;
    sleep_until_ms(due);
    return due;
}

void Rounds::run(size_t index, double due_ms)
{
    Configuration& configuration = configurations_[index];
    const std::vector<Sample>& samples = *configuration.samples;
    std::vector<ncnn::Mat> results;
    const double cpu_start = cpu_ms();
    const double start = now_ms();
    configuration.model->infer(samples[round_ % samples.size()], results);
    double end = now_ms();
    if (configuration.arguments->spin_percent > 0) {
        const double until = end + (end - start) * configuration.arguments->spin_percent / 100;
        while (end < until) end = now_ms();
    }
    const double cpu = cpu_ms() - cpu_start;
    const Timing timing = {phase_, round_, start, end - start, cpu, due_ms};
    configuration.timings.push_back(timing);
    journal_.write(timing_line(index, timing));

    Progress& progress = progress_[index];
    progress.runs++;
    progress.time_ms += timing.time_ms;
    progress.last.push_back(timing.time_ms);
    if (progress.last.size() > 2 * kTrendRuns) progress.last.erase(progress.last.begin());
}

void Rounds::profile(size_t index)
{
    Configuration& configuration = configurations_[index];
    const std::vector<Sample>& samples = *configuration.samples;
    journal_.write(layers_line(index, round_, configuration.profiler->infer(samples[round_ % samples.size()])));
}

void Rounds::run_round()
{
    shuffle(order_, random_);
    for (const size_t i : order_) {
        cpu_switch_.apply(configurations_[i]);
        take_reading(false);
        const bool profiled = phase_ == Phase::steady && configurations_[i].profiler;
        const bool profiled_first = profiled && random_.next() % 2;
        if (profiled_first) profile(i);
        run(i, phase_ == Phase::paced ? wait_for_tick() : 0);
        if (profiled && !profiled_first) profile(i);
    }
    round_++;
}

void Rounds::warm_up()
{
    begin(Phase::warmup);
    const auto done = [this](const Progress& progress) {
        const bool enough = progress.runs >= static_cast<size_t>(arguments_.warmup) &&
                            progress.time_ms >= arguments_.warmup_time_ms;
        const bool waits = now_ms() - phase_start_ms_ < arguments_.max_warmup_ms;
        return enough && !(waits && still_gets_faster(progress));
    };
    while (!all(done)) run_round();
}

void Rounds::measure(Phase phase)
{
    begin(phase);
    const double period = phase == Phase::paced ? 1e3 / arguments_.pace_hz : 0;
    const auto done = [this, period](const Progress& progress) {
        if (arguments_.max_runs > 0 && progress.runs >= static_cast<size_t>(arguments_.max_runs)) return true;
        return progress.runs >= static_cast<size_t>(arguments_.min_runs) &&
               std::max(progress.time_ms, progress.runs * period) >= arguments_.min_time_ms;
    };
    take_reading(true);
    while (!all(done)) {
        const bool time_is_up = arguments_.max_time_ms > 0 && now_ms() - phase_start_ms_ >= arguments_.max_time_ms;
        if (time_is_up && round_ > 0) break;
        run_round();
    }
    take_reading(true);
}

std::vector<Reading> measure(std::vector<Configuration>& configurations, const Arguments& arguments,
                             CpuSwitch& cpu_switch, const Journal& journal)
{
    Rounds rounds(configurations, arguments, cpu_switch, journal);
    set_activity(ExitCode::inference_failed, "warming up");
    rounds.warm_up();
    set_activity(ExitCode::inference_failed, "measuring");
    rounds.measure(Phase::steady);
    if (arguments.pace_hz > 0) rounds.measure(Phase::paced);
    return std::move(rounds).readings();
}

}  // namespace bench
