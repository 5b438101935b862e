#!/bin/sh
# zig_compile.sh ZIG MODE TARGET [ARGUMENT...]: zig's clang, for build files written for GNU flags.
#
# zig names CPU features by -mcpu alone and refuses GNU's -march=armv8.2-a+fp16. ncnn's feature
# tests then fail without a word, and its fp16, dotprod and i8mm kernels are left out.
zig=$1 mode=$2 target=$3
shift 3
cpu=
precompile=
case " $* " in
*" -emit-pch "*) precompile=1 ;;
esac
for argument in "$@"; do
    shift
    if [ "$precompile" ]; then
        # CMake precompiles FILE.hxx as "-Xclang -emit-pch -Xclang -include -Xclang FILE.hxx
        # -x c++-header -c FILE.hxx.cxx"; zig takes "-x c++-header FILE.hxx".
        case $argument in
        *.hxx.cxx) argument=${argument%.cxx} ;;
        -Xclang | -emit-pch | -include | -c | *.hxx) continue ;;
        esac
    fi
    case $argument in
    -march=armv8*)
        # armv8.2-a+fp16+dotprod -> generic+v8_2a+fullfp16+dotprod; plain armv8-a -> generic
        cpu=$(printf '%s' "$argument" | sed -e 's/^-march=armv8-a/generic/' \
            -e 's/^-march=armv8\.\([0-9]\)-a/generic+v8_\1a/' -e 's/+fp16+/+fullfp16+/' -e 's/+fp16$/+fullfp16/')
        ;;
    -mfpu=neon-vfpv4) cpu=generic+v7a+neon+vfp4 ;;
    -mfp16-format=ieee) ;;
    CMakeC*CompilerId.c*)
        # CMake reads the compiler's name out of a program that it links, and out of an object as
        # well. Linking without the flags of the build costs another variant of zig's libraries.
        set -- "$@" -c "$argument"
        ;;
    *) set -- "$@" "$argument" ;;
    esac
done
if [ -z "$cpu" ] && [ "$target" = arm-linux-musleabihf ]; then
    cpu=generic+v7a+neon
fi
if [ -n "$cpu" ]; then
    set -- "-mcpu=$cpu" "$@"
fi
exec "$zig" "$mode" -target "$target" "$@"
