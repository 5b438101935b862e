"""`Graph` and `Layer`: parameters by name, rewiring, and the rules that `check` enforces."""

from __future__ import annotations

import numpy as np
import pytest

from ncnn_tools.errors import GraphError
from ncnn_tools.graph import Graph, Layer, Storage, Weight, graph_digest, new_layer


@pytest.fixture
def diamond() -> Graph:
    """x → a, read by b and c; d joins them."""
    layers = [
        new_layer("Input", "x", [], ["x"], w=4),
        new_layer("ReLU", "a", ["x"], ["a"]),
        new_layer("ReLU", "b", ["a"], ["b"]),
        new_layer("Sigmoid", "c", ["a"], ["c"]),
        new_layer("BinaryOp", "d", ["b", "c"], ["d"]),
    ]
    return Graph(layers, ["d"], {"a": "A", "d": "D"}, {"a": (1, 4), "d": (1, 4)})


def test_a_digest_changes_with_everything_that_ncnn_reads(diamond: Graph) -> None:
    same = graph_digest(diamond.copy())
    assert same == graph_digest(diamond)
    masked, renamed, weighted, given = (diamond.copy() for _ in range(4))
    masked.layers[1].params[31] = 64
    renamed.rename_blob("a", "z")
    weighted.layers[1].weights["slope"] = Weight(np.ones(1, np.float32), Storage.RAW)
    given.outputs.append("b")
    assert len({same, *map(graph_digest, (masked, renamed, weighted, given))}) == 5
    weighted.layers[1].weights["slope"] = Weight(np.ones(1, np.float32), Storage.FP32)
    assert graph_digest(weighted) != same


def test_parameters_by_name() -> None:
    layer = new_layer("Convolution", "c", ["x"], ["y"], num_output=8, activation_params=(1, 0.5))
    assert layer.params == {0: 8, 10: (1.0, 0.5)}
    assert layer.get("stride_w") == 1
    layer.set("pad_value", 1)
    assert isinstance(layer.params[18], float)
    assert layer.integer("num_output") == 8
    layer.params[0] = (3, 4)
    with pytest.raises(GraphError, match="'num_output' should be an integer"):
        layer.integer("num_output")


def test_feature_mask() -> None:
    layer = new_layer("ReLU", "r", ["x"], ["y"])
    assert layer.feature_mask == 0
    layer.params[31] = 64
    assert layer.feature_mask == 64


def test_set_weight_flattens_and_checks() -> None:
    layer = new_layer("InnerProduct", "fc", ["x"], ["y"], num_output=2, weight_data_size=6, bias_term=1)
    layer.set_weight("weight", np.arange(6).reshape(2, 3).T)
    layer.set_weight("bias", [1, 2])
    assert layer.weights["weight"].data.tolist() == [0, 3, 1, 4, 2, 5]
    assert layer.weights["weight"].storage is Storage.FP32
    assert layer.weights["bias"].storage is Storage.RAW
    with pytest.raises(GraphError, match="has 5 values, ncnn reads 6"):
        layer.set_weight("weight", np.zeros(5))


def test_weights_are_equal_bit_by_bit() -> None:
    def raw(*values: float) -> Weight:
        return Weight(np.array(values, np.float32), Storage.RAW)

    nan = float("nan")
    assert raw(1, nan) == raw(1, nan)
    assert raw(0.0) != raw(-0.0)
    assert raw(1) != Weight(np.ones(1, np.float32), Storage.FP32)
    assert raw(1) != "a weight"
    book, other = np.zeros(256, np.float32), np.ones(256, np.float32)
    index = np.zeros(2, np.uint8)
    first = Weight(index, Storage.CODEBOOK, book, 1)
    assert first == Weight(index.copy(), Storage.CODEBOOK, book.copy(), 1)
    assert first != Weight(index, Storage.CODEBOOK, other, 1)
    assert first != Weight(index, Storage.CODEBOOK, book, 2)


def test_reading_a_graph(diamond: Graph) -> None:
    assert diamond.inputs == ["x"]
    assert diamond.blobs() == ["x", "a", "b", "c", "d"]
    assert diamond.producers()["d"].name == "d"
    consumers = diamond.consumers()
    assert [layer.name for layer in consumers["a"]] == ["b", "c"]
    assert diamond.sole_consumer("b", consumers) is diamond.layers[4]
    assert diamond.sole_consumer("a", consumers) is None
    diamond.outputs.append("b")
    assert diamond.sole_consumer("b", consumers) is None


def test_rewiring(diamond: Graph) -> None:
    diamond.redirect("b", "a")
    diamond.remove([diamond.layers[2]])
    diamond.rename_blob("a", "first")
    diamond.inherit("first", "a")
    diamond.forget_missing_blobs()
    assert diamond.layers[-1].inputs == ["first", "c"]
    assert diamond.origins == {"first": "A", "d": "D"}
    assert diamond.shapes == {"first": (1, 4), "d": (1, 4)}
    diamond.check()


def test_remove_goes_by_identity(diamond: Graph) -> None:
    twin = new_layer("ReLU", "a", ["x"], ["a"])
    assert twin == diamond.layers[1]
    diamond.remove([twin])
    assert len(diamond.layers) == 5


def test_a_copy_can_be_changed_freely(diamond: Graph) -> None:
    copy = diamond.copy()
    copy.layers[1].inputs.append("b")
    copy.layers[1].params[0] = 0.5
    copy.layers[1].weights["slope"] = Weight(np.zeros(1, np.float32), Storage.RAW)
    copy.outputs.append("a")
    copy.origins["x"] = "X"
    copy.shapes.clear()
    copy.layers.pop()
    assert diamond.layers[1] == new_layer("ReLU", "a", ["x"], ["a"])
    assert (diamond.outputs, len(diamond.layers)) == (["d"], 5)
    assert (diamond.origins, diamond.shapes) == ({"a": "A", "d": "D"}, {"a": (1, 4), "d": (1, 4)})


def broken(layer: Layer) -> Graph:
    return Graph([new_layer("Input", "x", [], ["x"], w=4), layer])


RULES = {
    "unknown layer": (Layer("Frobnicate", "f", ["x"], ["y"]), "no layer type 'Frobnicate'"),
    "unknown input": (new_layer("ReLU", "r", ["z"], ["y"]), "reads 'z' before"),
    "a cycle": (new_layer("ReLU", "r", ["y"], ["y"]), "reads 'y' before"),
    "a blob given twice": (new_layer("ReLU", "r", ["x"], ["x"]), "another layer gives already"),
    "a weight missing": (new_layer("PReLU", "p", ["x"], ["y"], num_slope=4), "ncnn reads slope"),
    "a weight too many": (
        Layer("ReLU", "r", ["x"], ["y"], {}, {"slope": Weight(np.zeros(4, np.float32), Storage.RAW)}),
        "ncnn reads none",
    ),
    "a weight of the wrong size": (
        Layer("PReLU", "p", ["x"], ["y"], {0: 4}, {"slope": Weight(np.zeros(3, np.float32), Storage.RAW)}),
        "should have 4 values",
    ),
}


@pytest.mark.parametrize(("layer", "message"), RULES.values(), ids=RULES.keys())
def test_rules(layer: Layer, message: str) -> None:
    with pytest.raises(GraphError, match=message):
        broken(layer).check()


def test_an_output_that_nothing_gives(diamond: Graph) -> None:
    diamond.outputs.append("nowhere")
    with pytest.raises(GraphError, match="'nowhere' is given by no layer"):
        diamond.check()
