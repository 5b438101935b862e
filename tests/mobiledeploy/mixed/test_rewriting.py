"""A network written anew by a plan: what was in groups is int8, and the bundle is right."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper, numpy_helper

from mobiledeploy.bundle import Bundle, open_bundle
from mobiledeploy.convert import ConvertRequest, QuantizeRequest, convert, quantize_bundle
from mobiledeploy.convert.int8 import with_shapes
from mobiledeploy.convert.variants import load_variant
from mobiledeploy.mixed import Bound, read_plan
from mobiledeploy.mixed.mixer import PlanMixer
from mobiledeploy.mixed.plan import Plan
from mobiledeploy.mixed.rewriting import Rewriting
from ncnn_tools.errors import GraphError
from ncnn_tools.graph import Graph
from ncnn_tools.packing import padding_groups
from ncnn_tools.quantization.layers import is_int8
from ncnn_tools.runtime import Runtime


@pytest.fixture(scope="module")
def bundle(tmp_path_factory: pytest.TempPathFactory) -> Bundle:
    """first (1x1) → grouped (3x3, two groups, ReLU) → last (1x1), calibrated on noise."""
    folder = tmp_path_factory.mktemp("grouped")
    rng = np.random.default_rng(0)

    weights: list[onnx.TensorProto] = []

    def convolution(source: str, name: str, shape: tuple[int, ...], **attributes: object) -> onnx.NodeProto:
        weight = rng.normal(0, 0.2, shape).astype(np.float32)
        weights.append(numpy_helper.from_array(weight, f"{name}_weight"))
        return helper.make_node("Conv", [source, f"{name}_weight"], [name], name, **attributes)

    nodes = [
        convolution("x", "first", (30, 5, 1, 1)),
        convolution("first", "sums", (20, 15, 3, 3), group=2, pads=[1] * 4),
        helper.make_node("Relu", ["sums"], ["grouped"], name="relu"),
        convolution("grouped", "last", (6, 20, 1, 1)),
    ]
    x = helper.make_tensor_value_info("x", TensorProto.FLOAT, [1, 5, 12, 12])
    y = helper.make_tensor_value_info("last", TensorProto.FLOAT, [1, 6, 12, 12])
    model = helper.make_model(
        helper.make_graph(nodes, "grouped", [x], [y], weights),
        opset_imports=[helper.make_opsetid("", 18)],
        ir_version=10,
    )
    onnx.save(model, folder / "net.onnx")
    (folder / "data").mkdir()
    for number in range(8):
        np.save(folder / "data" / f"{number}.npy", rng.normal(0, 1, (5, 12, 12)).astype(np.float32))
    request = ConvertRequest(
        folder / "net.onnx", folder / "b", "grouped", ("fp32", "int8"), calibration=folder / "data"
    )
    return convert(request)[0]


def grouped_name(bundle: Bundle) -> str:
    layers = load_variant(bundle, "fp32").layers
    return next(layer.name for layer in layers if layer.type == "ConvolutionDepthWise")


def plan(name: str) -> Plan:
    int8 = {"precision": "int8", "winograd": False, "sgemm": True}
    layers = [{"name": f"{name}_group_{group}", **int8} for group in range(2)]
    return Plan({"schema": 1, "kind": "plan", "apart": [name], "layers": layers})


def test_a_plan_takes_groups_apart(bundle: Bundle, tmp_path: Path) -> None:
    name = grouped_name(bundle)
    bound = Bound(min_cosine=0.999)
    request = QuantizeRequest(bundle.path, tmp_path / "b", mixer=PlanMixer(plan(name), bound))
    made, _ = quantize_bundle(request)
    layers = load_variant(made, "mixed").layers
    assert [layer.name for layer in layers if is_int8(layer)] == [
        f"{name}_group_{group}" for group in range(2)
    ]
    assert [layer.type for layer in layers].count("Slice") == 1
    assert not any(layer.type == "ConvolutionDepthWise" for layer in layers)
    # In int8 the whole one stays float, which takes more of the file.
    assert [layer.type for layer in load_variant(made, "int8").layers if not is_int8(layer)].count(
        "ConvolutionDepthWise"
    ) == 1
    assert made.variant("mixed").bin.stat().st_size < made.variant("int8").bin.stat().st_size
    assert read_plan(made.path).rewriting == Rewriting([name], {})
    assert open_bundle(made.path).keys == made.keys


def test_apart_first_then_padded(bundle: Bundle) -> None:
    x = np.random.default_rng(1).normal(0, 1, (5, 12, 12)).astype(np.float32)
    graph = with_shapes(load_variant(bundle, "fp32"), {"x": x})
    apart = Rewriting([grouped_name(bundle)])
    assert apart
    assert not Rewriting()
    widths = {group.name: group.channels + 3 for group in padding_groups(apart.apply(graph))}
    padded = Rewriting(apart.apart, widths).apply(graph)
    assert len(padded.layers) > len(apart.apply(graph).layers)
    assert Rewriting().apply(graph) is graph
    found, expected = (Runtime.from_graph(one).run({"x": x}, ["last"])["last"] for one in (padded, graph))
    np.testing.assert_allclose(found, expected, atol=1e-4)


@pytest.mark.parametrize("rewriting", [Rewriting(["elsewhere"]), Rewriting([], {"elsewhere": 8})])
def test_one_of_another_network(bundle: Bundle, rewriting: Rewriting) -> None:
    graph: Graph = load_variant(bundle, "fp32")
    with pytest.raises(GraphError, match="elsewhere"):
        rewriting.apply(graph)
