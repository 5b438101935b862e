"""int8 chains: where they are made, that ncnn computes them rightly, and that wrong ones are found."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from ncnn_tools.errors import GraphError
from ncnn_tools.graph import Graph, Layer, Storage, Weight, new_layer
from ncnn_tools.quantization import QuantizeOptions, check_chains, quantizable_layers, quantize
from ncnn_tools.quantization.chains import gives_int8
from ncnn_tools.runtime import Runtime

Make = Callable[..., Any]

CHAINS = QuantizeOptions(chains=True)


def normal(*shape: int, seed: int = 0) -> np.ndarray:
    return np.random.default_rng(seed).normal(0, 1, shape).astype(np.float32)


def split(source: str, *targets: str) -> Layer:
    return new_layer("Split", f"split_{source}", [source], list(targets))


def levels(values: np.ndarray, scale: float) -> np.ndarray:
    """Quantize to whole numbers, half away from zero."""
    return np.clip(np.sign(values) * np.floor(np.abs(values) * scale + 0.5), -127, 127)


def run(graph: Graph, x: np.ndarray, blob: str) -> np.ndarray:
    return Runtime.from_graph(graph).run({"x": x}, [blob])[blob]


@pytest.mark.parametrize("activation", range(7))
@pytest.mark.parametrize(
    ("kind", "shape"),
    [
        ("Convolution", (16, 8, 3, 3)),
        ("Convolution", (13, 8, 1, 1)),
        ("ConvolutionDepthWise", (8, 1, 3, 3)),
        ("ConvolutionDepthWise", (8, 1, 5, 5)),
    ],
)
def test_the_requantized_blob_is_the_quantized_float_one(
    make_graph: Make, convolution: Make, kind: str, shape: tuple[int, ...], activation: int
) -> None:
    # The same layer once gives float and once int8: they may differ by one level where a value lies between two.
    first = convolution("x", "a", 0.3 * normal(*shape), activation, kind)
    second = convolution("a", "y", normal(4, shape[0], 1, 1, seed=2))
    graph = make_graph((8, 9, 9), [first, second], ["y"])
    thresholds = {"x": 3.0, "a": 1.7}
    plain, chained = quantize(graph, thresholds), quantize(graph, thresholds, CHAINS)
    assert gives_int8(chained.layers[1])
    assert not gives_int8(chained.layers[2])
    x = normal(8, 9, 9, seed=1)
    scale = 127 / 1.7
    given, expected = run(chained, x, "a"), levels(run(plain, x, "a"), scale)
    assert np.abs(given - expected).max() <= 1
    assert (given == expected).mean() > 0.97
    assert np.abs(expected).max() > 60, "the case should use the range"
    step = 1 / scale * np.abs(second.weights["weight"].values().reshape(4, -1)).sum(axis=1).max()
    assert np.abs(run(chained, x, "y") - run(plain, x, "y")).max() < step


@pytest.mark.parametrize("shape", [(16, 8, 3, 3), (5, 8, 3, 3)])
def test_a_convolution_hands_int8_to_an_inner_product(
    make_graph: Make, convolution: Make, shape: tuple[int, ...]
) -> None:
    first = convolution("x", "a", normal(*shape), 1)
    second = convolution("a", "y", normal(7, shape[0] * 36, seed=3), kind="InnerProduct")
    graph = make_graph((8, 6, 6), [first, second], ["y"])
    plain, chained = (quantize(graph, {"x": 3.0, "a": 20.0}, options) for options in (None, CHAINS))
    assert gives_int8(chained.layers[1])
    x = normal(8, 6, 6, seed=1)
    expected = run(plain, x, "y")
    assert np.abs(run(chained, x, "y") - expected).max() < 2e-3 * np.abs(expected).max()


def test_a_split_is_chained_where_all_its_branches_take_int8(make_graph: Make, convolution: Make) -> None:
    weight = normal(8, 8, 1, 1)
    layers = [
        convolution("x", "a", weight, 1),
        split("a", "a0", "a1"),
        convolution("a0", "b", weight),
        convolution("a1", "c", normal(8, 1, 3, 3), kind="ConvolutionDepthWise"),
        new_layer("BinaryOp", "sum", ["b", "c"], ["y"], op_type=0),
    ]
    graph = make_graph((8, 7, 7), layers, ["y"])
    thresholds = dict.fromkeys(["x", "a0", "a1"], 4.0)
    chained, plain = quantize(graph, thresholds, CHAINS), quantize(graph, thresholds)
    assert [gives_int8(layer) for layer in chained.layers] == [False, True, False, False, False, False]
    x = normal(8, 7, 7, seed=1)
    np.testing.assert_allclose(run(chained, x, "y"), run(plain, x, "y"), atol=0.3)


def rest_of(case: str, convolution: Make) -> tuple[list[Layer], list[str], dict[str, float]]:
    """Layers after a convolution "a" whose output has to stay float; outputs; thresholds."""
    weight = normal(8, 8, 1, 1)
    thresholds = dict.fromkeys(["x", "a", "a0", "a1"], 4.0)
    reader = convolution("a0", "y", weight)
    if case == "a reader in float":
        return (
            [split("a", "a0", "a1"), reader, new_layer("Sigmoid", "s", ["a1"], ["z"])],
            ["y", "z"],
            thresholds,
        )
    if case == "an output":
        return [split("a", "a0", "a1"), reader], ["y", "a1"], thresholds
    if case == "two scales":
        thresholds["a1"] = 3.0
        return [split("a", "a0", "a1"), reader, convolution("a1", "z", weight)], ["y", "z"], thresholds
    if case == "a convolution left in float":
        del thresholds["a1"]
        return [split("a", "a0", "a1"), reader, convolution("a1", "z", weight)], ["y", "z"], thresholds
    between = {"pooling": "Pooling", "a ReLU": "ReLU", "an addition": "BinaryOp"}[case]
    return [new_layer(between, "between", ["a"], ["a0"]), reader], ["y"], thresholds


@pytest.mark.parametrize(
    "case",
    [
        "a reader in float",
        "an output",
        "two scales",
        "a convolution left in float",
        "pooling",
        "a ReLU",
    ],
)
def test_nowhere_else(make_graph: Make, convolution: Make, case: str) -> None:
    layers, outputs, thresholds = rest_of(case, convolution)
    graph = make_graph((8, 7, 7), [convolution("x", "a", normal(8, 8, 1, 1)), *layers], outputs)
    assert not any(gives_int8(layer) for layer in quantize(graph, thresholds, CHAINS).layers)


@given(data=st.data())
def test_random_graphs_never_hand_int8_to_who_cannot_take_it(
    make_graph: Make, convolution: Make, data: st.DataObject
) -> None:
    blobs, layers = ["x"], []
    outputs: list[str] = []
    for number in range(data.draw(st.integers(1, 9))):
        source = blobs.pop(data.draw(st.integers(0, len(blobs) - 1)))
        kind = data.draw(st.sampled_from(["Convolution", "ConvolutionDepthWise", "Split", "ReLU", "Sigmoid"]))
        name = f"b{number}"
        if kind == "Split":
            layers.append(split(source, f"{name}_0", f"{name}_1"))
        elif kind in ("ReLU", "Sigmoid"):
            layers.append(new_layer(kind, name, [source], [name]))
        else:
            weight = normal(8, 8 if kind == "Convolution" else 1, 3, 3, seed=number)
            layers.append(convolution(source, name, 0.1 * weight, data.draw(st.integers(0, 6)), kind))
        blobs += layers[-1].outputs
    outputs = blobs
    graph = make_graph((8, 5, 5), layers, outputs)
    inputs = [layer.inputs[0] for layer in quantizable_layers(graph)]
    chosen = [blob for blob in inputs if data.draw(st.booleans())]
    thresholds = {blob: data.draw(st.sampled_from([2.0, 3.0])) for blob in chosen}
    chained = quantize(graph, thresholds, CHAINS)
    check_chains(chained)
    plain = quantize(graph, thresholds)
    runtimes = [Runtime.from_graph(each) for each in (chained, plain)]
    x = normal(8, 5, 5, seed=1)
    ours, theirs = (runtime.run({"x": x}, outputs) for runtime in runtimes)
    for blob in outputs:
        # Raw int8 in float's place is off by tens; quantizing at another moment by a level or so.
        assert np.abs(ours[blob] - theirs[blob]).max() < 0.35

    # Turning any other convolution's output to int8 must be found.
    for layer in chained.layers:
        if layer.type.startswith("Convolution") and layer.get("int8_scale_term") and not gives_int8(layer):
            layer.set("int8_scale_term", layer.get("int8_scale_term") + 100)
            layer.weights["output_scale"] = Weight(np.array([50.5], np.float32), Storage.RAW)
            with pytest.raises(GraphError):
                check_chains(chained)
            layer.set("int8_scale_term", layer.get("int8_scale_term") - 100)
            del layer.weights["output_scale"]


def chained_graph(make_graph: Make, convolution: Make) -> Graph:
    layers = [convolution("x", "a", normal(8, 8, 1, 1)), convolution("a", "y", normal(8, 8, 1, 1))]
    graph: Graph = make_graph((8, 5, 5), layers, ["y"])
    return quantize(graph, {"x": 3.0, "a": 4.0}, CHAINS)


def test_an_int8_output_is_refused(make_graph: Make, convolution: Make) -> None:
    graph = chained_graph(make_graph, convolution)
    graph.outputs = ["a", "y"]
    with pytest.raises(GraphError, match="output 'a' is int8"):
        check_chains(graph)


def test_a_reader_without_int8_is_refused(make_graph: Make, convolution: Make) -> None:
    graph = chained_graph(make_graph, convolution)
    graph.layers[2] = new_layer("Sigmoid", "sigmoid", ["a"], ["y"])
    with pytest.raises(GraphError, match=r"'sigmoid' .*takes no int8.*'a'"):
        check_chains(graph)


def test_another_scale_is_refused(make_graph: Make, convolution: Make) -> None:
    graph = chained_graph(make_graph, convolution)
    graph.layers[2].set_weight("input_scale", [7.0])
    with pytest.raises(GraphError, match="another scale"):
        check_chains(graph)


def test_an_inner_product_that_should_give_int8_is_refused(make_graph: Make, convolution: Make) -> None:
    graph = make_graph((8,), [convolution("x", "y", normal(4, 8), kind="InnerProduct")], ["y"])
    quantized = quantize(graph, {"x": 3.0})
    quantized.layers[1].set("int8_scale_term", 102)
    with pytest.raises(GraphError, match="InnerProduct gives no int8"):
        check_chains(quantized)
