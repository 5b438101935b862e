// Refuses a CPU that lacks what the whole program is compiled for, before any such code runs.
//
// This file is compiled for the oldest CPU of its kind, and calls nothing but the kernel: a function
// shared with other files (a template of the standard library, say) may be linked in their version.
#include <unistd.h>

#if defined(__x86_64__)
#include <cpuid.h>
#elif defined(__arm__)
#include <sys/auxv.h>
#endif

static const int kUnsupportedCpu = 6;  // ExitCode::unsupported_cpu

#if defined(__x86_64__)

// AVX, FMA and F16C (leaf 1), AVX2 and AVX-512 with VNNI (leaf 7), and that the system saves the registers
// (XCR0). Intel 64 and IA-32 Architectures Software Developer's Manual, volume 1, section 14.3, 14.7 and 15.2.
#if defined(BENCH_AVX512VNNI)
#define BENCH_CPU "AVX-512 (F, CD, BW, DQ, VL) with VNNI"
static const unsigned int kNeededEbx =
    bit_AVX2 | bit_AVX512F | bit_AVX512CD | bit_AVX512BW | bit_AVX512DQ | bit_AVX512VL;
static const unsigned int kNeededEcx = bit_AVX512VNNI;
static const unsigned int kSavedNeeded = 0xe6;  // XMM, YMM, masks, and both parts of ZMM state
#else
#define BENCH_CPU "AVX2, FMA and F16C (x86-64-v3)"
static const unsigned int kNeededEbx = bit_AVX2;
static const unsigned int kNeededEcx = 0;
static const unsigned int kSavedNeeded = 6;  // XMM and YMM state
#endif

static bool cpu_is_supported()
{
    const unsigned int leaf1_needed = bit_OSXSAVE | bit_AVX | bit_FMA | bit_F16C;
    unsigned int eax, ebx, ecx, edx;
    if (!__get_cpuid(1, &eax, &ebx, &ecx, &edx) || (ecx & leaf1_needed) != leaf1_needed) return false;
    unsigned int saved, saved_high;
    __asm__ volatile("xgetbv" : "=a"(saved), "=d"(saved_high) : "c"(0));
    if ((saved & kSavedNeeded) != kSavedNeeded) return false;
    if (!__get_cpuid_count(7, 0, &eax, &ebx, &ecx, &edx)) return false;
    return (ebx & kNeededEbx) == kNeededEbx && (ecx & kNeededEcx) == kNeededEcx;
}

static const char kMessage[] = "android_bench: error: this build needs a CPU with " BENCH_CPU "\n";

#elif defined(__arm__)

static bool cpu_is_supported()
{
    const unsigned long hwcap_neon = 1 << 12;  // HWCAP_NEON, asm/hwcap.h of 32-bit ARM
    return getauxval(AT_HWCAP) & hwcap_neon;
}

static const char kMessage[] = "android_bench: error: this build needs a CPU with NEON\n";

#endif

#if defined(__x86_64__) || defined(__arm__)
// Priority 101 is the first that is not reserved: ahead of every C++ static of ncnn's.
__attribute__((constructor(101))) static void check_cpu()
{
    if (cpu_is_supported()) return;
    const ssize_t written = write(STDERR_FILENO, kMessage, sizeof(kMessage) - 1);
    (void)written;
    _exit(kUnsupportedCpu);
}
#endif
