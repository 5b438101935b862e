// Run an ncnn network once with allocators that count, and print the most bytes of blobs and of workspace at once.
//
//     peak_activations PARAM BIN INPUT WIDTH HEIGHT CHANNELS PACKING OUTPUT...
#include <net.h>

#include <cstdio>
#include <cstdlib>
#include <map>
#include <mutex>

class Counter : public ncnn::Allocator {
public:
    void* fastMalloc(size_t size) override
    {
        void* memory = ncnn::fastMalloc(size);
        std::lock_guard<std::mutex> lock(mutex_);
        sizes_[memory] = size;
        now_ += size;
        if (now_ > peak) peak = now_;
        return memory;
    }
    void fastFree(void* memory) override
    {
        {
            std::lock_guard<std::mutex> lock(mutex_);
            now_ -= sizes_[memory];
            sizes_.erase(memory);
        }
        ncnn::fastFree(memory);
    }
    size_t peak = 0;

private:
    std::mutex mutex_;
    std::map<void*, size_t> sizes_;
    size_t now_ = 0;
};

int main(int argc, char** argv)
{
    if (argc < 9) return 2;
    Counter blobs, workspace;
    ncnn::Net net;
    net.opt.num_threads = 1;
    net.opt.use_packing_layout = atoi(argv[7]) != 0;
    net.opt.use_fp16_packed = net.opt.use_fp16_storage = net.opt.use_fp16_arithmetic = false;
    net.opt.blob_allocator = &blobs;
    net.opt.workspace_allocator = &workspace;
    if (net.load_param(argv[1]) != 0 || net.load_model(argv[2]) != 0) return 3;
    blobs.peak = workspace.peak = 0;
    {
        ncnn::Mat input(atoi(argv[4]), atoi(argv[5]), atoi(argv[6]), 4u, &blobs);
        input.fill(0.f);
        ncnn::Extractor extractor = net.create_extractor();
        extractor.input(argv[3], input);
        for (int i = 8; i < argc; i++) {
            ncnn::Mat output;
            if (extractor.extract(argv[i], output, 1) != 0) return 4;
        }
    }
    printf("%zu %zu\n", blobs.peak, workspace.peak);
    return 0;
}
