"""The compiler: zig's clang with static musl from PyPI, or the Android NDK where one is named."""

from __future__ import annotations

import os
import shlex
from dataclasses import dataclass
from importlib import metadata, resources
from pathlib import Path
from typing import Any

from android_bench.errors import BuildError

_NDK_VARIABLES = ("ANDROID_NDK", "ANDROID_NDK_HOME", "ANDROID_NDK_ROOT")
# The oldest Android with 64-bit ABIs (5.0), and the oldest that NDK r26 and later build for.
_ANDROID_PLATFORM = "android-21"
# Not x86_64: that binary is run on this computer more often than on an emulator, and zig's runs on both.
_NDK_ABIS = ("arm64-v8a", "armeabi-v7a")

_ZIG_TARGETS = {
    "arm64-v8a": ("aarch64-linux-musl", "aarch64"),
    "armeabi-v7a": ("arm-linux-musleabihf", "armv7-a"),
    "x86_64": ("x86_64-linux-musl", "x86_64"),
}
# musl gives threads 128 KiB of stack unless the program header asks for more.
_ZIG_LINK_OPTIONS = ["-static", "-s", "-Wl,-z,stack-size=8388608"]
_RELEASE_FLAGS = ["-O3", "-DNDEBUG", "-g0"]


@dataclass(frozen=True)
class Toolchain:
    """A compiler for one ABI, and how CMake is told about it."""

    name: str
    """With version; part of the build's key."""
    abi: str
    ndk: Path | None = None

    def prepare(self, folder: Path) -> list[str]:
        """Write what CMake needs into `folder`; return its arguments."""
        common = [
            "-DCMAKE_BUILD_TYPE=Release",
            f"-DCMAKE_C_FLAGS_RELEASE={' '.join(_RELEASE_FLAGS)}",
            f"-DCMAKE_CXX_FLAGS_RELEASE={' '.join(_RELEASE_FLAGS)}",
        ]
        if self.ndk:
            return [
                *common,
                f"-DCMAKE_TOOLCHAIN_FILE={self.ndk / 'build' / 'cmake' / 'android.toolchain.cmake'}",
                f"-DANDROID_ABI={self.abi}",
                f"-DANDROID_PLATFORM={_ANDROID_PLATFORM}",
                "-DBENCH_LINK_OPTIONS=-static;-s",
            ]
        target, processor = _ZIG_TARGETS[self.abi]
        _write_zig_tools(folder, target)
        toolchain_file = folder / "zig.cmake"
        lines = [
            "set(CMAKE_SYSTEM_NAME Linux)",
            f"set(CMAKE_SYSTEM_PROCESSOR {processor})",
            f'set(CMAKE_C_COMPILER "{folder / "zig-cc"}")',
            f'set(CMAKE_CXX_COMPILER "{folder / "zig-c++"}")',
            f'set(CMAKE_AR "{folder / "zig-ar"}")',
            f'set(CMAKE_RANLIB "{folder / "zig-ranlib"}")',
        ]
        toolchain_file.write_text("\n".join(lines) + "\n")
        return [
            *common,
            f"-DCMAKE_TOOLCHAIN_FILE={toolchain_file}",
            # A link in a feature test would have zig build another variant of its libraries first.
            # As a cache entry it outlives ncnn's own setting and unsetting of it.
            "-DCMAKE_TRY_COMPILE_TARGET_TYPE=STATIC_LIBRARY",
            f"-DBENCH_LINK_OPTIONS={';'.join(_ZIG_LINK_OPTIONS)}",
        ]

    def prime_command(self, folder: Path) -> list[str] | None:
        """Return a command that makes zig build its C and C++ libraries, or None for the NDK.

        zig does so at the first link for a target, in one thread, for about as long as ncnn takes
        to compile; run beside the compilation, it costs no time. It must have the flags of the real
        link and be run in `folder`, for both choose the variant of the libraries (zig's own folder
        is part of it, as seen from the working folder).
        """
        if self.ndk:
            return None
        source = folder / "prime.cpp"
        source.write_text(
            "#include <string>\nint main(int, char** argv) { return std::string(argv[0]).empty(); }\n"
        )
        return [
            str(folder / "zig-c++"),
            *_RELEASE_FLAGS,
            *_ZIG_LINK_OPTIONS,
            str(source),
            "-o",
            str(folder / "prime"),
        ]


def find_toolchain(abi: str) -> Toolchain:
    """Return the NDK that the environment names, where the ABI is one of phones, else zig.

    Raises:
        BuildError: the NDK is not one, or zig's package is not installed.
    """
    named = next(((name, os.environ[name]) for name in _NDK_VARIABLES if os.environ.get(name)), None)
    if named and abi in _NDK_ABIS:
        return _ndk_toolchain(abi, named[0], Path(named[1]))
    try:
        return Toolchain(f"zig {metadata.version('ziglang')}", abi)
    except metadata.PackageNotFoundError:
        raise BuildError(
            "no compiler: the package ziglang is not installed", hint="pip install ziglang"
        ) from None


def _ndk_toolchain(abi: str, variable: str, ndk: Path) -> Toolchain:
    properties = ndk / "source.properties"
    if not properties.is_file() or not (ndk / "build" / "cmake" / "android.toolchain.cmake").is_file():
        raise BuildError(
            f"{variable} names {ndk}, which is not an Android NDK",
            hint=f"Set {variable} to the NDK's folder, or unset it to build with zig.",
        )
    lines = [line.partition("=") for line in properties.read_text().splitlines()]
    revision = next((value.strip() for name, _, value in lines if name.strip() == "Pkg.Revision"), "unknown")
    return Toolchain(f"ndk {revision}", abi, ndk.absolute())


def _write_zig_tools(folder: Path, target: str) -> None:
    """Write the small programs that CMake calls as compiler and archiver."""
    package: Any = resources.files("ziglang")
    zig = Path(str(package)) / "zig"
    compile_script = Path(__file__).parent / "cmake" / "zig_compile.sh"
    (folder / "zig_compile.sh").write_bytes(compile_script.read_bytes())
    for mode in ("cc", "c++"):
        command = ["sh", str(folder / "zig_compile.sh"), str(zig), mode, target]
        _write_program(folder / f"zig-{mode}", command)
    for mode in ("ar", "ranlib"):
        _write_program(folder / f"zig-{mode}", [str(zig), mode])


def _write_program(path: Path, command: list[str]) -> None:
    """Write a program that runs `command` with the program's own arguments behind it."""
    path.write_text(f'#!/bin/sh\nexec {shlex.join(command)} "$@"\n')
    path.chmod(0o755)
