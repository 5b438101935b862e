#include "roofline.h"

#include <sched.h>
#include <stdlib.h>

#include <algorithm>
#include <atomic>
#include <functional>
#include <memory>
#include <new>
#include <thread>

#include "clock.h"
#include "error.h"
#include "roofline_kernels.h"

namespace bench {

static const int kRounds = 9;
static const double kRoundMs = 4;
static const double kWarmUpMs = 100;  // a clock that was low is up after some ten milliseconds
static const int64_t kCheckedIterations = 50;  // few, for fp16 counts exactly to 2048 only

// From within a first-level cache to beyond what a phone has of cache.
static const int64_t kWorkingSets[] = {int64_t(16) << 10, int64_t(128) << 10, int64_t(1) << 20, int64_t(8) << 20,
                                       int64_t(64) << 20};

// Does something so often.
using Work = std::function<void(int64_t iterations)>;

// Iterations a second of all threads together: each has work of its own and counts its own time, while
// the others are at it too.
static double rate(std::vector<Work>& works, int64_t iterations)
{
    std::atomic<size_t> ready{0};
    std::vector<double> rates(works.size());
    const auto run = [&](size_t i) {
        ready++;
        while (ready < works.size()) sched_yield();
        const double start = now_ms();
        works[i](iterations);
        rates[i] = iterations * 1e3 / (now_ms() - start);
    };
    std::vector<std::thread> others;
    for (size_t i = 1; i < works.size(); i++) others.emplace_back(run, i);
    run(0);
    for (std::thread& other : others) other.join();
    double sum = 0;
    for (const double each : rates) sum += each;
    return sum;
}

static double median_rate(std::vector<Work> works)
{
    int64_t iterations = 1;
    for (double took = 0; took < kRoundMs; iterations *= 2) {
        const double start = now_ms();
        works[0](iterations);
        took = now_ms() - start;
    }
    std::vector<double> rates;
    for (int round = 0; round < kRounds; round++) rates.push_back(rate(works, iterations));
    std::nth_element(rates.begin(), rates.begin() + kRounds / 2, rates.end());
    return rates[kRounds / 2];
}

static void check(bool computed, const std::string& kernel)
{
    if (!computed) throw Error(ExitCode::inference_failed, kernel + " does not compute what it should on this CPU");
}

static Peak measure_peak(const MultiplyAdd& kernel, int threads)
{
    const double expected = static_cast<double>(kProduct) * kernel.macs * kCheckedIterations;
    check(kernel.run(kCheckedIterations) == expected, kernel.instruction);
    const Work work = [&](int64_t iterations) { (void)kernel.run(iterations); };
    const double rate = median_rate(std::vector<Work>(threads, work));
    return {kernel.arithmetic, kernel.instruction, threads, rate * kernel.macs * 1e-9};
}

static const size_t kPage = 4096;

// Memory of one thread, aligned to pages; each integer begins as 1.
class Buffer {
public:
    explicit Buffer(size_t size) : size_(size)
    {
        void* memory = nullptr;
        if (posix_memalign(&memory, kPage, size) != 0) throw std::bad_alloc();
        data_ = static_cast<uint32_t*>(memory);
        std::fill_n(data_, size / sizeof(uint32_t), 1u);
    }
    ~Buffer() { free(data_); }
    Buffer(const Buffer&) = delete;
    Buffer& operator=(const Buffer&) = delete;

    size_t size() const { return size_; }
    uint32_t* data() { return data_; }

private:
    size_t size_;
    uint32_t* data_;
};

// The working set's lower half is copied to its upper half.
static void copy_halves(Buffer& buffer)
{
    const size_t half = buffer.size() / 2;
    copy_memory(buffer.data(), buffer.data() + half / sizeof(uint32_t), half);
}

static void check_memory(Buffer& buffer)
{
    const uint32_t count = static_cast<uint32_t>(buffer.size() / sizeof(uint32_t));
    check(read_memory(buffer.data(), buffer.size()) == count, "reading memory");
    copy_halves(buffer);
    check(read_memory(buffer.data(), buffer.size()) == count + count / 2, "copying memory");
}

static Bandwidth measure_bandwidth(int64_t bytes, int threads)
{
    const size_t share = std::max(static_cast<size_t>(bytes) / threads / kPage, size_t(1)) * kPage;
    std::vector<std::unique_ptr<Buffer>> buffers;
    std::vector<Work> readers, copiers;
    for (int i = 0; i < threads; i++) {
        buffers.push_back(std::make_unique<Buffer>(share));
        Buffer& buffer = *buffers.back();
        check_memory(buffer);
        readers.push_back([&buffer](int64_t iterations) {
            volatile uint32_t sink;
            while (iterations-- > 0) sink = read_memory(buffer.data(), buffer.size());
            (void)sink;
        });
        copiers.push_back([&buffer](int64_t iterations) {
            while (iterations-- > 0) copy_halves(buffer);
        });
    }
    const double gigabytes = share * 1e-9;
    return {bytes, threads, median_rate(readers) * gigabytes, median_rate(copiers) * gigabytes};
}

Roofline measure_roofline(int threads)
{
    Roofline roofline;
    const std::vector<MultiplyAdd> kernels = multiply_adds();
    const double start = now_ms();
    while (now_ms() - start < kWarmUpMs) (void)kernels[0].run(1000);
    std::vector<int> counts = {1};
    if (threads > 1) counts.push_back(threads);
    for (const int count : counts) {
        for (const MultiplyAdd& kernel : kernels) roofline.peaks.push_back(measure_peak(kernel, count));
        for (const int64_t bytes : kWorkingSets) roofline.bandwidths.push_back(measure_bandwidth(bytes, count));
    }
    return roofline;
}

}  // namespace bench
