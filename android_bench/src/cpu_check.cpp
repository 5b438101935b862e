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

// AVX, FMA and F16C (leaf 1), AVX2 (leaf 7), and that the system saves the AVX registers (XCR0).
// Intel 64 and IA-32 Architectures Software Developer's Manual, volume 1, section 14.3 and 14.7.
static bool cpu_is_supported()
{
    const unsigned int leaf1_needed = bit_OSXSAVE | bit_AVX | bit_FMA | bit_F16C;
    const unsigned int saved_needed = 6;  // XMM and YMM state
    unsigned int eax, ebx, ecx, edx;
    if (!__get_cpuid(1, &eax, &ebx, &ecx, &edx) || (ecx & leaf1_needed) != leaf1_needed) return false;
    unsigned int saved, saved_high;
    __asm__ volatile("xgetbv" : "=a"(saved), "=d"(saved_high) : "c"(0));
    if ((saved & saved_needed) != saved_needed) return false;
    return __get_cpuid_count(7, 0, &eax, &ebx, &ecx, &edx) && (ebx & bit_AVX2);
}

static const char kMessage[] = "android_bench: error: this build needs a CPU with AVX2, FMA and F16C (x86-64-v3)\n";

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
