from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ncnn_tools.errors import GraphError
from ncnn_tools.files import load, save
from ncnn_tools.graph import Graph, Storage, new_layer
from ncnn_tools.half_precision import ALL_FP32, check_half_masks
from ncnn_tools.mixed import FLOAT16, FLOAT32, Choice, Stock, mix
from ncnn_tools.quantization import QuantizeOptions, quantize
from ncnn_tools.quantization.chains import gives_int8
from ncnn_tools.quantization.layers import is_int8
from ncnn_tools.runtime import Runtime
from ncnn_tools.schema import MASK_NO_WINOGRAD

ABLE = ("to_a", "to_c", "to_d", "to_y")


def run(graph: Graph, seed: int = 0) -> np.ndarray:
    x = np.random.default_rng(seed).normal(0, 1, (8, 12, 12)).astype(np.float32)
    return Runtime.from_graph(graph).run({"x": x}, ["y"])["y"]


def of(graph: Graph, name: str):
    return next(layer for layer in graph.layers if layer.name == name)


@given(
    st.dictionaries(
        st.sampled_from(["to_a", "to_b", "to_c", "to_d", "to_y", "pool"]),
        st.builds(Choice, st.sampled_from(["fp32", "fp16"]), st.booleans(), st.booleans()),
    )
)
@settings(max_examples=25, deadline=None)
def test_float_mixes_compute_the_same(network: Graph, stock: Stock, choices: dict[str, Choice]) -> None:
    mixed = mix(stock, choices)
    for layer in mixed.layers:
        choice = choices.get(layer.name, FLOAT16)
        exact = layer.type != "Dropout" and choice.precision == "fp32"
        assert layer.feature_mask == choice.mask | (ALL_FP32 if exact else 0)
        if "weight" in layer.weights:
            kept = layer.weights["weight"].storage is Storage.FP32
            assert kept == (choice.precision == "fp32")
    expected = run(network)
    assert np.abs(run(mixed) - expected).max() < 4e-3 * np.abs(expected).max()  # fp16 has 11 bits


def test_fp32_by_every_algorithm_is_the_same_to_rounding(network: Graph, stock: Stock) -> None:
    expected = run(network)
    for winograd, sgemm in ((True, True), (True, False), (False, True), (False, False)):
        choice = Choice("fp32", winograd, sgemm)
        found = run(mix(stock, {layer.name: choice for layer in network.layers}))
        np.testing.assert_allclose(found, expected, atol=1e-4 * np.abs(expected).max())


def test_no_fp32_layer_would_read_fp16_on_a_phone(stock: Stock) -> None:
    """ncnn converts the input of no such layer: a Dropout that does nothing stands between."""
    between = mix(stock, {"to_d": Choice("fp32")})
    check_half_masks(between)
    assert [layer.type for layer in between.layers].count("Dropout") == 1


def test_int8_among_fp32_alone_gives_fp32(stock: Stock) -> None:
    choices = {layer.name: Choice("fp32") for layer in stock.float.layers} | {
        "to_a": Choice("int8", winograd=False)
    }
    mixed = mix(stock, choices)
    check_half_masks(mixed)
    assert not [layer for layer in mixed.layers if layer.type == "Dropout"]
    assert of(mixed, "to_a").feature_mask & ALL_FP32 == ALL_FP32


def test_masks_and_storage_stand_in_the_files(stock: Stock, tmp_path: Path) -> None:
    choices = {"to_a": Choice("fp32", winograd=False), "to_d": Choice("fp16", sgemm=False)}
    param, weights = tmp_path / "m.param", tmp_path / "m.bin"
    save(mix(stock, choices), param, weights)
    lines = {line.split()[1]: line.split() for line in param.read_text().splitlines()[2:]}
    assert f"31={choices['to_a'].mask | ALL_FP32}" in lines["to_a"]
    assert f"31={choices['to_d'].mask}" in lines["to_d"]
    assert not [word for word in lines["to_b"] if word.startswith("31=")]
    stored = {layer.name: layer.weights["weight"] for layer in load(param, weights).layers if layer.weights}
    assert stored["to_a"].storage is Storage.FP32
    np.testing.assert_array_equal(stored["to_a"].data, of(stock.float, "to_a").weights["weight"].data)
    assert stored["to_d"].storage is Storage.FP16


def test_all_int8_is_what_quantize_makes(network: Graph, stock: Stock, thresholds) -> None:
    whole = quantize(network, thresholds, QuantizeOptions(chains=True))
    mixed = mix(stock, {name: Choice("int8", winograd=name != "to_a" or not _masked(stock)) for name in ABLE})
    for name in ABLE:
        assert of(mixed, name) == of(whole, name)
    assert [layer.name for layer in mixed.layers if gives_int8(layer)] == ["to_c"]
    np.testing.assert_allclose(run(mixed), run(whole), rtol=2e-3, atol=2e-3)  # the grouped one is fp16 now


def _masked(stock: Stock) -> bool:
    return bool(of(stock.exact, "to_a").feature_mask & MASK_NO_WINOGRAD)


def test_without_chains_no_layer_gives_int8(stock: Stock) -> None:
    mixed = mix(stock, dict.fromkeys(ABLE, Choice("int8")), chains=False)
    assert not [layer for layer in mixed.layers if gives_int8(layer)]
    assert all(is_int8(of(mixed, name)) for name in ABLE)


def test_a_layer_gives_int8_only_where_its_reader_is_int8(stock: Stock) -> None:
    assert gives_int8(of(mix(stock, {"to_c": Choice("int8"), "to_d": Choice("int8")}), "to_c"))
    assert not gives_int8(of(mix(stock, {"to_c": Choice("int8")}), "to_c"))


@pytest.fixture(scope="module")
def overflowing(make_stock) -> Stock:
    """A 3x3 convolution of so many channels, all weights alike, that the int8 winograd of 8 bits could overflow."""
    convolution = new_layer(
        "Convolution", "to_y", ["x"], ["y"], num_output=8, kernel_w=3, pad_left=1, weight_data_size=8 * 64 * 9
    )
    convolution.set_weight("weight", np.full((8, 64, 3, 3), 0.01))
    graph = Graph([new_layer("Input", "x", [], ["x"], w=12, h=12, c=64), convolution], ["y"])
    return make_stock(graph, {"x": 1.0})


def test_int8_winograd_takes_narrow_weights_and_other_algorithms_all_8_bits(overflowing: Stock) -> None:
    narrow, wide = (
        of(mix(overflowing, {"to_y": Choice("int8", winograd=winograd)}), "to_y")
        for winograd in (True, False)
    )
    assert np.abs(narrow.weights["weight"].data).max() < 127
    assert np.abs(wide.weights["weight"].data).max() == 127
    assert not narrow.feature_mask & MASK_NO_WINOGRAD
    assert wide.feature_mask & MASK_NO_WINOGRAD


def test_the_stock_stays_as_it_is(stock: Stock) -> None:
    before = [graph.copy() for graph in (stock.float, stock.exact, stock.narrow)]
    mix(stock, {name: Choice("int8", winograd=False) for name in ABLE})
    assert [graph.layers for graph in (stock.float, stock.exact, stock.narrow)] == [
        graph.layers for graph in before
    ]


@pytest.mark.parametrize("name", ["to_b", "pool"])
def test_a_layer_that_cannot_be_int8(stock: Stock, name: str) -> None:
    with pytest.raises(GraphError, match=f"'{name}' can't run in int8"):
        mix(stock, {name: Choice("int8")})


def test_a_layer_that_is_not_there(stock: Stock) -> None:
    with pytest.raises(GraphError, match="no layer 'elsewhere'"):
        mix(stock, {"to_a": FLOAT32, "elsewhere": FLOAT32})
