"""The five portrait networks, with random weights: converted, optimized, stored in every precision."""

from __future__ import annotations

import importlib
import warnings
from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import onnx
import pytest

from ncnn_tools.calibration import collect_statistics, threshold
from ncnn_tools.cost import CONVOLUTIONS, BlobSize, layer_cost
from ncnn_tools.files import load, save
from ncnn_tools.graph import Graph
from ncnn_tools.half_precision import store_as_fp16
from ncnn_tools.onnx2ncnn import convert_onnx
from ncnn_tools.passes import optimize
from ncnn_tools.quantization import quantizable_layers, quantize
from ncnn_tools.runtime import Runtime

torch = pytest.importorskip("torch")

NETWORKS = {
    "esp_dense_seg": ("EspDenseSeg", 256),
    "mobilenet_dilate_unet": ("MobilenetDilateUnet", 256),
    "residualdense_bisenet": ("ResidualdenseBisenet", 512),
    "seg_matting": ("SegMatting", 256),
    "shuffle_seg_skipnet": ("ShuffleSegSkipnet", 256),
}


class Converted(NamedTuple):
    model: onnx.ModelProto
    graph: Graph
    feeds: dict[str, np.ndarray]
    expected: dict[str, np.ndarray]


def exported(name: str, path: Path) -> onnx.ModelProto:
    """Export a network whose batch norms have statistics that matter."""
    generator = torch.Generator().manual_seed(0)
    torch.manual_seed(0)
    kind, side = NETWORKS[name]
    network = getattr(importlib.import_module(f"models.{name}"), kind)().eval()
    for module in network.modules():
        if isinstance(module, torch.nn.BatchNorm2d):
            module.running_mean = torch.randn(module.num_features, generator=generator) * 0.2
            module.running_var = torch.rand(module.num_features, generator=generator) + 0.5
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # the quicker exporter is deprecated
        torch.onnx.export(
            network, (torch.zeros(1, 3, side, side),), path, dynamo=False, input_names=["image"]
        )
    return onnx.load(path)


@pytest.fixture(scope="session")
def converted(
    tmp_path_factory: pytest.TempPathFactory, random_inputs: Callable[..., Any], run_onnx: Callable[..., Any]
) -> Callable[[str], Converted]:
    """Export, convert and optimize a network by name, once a session."""
    done: dict[str, Converted] = {}

    def convert(name: str) -> Converted:
        if name not in done:
            model = exported(name, tmp_path_factory.mktemp(name) / "model.onnx")
            feeds = random_inputs(model)
            done[name] = Converted(model, optimize(convert_onnx(model)), feeds, run_onnx(model, feeds))
        return done[name]

    return convert


@pytest.mark.parametrize("name", NETWORKS)
def test_outputs_equal_onnxruntimes(
    converted: Callable[[str], Converted], assert_close: Callable[..., None], name: str
) -> None:
    _, graph, feeds, expected = converted(name)
    assert graph.inputs == ["image"]
    values = Runtime.from_graph(graph).run({"image": feeds["image"][0]})
    assert set(values) >= set(graph.outputs)
    for blob, (tensor, value) in zip(graph.outputs, expected.items(), strict=True):
        assert_close(values[blob], value, tensor)


@pytest.mark.parametrize("name", NETWORKS)
def test_what_the_passes_leave(converted: Callable[[str], Converted], name: str) -> None:
    graph = converted(name).graph
    types = {layer.type for layer in graph.layers}
    assert types.isdisjoint({"Noop", "Permute", "Dropout"})
    readers = [blob for layer in graph.layers for blob in layer.inputs]
    assert len(readers) == len(set(readers))
    if name == "shuffle_seg_skipnet":
        assert "ShuffleChannel" in types


def test_every_blob_of_seg_matting_equals_its_onnx_tensor(
    converted: Callable[[str], Converted], run_onnx: Callable[..., Any], assert_close: Callable[..., None]
) -> None:
    model, graph, feeds, _ = converted("seg_matting")
    tensors = sorted(set(graph.origins.values()) - {"image"})
    assert len(tensors) > 60
    expected = {**feeds, **run_onnx(model, feeds, tensors)}
    values = Runtime.from_graph(graph).run({"image": feeds["image"][0]}, graph.origins)
    for blob, tensor in graph.origins.items():
        assert_close(values[blob], expected[tensor], f"{blob} ({tensor})")


@pytest.fixture(scope="session")
def int8(converted: Callable[[str], Converted]) -> Callable[[str], Graph]:
    def make(name: str) -> Graph:
        _, graph, feeds, _ = converted(name)
        blobs = [layer.inputs[0] for layer in quantizable_layers(graph)]
        calibration = collect_statistics(graph, [{"image": feeds["image"][0]}], blobs)
        return quantize(graph, {blob: threshold(calibration[blob], "absmax") for blob in blobs})

    return make


def size_of(graph: Graph, folder: Path) -> int:
    """Write a graph, check that it reads back and loads, and return the bytes of both files."""
    param, weights = folder / "m.param", folder / "m.bin"
    save(graph, param, weights)
    back = load(param, weights)
    assert [layer.weights for layer in back.layers] == [layer.weights for layer in graph.layers]
    Runtime(param, weights)
    return param.stat().st_size + weights.stat().st_size


def test_sizes_of_seg_matting(
    converted: Callable[[str], Converted], int8: Callable[[str], Graph], tmp_path: Path
) -> None:
    graph = converted("seg_matting").graph
    full = size_of(graph, tmp_path)
    assert size_of(store_as_fp16(graph), tmp_path) <= 0.52 * full
    assert size_of(int8("seg_matting"), tmp_path) <= 0.30 * full


@pytest.mark.parametrize("name", NETWORKS)
def test_int8_stays_near(
    converted: Callable[[str], Converted], int8: Callable[[str], Graph], name: str
) -> None:
    _, graph, feeds, _ = converted(name)
    inputs = {"image": feeds["image"][0]}
    exact, rounded = (Runtime.from_graph(g).run(inputs, graph.outputs) for g in (graph, int8(name)))
    for blob in graph.outputs:
        left, right = (values[blob].ravel().astype(np.float64) for values in (exact, rounded))
        assert left @ right / np.linalg.norm(left) / np.linalg.norm(right) > 0.95


# Weights times output pixels (input pixels where transposed), counted by torch's forward hooks, in millions.
CONVOLUTION_MACS = {
    "esp_dense_seg": 188.76,
    "mobilenet_dilate_unet": 924.90,
    "residualdense_bisenet": 224.28,
    "seg_matting": 218.66,
    "shuffle_seg_skipnet": 179.56,
}


@pytest.mark.parametrize("name", NETWORKS)
def test_multiply_adds_of_the_convolutions(converted: Callable[[str], Converted], name: str) -> None:
    model, optimized, _, _ = converted(name)

    def sizes(graph: Graph, blobs: list[str]) -> list[BlobSize]:
        return [BlobSize(graph.shapes[blob]) for blob in blobs]

    def macs(graph: Graph) -> float:
        costs = [
            layer_cost(layer, sizes(graph, layer.inputs), sizes(graph, layer.outputs))
            for layer in graph.layers
            if layer.type in (*CONVOLUTIONS, "InnerProduct")  # which 1x1 convolutions of one pixel become
        ]
        return sum(cost.macs for cost in costs) / 1e6

    assert round(macs(convert_onnx(model)), 2) == CONVOLUTION_MACS[name]
    # Passes may save some, but average a picture by convolutions that were none.
    averages = {"seg_matting": 0.59}  # 3 channels, 9 pixels, at 128² + 64² + 32² + 16² places
    assert round(macs(optimized), 2) <= CONVOLUTION_MACS[name] + averages.get(name, 0)
