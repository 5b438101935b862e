#include "roofline_kernels.h"

#include <cpu.h>
#include <string.h>

namespace bench {

// The loops are in assembly, so that they are what they say whatever the compiler would make of them.
// Sums: the latency of a multiply-add times how many a core starts in a cycle, as registers allow: 4 x 4
// on the widest ARM cores (Arm Cortex-X3 Software Optimization Guide), 5 x 2 on Haswell and 4 x 2 later
// (Agner Fog, Instruction tables).
#if defined(__aarch64__)
static const int kSums = 20;  // of 32 registers
#else
static const int kSums = 12;  // of 16
#endif

template <typename Scalar, typename Vector>
static double total(const Vector (&sums)[kSums])
{
    double result = 0;
    for (const Vector& sum : sums) {
        Scalar values[sizeof(Vector) / sizeof(Scalar)];
        memcpy(values, &sum, sizeof(values));
        for (const Scalar value : values) result += static_cast<double>(value);
    }
    return result;
}

template <typename Vector, typename Scalar>
static void fill(Vector& vector, Scalar value)
{
    Scalar values[sizeof(Vector) / sizeof(Scalar)];
    for (Scalar& each : values) each = value;
    memcpy(&vector, values, sizeof(vector));
}

// NAME(iterations) does STEP, in which `sum`, `a`, `b` and `scratch` are registers, on each of the sums.
#define BENCH_KERNEL(NAME, ATTRIBUTES, Vector, Factor, SumScalar, FactorScalar, STEP)        \
    ATTRIBUTES static double NAME(int64_t iterations)                                       \
    {                                                                                       \
        Factor a, b;                                                                        \
        fill(a, static_cast<FactorScalar>(2));                                              \
        fill(b, static_cast<FactorScalar>(kProduct / 2));                                   \
        Vector sums[kSums] = {};                                                            \
        for (int64_t i = 0; i < iterations; i++) {                                          \
            _Pragma("unroll") for (Vector & sum : sums) { STEP; }                           \
        }                                                                                   \
        return total<SumScalar>(sums);                                                      \
    }

#if defined(__x86_64__)

#if defined(BENCH_AVX512VNNI)

typedef int32_t Vector64 __attribute__((vector_size(64)));
#define BENCH_AVX512 __attribute__((target("avx512f,avx512vnni")))

BENCH_KERNEL(fp32_fma, BENCH_AVX512, Vector64, Vector64, float, float,
             asm("vfmadd231ps %2, %1, %0" : "+v"(sum) : "v"(a), "v"(b)))
BENCH_KERNEL(int8_dpbusd, BENCH_AVX512, Vector64, Vector64, int32_t, int8_t,
             asm("vpdpbusd %2, %1, %0" : "+v"(sum) : "v"(a), "v"(b)))

std::vector<MultiplyAdd> multiply_adds()
{
    return {{"fp32", "vfmadd231ps", kSums * 16, fp32_fma}, {"int8", "vpdpbusd", kSums * 64, int8_dpbusd}};
}

#else

typedef int32_t Vector32 __attribute__((vector_size(32)));
#define BENCH_AVX2 __attribute__((target("avx2,fma")))

BENCH_KERNEL(fp32_fma, BENCH_AVX2, Vector32, Vector32, float, float,
             asm("vfmadd231ps %2, %1, %0" : "+x"(sum) : "x"(a), "x"(b)))
// Values of 8 bits, widened to 16 when they were packed: what ncnn does without VNNI.
BENCH_KERNEL(int8_pmaddwd, BENCH_AVX2, Vector32, Vector32, int32_t, int16_t,
             Vector32 scratch;
             asm("vpmaddwd %3, %2, %1\n\tvpaddd %1, %0, %0" : "+x"(sum), "=&x"(scratch) : "x"(a), "x"(b)))

std::vector<MultiplyAdd> multiply_adds()
{
    return {{"fp32", "vfmadd231ps", kSums * 8, fp32_fma}, {"int8", "vpmaddwd", kSums * 16, int8_pmaddwd}};
}

#endif

#elif defined(__aarch64__)

typedef int32_t Vector16 __attribute__((vector_size(16)));

BENCH_KERNEL(fp32_fmla, , Vector16, Vector16, float, float,
             asm("fmla %0.4s, %1.4s, %2.4s" : "+w"(sum) : "w"(a), "w"(b)))
BENCH_KERNEL(fp16_fmla, __attribute__((target("fp16"))), Vector16, Vector16, __fp16, __fp16,
             asm("fmla %0.8h, %1.8h, %2.8h" : "+w"(sum) : "w"(a), "w"(b)))
// Two products fit into 16 bits, because weights and activations stay within 127.
BENCH_KERNEL(int8_smull, , Vector16, Vector16, int32_t, int8_t,
             Vector16 scratch;
             asm("smull %1.8h, %2.8b, %3.8b\n\tsmlal %1.8h, %2.8b, %3.8b\n\tsadalp %0.4s, %1.8h"
                 : "+w"(sum), "=&w"(scratch) : "w"(a), "w"(b)))
BENCH_KERNEL(int8_sdot, __attribute__((target("dotprod"))), Vector16, Vector16, int32_t, int8_t,
             asm("sdot %0.4s, %1.16b, %2.16b" : "+w"(sum) : "w"(a), "w"(b)))
BENCH_KERNEL(int8_smmla, __attribute__((target("i8mm"))), Vector16, Vector16, int32_t, int8_t,
             asm("smmla %0.4s, %1.16b, %2.16b" : "+w"(sum) : "w"(a), "w"(b)))

std::vector<MultiplyAdd> multiply_adds()
{
    std::vector<MultiplyAdd> found = {{"fp32", "fmla", kSums * 4, fp32_fmla}};
    if (ncnn::cpu_support_arm_asimdhp()) found.push_back({"fp16", "fmla", kSums * 8, fp16_fmla});
    if (ncnn::cpu_support_arm_i8mm()) found.push_back({"int8", "smmla", kSums * 32, int8_smmla});
    else if (ncnn::cpu_support_arm_asimddp()) found.push_back({"int8", "sdot", kSums * 16, int8_sdot});
    else found.push_back({"int8", "smlal", kSums * 16, int8_smull});
    return found;
}

#elif defined(__arm__)

typedef int32_t Vector16 __attribute__((vector_size(16)));
typedef int32_t Vector8 __attribute__((vector_size(8)));

BENCH_KERNEL(fp32_vmla, , Vector16, Vector16, float, float,
             asm("vmla.f32 %q0, %q1, %q2" : "+w"(sum) : "w"(a), "w"(b)))
BENCH_KERNEL(int8_vmull, , Vector16, Vector8, int32_t, int8_t,
             Vector16 scratch;
             asm("vmull.s8 %q1, %P2, %P3\n\tvmlal.s8 %q1, %P2, %P3\n\tvpadal.s16 %q0, %q1"
                 : "+w"(sum), "=&w"(scratch) : "w"(a), "w"(b)))

std::vector<MultiplyAdd> multiply_adds()
{
    return {{"fp32", "vmla.f32", kSums * 4, fp32_vmla}, {"int8", "vmlal.s8", kSums * 16, int8_vmull}};
}

#endif

#if defined(__x86_64__)
typedef uint32_t Line __attribute__((vector_size(32)));
#define BENCH_MEMORY __attribute__((target("avx2")))
#else
typedef uint32_t Line __attribute__((vector_size(16)));
#define BENCH_MEMORY
#endif

static const size_t kLines = 8;
static_assert(kMemoryStep % (kLines * sizeof(Line)) == 0, "a step is whole lines");

BENCH_MEMORY uint32_t read_memory(const uint32_t* from, size_t size)
{
    const Line* lines = reinterpret_cast<const Line*>(from);
    const Line* end = lines + size / sizeof(Line);
    Line sums[kLines] = {};
    for (; lines < end; lines += kLines) {
        _Pragma("unroll") for (size_t i = 0; i < kLines; i++) sums[i] += lines[i];
    }
    uint32_t result = 0;
    for (const Line& sum : sums) {
        for (size_t i = 0; i < sizeof(Line) / sizeof(uint32_t); i++) result += sum[i];
    }
    return result;
}

// The addition keeps the compiler from calling memcpy, which differs from one C library to the next.
BENCH_MEMORY void copy_memory(const uint32_t* from, uint32_t* to, size_t size)
{
    const Line* lines = reinterpret_cast<const Line*>(from);
    const Line* end = lines + size / sizeof(Line);
    for (Line* target = reinterpret_cast<Line*>(to); lines < end; lines += kLines, target += kLines) {
        _Pragma("unroll") for (size_t i = 0; i < kLines; i++) target[i] = lines[i] + 1;
    }
}

}  // namespace bench
