"""Picture sizes other than the one converted for: said to be free only where ncnn is right at a second size."""

from __future__ import annotations

import dataclasses
import shutil
from pathlib import Path

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper, numpy_helper

from mobiledeploy.bundle import open_bundle
from mobiledeploy.convert import convert
from mobiledeploy.source.reference import open_session
from mobiledeploy.source.reference import run as run_onnx
from ncnn_tools.errors import RuntimeFailedError
from ncnn_tools.runtime import Runtime


@pytest.fixture
def from_nodes(request_for, tmp_path: Path):
    """Make a bundle of a model from x, 1x4x32x32, to y; returns what its manifest says of other sizes."""

    def make(*nodes: onnx.NodeProto, shape: tuple[int, ...], **constants: np.ndarray) -> dict:
        graph = helper.make_graph(
            list(nodes),
            "g",
            [helper.make_tensor_value_info("x", TensorProto.FLOAT, [1, 4, 32, 32])],
            [helper.make_tensor_value_info("y", TensorProto.FLOAT, shape)],
            [numpy_helper.from_array(value, name) for name, value in constants.items()],
        )
        model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 18)], ir_version=9)
        onnx.save(model, tmp_path / "net.onnx")
        changes = {"model": None, "input_shapes": None, "output_names": None, "preprocessing": None}
        changes |= {"source": tmp_path / "net.onnx", "mask": None, "calibration": None}
        bundle, _ = convert(request_for(tmp_path / "b", precisions=("fp32",), **changes))
        return dict(bundle.manifest["free_sizes"])

    return make


def test_a_network_of_maps_is_free_and_right_at_other_sizes(
    request_for, tiny_bundle, workshop: Path, tmp_path: Path
) -> None:
    """Compared with the network's own export at that size."""
    assert tiny_bundle.manifest["free_sizes"] == {
        "spatial": True,
        "checked": [[32, 32], [64, 96]],
        "step": 32,
    }
    changes = {"precisions": ("fp32",), "preprocessing": None, "calibration": None}
    larger, _ = convert(request_for(tmp_path / "larger", input_shapes=((1, 3, 96, 64),), **changes))
    picture = np.random.default_rng(0).normal(0, 1, (1, 3, 96, 64)).astype(np.float32)
    expected = run_onnx(open_session(larger.onnx), {"picture": picture})
    for precision, tolerance in (("fp32", 1e-4), ("fp16", 1e-2)):
        variant = tiny_bundle.variant(precision)
        runtime = Runtime(variant.param, variant.bin, spatial_step=tiny_bundle.spatial_step)
        actual = runtime.run({"picture": picture[0]}, ["seg", "alpha"])
        for name in ("seg", "alpha"):
            np.testing.assert_allclose(actual[name], expected[name][0], atol=tolerance)


@pytest.mark.parametrize("shape", [(3, 48, 32), (3, 32, 33), (4, 64, 64), (64, 64), (3, 0, 32)])
def test_sizes_between_the_steps_are_refused(tiny_bundle, shape: tuple[int, ...]) -> None:
    variant = tiny_bundle.variant("fp32")
    runtime = Runtime(variant.param, variant.bin, spatial_step=tiny_bundle.spatial_step)
    with pytest.raises(RuntimeFailedError, match=r"takes shape \(3, 32, 32\)"):
        runtime.run({"picture": np.zeros(shape, np.float32)})


def test_a_layer_of_fixed_size_is_named(from_nodes) -> None:
    free = from_nodes(
        helper.make_node("Flatten", ["x"], ["a"]),
        helper.make_node("Gemm", ["a", "w"], ["y"], name="head"),
        shape=(1, 3),
        w=np.full((4 * 32 * 32, 3), 1e-3, np.float32),
    )
    assert free["spatial"] is False
    assert "fixed" in free["reason"] or "follows" in free["reason"]


def test_an_average_over_the_whole_map_as_a_window_is_not_free(from_nodes) -> None:
    """ncnn's global pooling would take any size; the network was exported for one."""
    free = from_nodes(
        helper.make_node("Relu", ["x"], ["a"]),
        helper.make_node("AveragePool", ["a"], ["y"], kernel_shape=[32, 32]),
        shape=(1, 4, 1, 1),
    )
    assert free["spatial"] is False
    assert free["reason"]


def test_upsampling_by_scales_is_free_and_to_sizes_is_not(from_nodes) -> None:
    head = helper.make_node("MaxPool", ["x"], ["a"], kernel_shape=[2, 2], strides=[2, 2])
    options = {"mode": "linear", "coordinate_transformation_mode": "half_pixel"}
    by_scales = helper.make_node("Resize", ["a", "", "s"], ["b"], **options)
    by_sizes = helper.make_node("Resize", ["a", "", "", "n"], ["b"], name="up", **options)
    join = helper.make_node("Concat", ["x", "b"], ["y"], axis=1)
    free = from_nodes(head, by_scales, join, shape=(1, 8, 32, 32), s=np.array([1, 1, 2, 2], np.float32))
    assert free["spatial"] is True
    free = from_nodes(head, by_sizes, join, shape=(1, 8, 32, 32), n=np.array([1, 4, 32, 32]))
    assert free == {"spatial": False, "reason": "layer 'up' (Interp) resizes to a fixed size"}


def test_it_is_taken_over_where_nothing_has_changed(request_for, tiny_bundle, tmp_path: Path) -> None:
    shutil.copytree(tiny_bundle.path, tmp_path / "b")
    steps: list[str] = []
    bundle, made = convert(request_for(tmp_path / "b", method="kl"), lambda step, *_: steps.append(step))
    assert made
    assert "trying another picture size" not in steps
    assert bundle.manifest["free_sizes"] == tiny_bundle.manifest["free_sizes"]


def test_a_bundle_from_before_is_of_one_size(tiny_bundle) -> None:
    manifest = {key: value for key, value in tiny_bundle.manifest.items() if key != "free_sizes"}
    assert dataclasses.replace(tiny_bundle, manifest=manifest).spatial_step is None
    assert open_bundle(tiny_bundle.path).spatial_step == 32
