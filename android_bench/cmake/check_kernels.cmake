# ncnn drops kernels silently when a compiler feature test fails, which a compiler's unknown flag
# is enough for. Stop the build instead.
set(needed_options_x86_64 NCNN_AVX NCNN_AVX2 NCNN_FMA NCNN_F16C)
if(BENCH_ISA STREQUAL avx512vnni)
    list(APPEND needed_options_x86_64 NCNN_AVX512 NCNN_AVX512VNNI)
endif()
set(needed_options_arm64-v8a
    NCNN_VFPV4 NCNN_ARM82 NCNN_ARM82DOT NCNN_ARM84I8MM
    NCNN_COMPILER_SUPPORT_ARM82_FP16 NCNN_COMPILER_SUPPORT_ARM82_DOTPROD NCNN_COMPILER_SUPPORT_ARM84_I8MM)
set(needed_options_armeabi-v7a NCNN_VFPV4)

# The options alone do not compile anything.
set(needed_sources_arm64-v8a
    convolution_arm_asimdhp.cpp convolution_arm_asimddp.cpp convolution_arm_i8mm.cpp
    gemm_arm_asimdhp.cpp gemm_arm_asimddp.cpp gemm_arm_i8mm.cpp)
set(needed_sources_armeabi-v7a gemm_arm_vfpv4.cpp innerproduct_arm_vfpv4.cpp)

foreach(option IN LISTS needed_options_${BENCH_ABI})
    if(NOT ${option})
        message(FATAL_ERROR "${option} is off: kernels would be missing; a feature test of ncnn's CMake files failed")
    endif()
endforeach()

get_target_property(ncnn_sources ncnn SOURCES)
foreach(source IN LISTS needed_sources_${BENCH_ABI})
    if(NOT "${ncnn_sources}" MATCHES "/${source}")
        message(FATAL_ERROR "${source} is not among the sources of ncnn: its kernels would be missing")
    endif()
endforeach()
