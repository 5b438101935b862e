from __future__ import annotations

import pytest

from ncnn_tools.graph import Graph
from ncnn_tools.mixed import FLOAT16, FLOAT32, Choice, choices_of
from ncnn_tools.schema import MASK_NO_SGEMM, MASK_NO_WINOGRAD


@pytest.mark.parametrize(
    ("choice", "mask", "words"),
    [
        (FLOAT16, 0, ""),
        (Choice("int8"), 0, ""),
        (FLOAT32, 0, ""),
        (Choice("fp16", winograd=False), MASK_NO_WINOGRAD, "no winograd"),
        (Choice("int8", sgemm=False), MASK_NO_SGEMM, "no sgemm"),
        (Choice("int8", False, False), MASK_NO_WINOGRAD | MASK_NO_SGEMM, "direct"),
    ],
)
def test_mask_and_words(choice: Choice, mask: int, words: str) -> None:
    assert (choice.mask, choice.algorithms) == (mask, words)


@pytest.mark.parametrize(
    ("name", "algorithms"),
    [
        ("to_a", [(True, True), (True, False), (False, True), (False, False)]),  # 3x3, stride 1
        ("to_d", [(True, True), (True, False)]),  # 1x1
        ("to_b", [(True, True)]),  # grouped
        ("to_c", [(True, True)]),  # depthwise
        ("to_y", [(True, True)]),  # InnerProduct
        ("pool", [(True, True)]),
    ],
)
def test_what_a_layer_can_choose(network: Graph, name: str, algorithms: list[tuple[bool, bool]]) -> None:
    [layer] = [layer for layer in network.layers if layer.name == name]
    expected = [Choice(precision, *pair) for precision in ("fp32", "int8") for pair in algorithms]
    assert choices_of(layer, ["fp32", "int8"]) == expected


def test_ncnns_own_choice_comes_first(network: Graph) -> None:
    assert choices_of(network.layers[1], ["fp16"])[0] == FLOAT16


def test_a_strided_convolution_has_no_winograd_to_go_without(network: Graph) -> None:
    strided = network.copy().layers[1]
    strided.set("stride_w", 2)
    assert choices_of(strided, ["fp16"]) == [FLOAT16, Choice("fp16", sgemm=False)]
