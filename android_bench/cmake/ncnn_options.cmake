# ncnn's options for this build; the rest stay at ncnn's defaults.
function(set_ncnn_option name value)
    set(${name} ${value} CACHE STRING "" FORCE)
endfunction()

set_ncnn_option(NCNN_VERSION ${NCNN_DATE})

# Nothing but the library.
set_ncnn_option(NCNN_BUILD_TOOLS OFF)
set_ncnn_option(NCNN_BUILD_EXAMPLES OFF)
set_ncnn_option(NCNN_BUILD_BENCHMARK OFF)
set_ncnn_option(NCNN_INSTALL_SDK OFF)
set_ncnn_option(NCNN_C_API OFF)
set_ncnn_option(NCNN_PIXEL OFF)
set_ncnn_option(NCNN_PLATFORM_API OFF)

# The input is one sample at a time, in fp32, fp16 or int8.
set_ncnn_option(NCNN_BATCH OFF)
set_ncnn_option(NCNN_BF16 OFF)
set_ncnn_option(NCNN_WEIGHT_QUANT OFF)

# Threads without an OpenMP library: ncnn's own pool, which sleeps where libgomp spins.
set_ncnn_option(NCNN_OPENMP ON)
set_ncnn_option(NCNN_SIMPLEOMP ON)
set_ncnn_option(NCNN_VULKAN OFF)

# An allocation that fails inside ncnn must arrive as std::bad_alloc, not end the process.
set_ncnn_option(NCNN_DISABLE_EXCEPTION OFF)
set_ncnn_option(NCNN_DISABLE_RTTI OFF)

if(BENCH_ABI STREQUAL x86_64)
    # One instruction set a build: runtime dispatch over all of them triples it. android_bench/isa.py says
    # which CPU gets which, and cpu_check.cpp refuses others.
    set_ncnn_option(NCNN_RUNTIME_CPU OFF)
    set(extensions AVX AVX2 FMA F16C)
    if(BENCH_ISA STREQUAL avx512vnni)
        list(APPEND extensions AVX512 AVX512VNNI)
    endif()
    foreach(extension AVX AVX2 FMA F16C FMA4 XOP AVXVNNI AVXVNNIINT8 AVXVNNIINT16 AVXNECONVERT
            AVX512 AVX512VNNI AVX512BF16 AVX512FP16)
        if(extension IN_LIST extensions)
            set_ncnn_option(NCNN_${extension} ON)
        else()
            set_ncnn_option(NCNN_${extension} OFF)
        endif()
    endforeach()
else()
    set_ncnn_option(NCNN_RUNTIME_CPU ON)
endif()

if(BENCH_ABI STREQUAL arm64-v8a)
    # i8mm is named outright, because ncnn offers it only where fp16fml is built too. Those left out
    # serve bf16, which no precision of ours uses, and CPUs that the NEON kernels serve as well.
    set_ncnn_option(NCNN_ARM84I8MM ON)
    foreach(extension ARM82FP16FML ARM84BF16 ARM86SVE ARM86SVE2 ARM86SVEBF16 ARM86SVEI8MM ARM86SVEF32MM)
        set_ncnn_option(NCNN_${extension} OFF)
    endforeach()
endif()
