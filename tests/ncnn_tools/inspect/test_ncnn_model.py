"""The facts of ncnn models, against files and networks whose figures are counted by hand."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from ncnn_tools.errors import FormatError, GraphError
from ncnn_tools.files import save
from ncnn_tools.graph import Graph, new_layer
from ncnn_tools.half_precision import store_as_fp16
from ncnn_tools.inspect import FreeInputsError, LayerFacts, ModelFacts, inspect_model, read_model
from ncnn_tools.quantization import quantize

Make = Callable[..., Graph]
Pair = tuple[Path, Path]

LEFTOVER = """7767517
6 7
Input x 0 1 x 0=8 1=8 2=4
Split s 1 2 x a b
Convolution c 1 1 a c1 0=6 1=3 4=1 5=1 6=216
pnnx.Expression e_0 2 1 c1 b e expr=add(@0,@1)
Sigmoid after 1 1 e out0
torch.unbind unbind_7 1 1 out0 out1 dim=0
"""


@pytest.fixture
def network(make_graph: Make) -> Graph:
    """8x8 with 4 channels → convolution → adaptive pooling → Permute → a constant added."""
    rng = np.random.default_rng(0)
    conv = new_layer("Convolution", "conv", ["x"], ["a"], num_output=6, kernel_w=3, pad_left=1, bias_term=1,
                     weight_data_size=216)  # fmt: skip
    conv.set_weight("weight", rng.normal(0, 1, 216))
    conv.set_weight("bias", rng.normal(0, 1, 6))
    pool = new_layer("Pooling", "pool", ["a"], ["b"], adaptive_pooling=1, out_w=4)
    permute = new_layer("Permute", "permute", ["b"], ["c"], order_type=1)
    constant = new_layer("MemoryData", "constant", [], ["k"], w=1)
    constant.set_weight("data", [2.0])
    add = new_layer("BinaryOp", "add", ["c", "k"], ["y"])
    return make_graph((4, 8, 8), [conv, pool, permute, constant, add], ["y"])


def facts(graph: Graph, folder: Path) -> tuple[ModelFacts, Pair]:
    pair = folder / "m.param", folder / "m.bin"
    save(graph, *pair)
    read, notes = read_model(*pair)
    return inspect_model(read, {}, file_bytes=sum(file.stat().st_size for file in pair), notes=notes), pair


def by_name(model: ModelFacts) -> dict[str, LayerFacts]:
    return {layer.name: layer for layer in model.layers}


def test_a_layer(network: Graph, tmp_path: Path) -> None:
    model, _ = facts(network, tmp_path)
    conv = by_name(model)["conv"]
    assert [blob.shape for blob in (*conv.inputs, *conv.outputs)] == [(4, 8, 8), (6, 8, 8)]
    assert conv.parameters == 222
    assert conv.macs == 216 * 64
    assert conv.weight_bytes == 4 + 4 * 222  # the tag, and fp32
    assert conv.activation_bytes == 4 * 64 * (4 + 6)
    assert (conv.stored, conv.fp16, conv.int8, conv.known) == ("fp32", "yes", True, True)
    assert [blob.shape for blob in by_name(model)["permute"].outputs] == [(6, 4, 4)]


def test_kernels_on_arm(network: Graph, tmp_path: Path) -> None:
    layers = by_name(facts(network, tmp_path)[0])
    kernels = {name: (layer.fp16, layer.int8) for name, layer in layers.items()}
    assert kernels == {
        "x": (None, None),
        "conv": ("yes", True),
        "pool": ("no", False),
        "permute": ("no", False),
        "constant": ("no", False),
        "add": ("yes", False),
    }


def test_totals_and_peak(network: Graph, tmp_path: Path) -> None:
    model, (param, weights) = facts(network, tmp_path)
    totals = model.totals
    assert totals.layers == 6
    assert totals.parameters == 223
    assert totals.weight_bytes == weights.stat().st_size
    assert totals.macs == 216 * 64 + 6 * 64 + 6 * 16  # convolution, adaptive pooling, addition
    assert model.file_bytes == param.stat().st_size + weights.stat().st_size
    assert model.peak is not None
    assert (model.peak.bytes, model.peak.layer) == (4 * 64 * (4 + 6) + 4 * 96, "pool")
    assert model.notes == ()


def test_how_weights_are_stored(network: Graph, tmp_path: Path) -> None:
    for name, variant, stored, tagged_bytes in (
        ("fp16", store_as_fp16(network), "fp16", 4 + 432),
        (
            "int8",
            quantize(network, {"x": 1.0}),
            "int8",
            4 + 216 + 4 * 7,
        ),  # and 7 scales, which are no parameters
    ):
        (tmp_path / name).mkdir()
        model, (_, weights) = facts(variant, tmp_path / name)
        conv = by_name(model)["conv"]
        assert conv.stored == stored
        assert conv.parameters == 222
        assert conv.weight_bytes == tagged_bytes + 4 * 6
        assert model.totals.weight_bytes == weights.stat().st_size


@pytest.mark.parametrize(("mask", "fp16"), [(0, "yes"), (1, "moves"), (2, "no"), (64, "yes")])
def test_a_masked_layer_does_not_compute_in_fp16(
    network: Graph, tmp_path: Path, mask: int, fp16: str
) -> None:
    next(layer for layer in network.layers if layer.name == "conv").params[31] = mask
    assert by_name(facts(network, tmp_path)[0])["conv"].fp16 == fp16


def test_without_a_bin(network: Graph, tmp_path: Path) -> None:
    with_bin, (param, _) = facts(network, tmp_path)
    graph, notes = read_model(param, None)
    model = inspect_model(graph, {}, file_bytes=param.stat().st_size, notes=notes)
    assert "no .bin" in model.notes[0]
    assert model.totals == with_bin.totals
    assert model.peak == with_bin.peak
    assert by_name(model)["conv"].stored is None


def test_a_truncated_bin(network: Graph, tmp_path: Path) -> None:
    param, weights = tmp_path / "m.param", tmp_path / "m.bin"
    save(network, param, weights)
    weights.write_bytes(weights.read_bytes()[:-9])
    with pytest.raises(FormatError, match=r"m\.bin: offset \d+: layer 'conv'"):
        read_model(param, weights)


def test_layers_that_ncnn_does_not_have(tmp_path: Path) -> None:
    param = tmp_path / "m.param"
    param.write_text(LEFTOVER)
    graph, notes = read_model(param, None)
    model = inspect_model(graph, {}, file_bytes=1, notes=notes)
    assert [layer.name for layer in model.unknown] == ["e_0", "unbind_7"]
    layers = by_name(model)
    assert [blob.shape for blob in layers["c"].outputs] == [(6, 8, 8)]  # what comes before them is known
    assert layers["c"].macs == 216 * 64
    assert [blob.shape for blob in layers["e_0"].inputs] == [(6, 8, 8), (4, 8, 8)]
    assert layers["after"].outputs[0].shape is None
    assert layers["after"].macs is None
    assert model.totals.macs is None
    assert model.peak is None


@pytest.mark.parametrize("weights_of_theirs", [b"", b"\1\2\3\4"])
def test_a_bin_with_layers_that_ncnn_does_not_have(tmp_path: Path, weights_of_theirs: bytes) -> None:
    param, weights = tmp_path / "m.param", tmp_path / "m.bin"
    param.write_text(LEFTOVER)
    weights.write_bytes(bytes(4 + 4 * 222) + weights_of_theirs)
    graph, notes = read_model(param, weights)
    assert [bool(layer.weights) for layer in graph.layers if layer.name == "c"] == [not weights_of_theirs]
    assert bool(notes) == bool(weights_of_theirs)


def test_free_sizes(make_graph: Make, tmp_path: Path) -> None:
    graph = make_graph((4, 8, 8), [new_layer("ReLU", "y", ["x"], ["y"])], ["y"])
    with pytest.raises(GraphError, match="the input 'x' is 4x8x8 in the file, not 4x9x9"):
        inspect_model(graph, {"x": (4, 9, 9)}, file_bytes=1)
    graph.layers[0].params.clear()
    with pytest.raises(FreeInputsError, match="'x'"):
        inspect_model(graph, {}, file_bytes=1)
    model = inspect_model(graph, {"x": (4, 9, 7)}, file_bytes=1)
    assert by_name(model)["y"].outputs[0].shape == (4, 9, 7)


def test_parameters_that_make_no_sense(tmp_path: Path) -> None:
    param = tmp_path / "m.param"
    param.write_text("7767517\n2 2\nInput x 0 1 x 0=4\nConvolution c 1 1 x y 0=4.5 5=1\n")
    with pytest.raises(FormatError, match="layer 'c': its parameters make no sense"):
        read_model(param, None)
