"""What the schema says of ncnn's kernels, against ncnn's own source: the release that the binary is built from."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path

import pytest

from android_bench.errors import BuildError
from android_bench.ncnn_source import unpacked_source
from mobiledeploy.cache import cache_dir
from ncnn_tools.graph import Layer
from ncnn_tools.schema import LAYERS, Fp16, fp16_on_arm, works_in_place

# They call Gemm's kernels, which an asimdhp file of their own would only repeat.
THROUGH_GEMM = {"MatMul", "MultiHeadAttention", "SDPA"}


@pytest.fixture(scope="module")
def layers() -> Path:
    try:
        return unpacked_source(cache_dir() / "android_bench") / "src" / "layer"
    except BuildError as error:
        pytest.skip(f"ncnn's source is not to be had: {error}")


def constructors(folder: Path, suffix: str) -> Iterator[tuple[str, Path, str]]:
    """Yield type, file and the constructor's text of the layers in a folder, with `suffix` behind their class names."""
    for file in sorted(folder.glob(f"*{suffix}.cpp")):
        pattern = rf"^(\w+){suffix}::\1{suffix}\(\)\n\{{(.*?)^\}}"
        found = re.search(pattern, file.read_text(), re.DOTALL | re.MULTILINE)
        if found and found[1] in LAYERS:
            yield found[1], file, found[2]


def defaults(kind: str) -> Layer:
    return Layer(kind, kind, [], [])


def test_what_works_in_place(layers: Path) -> None:
    expected = {kind for kind, _, text in constructors(layers, "") if "support_inplace = true" in text}
    actual = {kind for kind in LAYERS if works_in_place(kind, defaults(kind).integer)}
    assert len(expected) > 30
    assert actual == expected
    with_scalar = {"with_scalar": 1}
    assert works_in_place("BinaryOp", with_scalar.__getitem__)  # set in BinaryOp::load_param


def test_what_takes_fp16_on_arm(layers: Path) -> None:
    takes = {
        kind
        for folder, suffix in ((layers, ""), (layers / "arm", "_arm"))
        for kind, _, text in constructors(folder, suffix)
        if re.search(r"support_fp16_storage = cpu_support_arm_(asimdhp|vfpv4)\(\)", text)
    }
    computes = {
        kind
        for kind, file, _ in constructors(layers / "arm", "_arm")
        if file.with_name(f"{file.stem}_asimdhp.cpp").is_file()
    }
    by_schema: dict[Fp16, set[str]] = {
        what: {kind for kind in LAYERS if fp16_on_arm(kind, defaults(kind).integer) is what} for what in Fp16
    }
    assert computes < takes
    assert by_schema[Fp16.ARITHMETIC] == computes | THROUGH_GEMM
    assert by_schema[Fp16.MOVES] == takes - computes - THROUGH_GEMM
    for kind in THROUGH_GEMM:
        assert "LayerType::Gemm" in (layers / "arm" / f"{kind.lower()}_arm.cpp").read_text()


def test_adaptive_pooling_is_in_fp32() -> None:
    adaptive = {"adaptive_pooling": 1}
    assert fp16_on_arm("Pooling", adaptive.__getitem__) is Fp16.NONE


def test_what_has_int8_kernels_on_arm(layers: Path) -> None:
    expected = {
        kind for kind, file, _ in constructors(layers / "arm", "_arm") if "#if NCNN_INT8" in file.read_text()
    }
    assert {kind for kind, schema in LAYERS.items() if schema.int8} == expected
