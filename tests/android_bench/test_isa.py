"""Which build a CPU gets."""

import pytest

from android_bench import ABIS, ISAS, best_isa

AVX512 = ("avx512f", "avx512cd", "avx512bw", "avx512dq", "avx512vl")


@pytest.mark.parametrize(
    ("features", "isa"),
    [
        ((), "base"),
        (("avx2", "fma", "f16c"), "base"),
        (("avx2", *AVX512), "base"),  # Skylake-X
        (("avx2", "avx_vnni"), "base"),  # Alder Lake
        (("avx2", *AVX512, "avx512_vnni"), "avx512vnni"),  # Cascade Lake, Zen 4
        (("avx2", *AVX512[:-1], "avx512_vnni"), "base"),
    ],
)
def test_x86(features, isa):
    assert best_isa("x86_64", features) == isa


def test_arm_has_one_build_whatever_the_cpu_has():
    assert best_isa("arm64-v8a", ("asimddp", "avx512_vnni", *AVX512)) == "base"


def test_each_abi_has_a_build_for_all_its_cpus():
    assert {isas[-1] for isas in ISAS.values()} == {"base"}
    assert tuple(ISAS) == ABIS
