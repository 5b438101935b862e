"""Instruction sets: which CPUs of an ABI a build is for.

ARM builds carry kernels for newer CPUs along, and choose when they run. On x86 ncnn's dispatch triples the build, so
that each build is for one kind of CPU, as this computer's virtual phone needs only one.
"""

from __future__ import annotations

from collections.abc import Collection

from android_bench.binary import ABIS

BASE = "base"

# By name, best first: what a CPU must have, in the words of /proc/cpuinfo. `base` is x86-64-v3: AVX2 with FMA and F16C
# (Haswell of 2013 and later). VNNI multiplies and adds int8 four at a time; without it int8 is widened to 16 bits.
_X86_64 = {"avx512vnni": ("avx512f", "avx512cd", "avx512bw", "avx512dq", "avx512vl", "avx512_vnni")}

ISAS: dict[str, tuple[str, ...]] = {abi: (*(_X86_64 if abi == "x86_64" else ()), BASE) for abi in ABIS}
"""The instruction sets that can be built for each ABI, best first."""


def best_isa(abi: str, cpu_features: Collection[str]) -> str:
    """Return the best instruction set of an ABI that a CPU with these features (as /proc/cpuinfo names them) has."""
    for isa in ISAS.get(abi, ()):
        if isa != BASE and set(_X86_64[isa]) <= set(cpu_features):
            return isa
    return BASE
