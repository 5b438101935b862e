# ncnn drops kernels silently when a compiler feature test fails, which a compiler's unknown flag
# is enough for. Stop the build instead.
set(needed_x86_64 AVX AVX2 FMA F16C)
set(needed_arm64-v8a VFPV4 ARM82 ARM82DOT ARM84I8MM)
set(needed_armeabi-v7a VFPV4)

get_target_property(ncnn_sources ncnn SOURCES)
foreach(extension IN LISTS needed_${BENCH_ABI})
    if(NOT NCNN_${extension})
        message(FATAL_ERROR "ncnn's kernels for ${extension} are missing: a feature test of its CMake files failed")
    endif()
endforeach()

# The options alone do not compile anything: look for the sources as well.
set(suffixes_arm64-v8a _asimdhp.cpp _asimddp.cpp _i8mm.cpp)
set(suffixes_armeabi-v7a _vfpv4.cpp)
foreach(suffix IN LISTS suffixes_${BENCH_ABI})
    if(NOT "${ncnn_sources}" MATCHES "/convolution_arm${suffix}")
        message(FATAL_ERROR "convolution_arm${suffix} is not among ncnn's sources")
    endif()
endforeach()
foreach(feature ARM82_FP16 ARM82_DOTPROD ARM84_I8MM)
    if(BENCH_ABI STREQUAL arm64-v8a AND NOT NCNN_COMPILER_SUPPORT_${feature})
        message(FATAL_ERROR "the compiler failed ncnn's test for ${feature}")
    endif()
endforeach()
