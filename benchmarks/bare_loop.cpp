// The least that times an ncnn network: load, three inferences to warm up, N timed ones, their times in ms.
//
//     bare_loop PARAM BIN INPUT OUTPUT WIDTH HEIGHT CHANNELS N
#include <net.h>
#include <time.h>

#include <cstdio>
#include <cstdlib>

static double now_ms()
{
    timespec time;
    clock_gettime(CLOCK_MONOTONIC, &time);
    return time.tv_sec * 1e3 + time.tv_nsec * 1e-6;
}

int main(int argc, char** argv)
{
    if (argc != 9) return 2;
    ncnn::Net net;
    net.opt.num_threads = 1;
    net.opt.use_fp16_packed = net.opt.use_fp16_storage = net.opt.use_fp16_arithmetic = false;
    if (net.load_param(argv[1]) != 0 || net.load_model(argv[2]) != 0) return 3;
    ncnn::Mat input(atoi(argv[5]), atoi(argv[6]), atoi(argv[7]));
    for (int q = 0; q < input.c; q++) {
        float* channel = input.channel(q);
        for (int i = 0; i < input.w * input.h; i++) channel[i] = (i * 7919 % 256 - 110) / 255.f;
    }
    const int runs = atoi(argv[8]);
    for (int run = -3; run < runs; run++) {
        const double start = now_ms();
        ncnn::Extractor extractor = net.create_extractor();
        extractor.input(argv[3], input);
        ncnn::Mat output;
        if (extractor.extract(argv[4], output) != 0) return 4;
        const double end = now_ms();
        if (run >= 0) printf("%.6f\n", end - start);
    }
    return 0;
}
