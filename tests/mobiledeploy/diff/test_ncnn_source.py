"""Variants on this computer; test_device.py has them on a device."""

from __future__ import annotations

import numpy as np
import pytest

from mobiledeploy.diff.matching import match
from mobiledeploy.diff.ncnn_source import HostSource, _dequantized, _without_clashes
from mobiledeploy.diff.onnx_source import OnnxSource
from mobiledeploy.source.onnx_file import load_onnx
from ncnn_tools.graph import Graph, new_layer
from ncnn_tools.quantization import quantize
from ncnn_tools.runtime import Runtime


def test_blobs_are_the_onnx_tensors_that_they_equal(tiny_bundle) -> None:
    source = HostSource("fp32", tiny_bundle, "fp32")
    reference = OnnxSource("onnx", load_onnx(tiny_bundle.onnx))
    matching = match(reference, source)
    assert matching.only_candidate == ()
    assert [pair.reference.key for pair in matching.pairs if pair.is_output] == ["seg", "alpha"]
    sample = [np.load(path)[:1] for path in tiny_bundle.samples().values()]
    expected = reference.values([pair.reference.key for pair in matching.pairs], sample)
    values = source.values([pair.candidate.key for pair in matching.pairs], sample)
    for pair in matching.pairs:
        np.testing.assert_allclose(
            values[pair.candidate.key], expected[pair.reference.key][0], atol=1e-4, err_msg=str(pair)
        )
    # No Split, and each tensor once, however many readers it has.
    assert "Split" not in {tensor.type for tensor in source.tensors}
    assert len({tensor.key for tensor in source.tensors}) == len(source.tensors)
    assert source.layer_of("alpha").type == "Sigmoid"


def test_two_variants_share_their_blobs(tiny_bundle) -> None:
    fp32, int8 = (HostSource(name, tiny_bundle, name) for name in ("fp32", "int8"))
    matching = match(fp32, int8)
    assert matching.only_reference == matching.only_candidate == ()
    assert "this computer computes in fp32 what is not int8" in int8.notes[0]
    assert fp32.notes == ()


def test_centered_blobs_stand_for_their_tensors(tiny_bundle) -> None:
    fp32, int8 = (HostSource(name, tiny_bundle, name) for name in ("fp32", "int8"))
    (centered,) = tiny_bundle.centered("int8")
    (key,) = (tensor.key for tensor in int8.tensors if tensor.name == centered)
    inputs = [next(iter(np.load(path)[:1] for path in tiny_bundle.samples().values()))]
    exact, found = (source.values([key], inputs)[key] for source in (fp32, int8))
    assert exact.min() == 0  # it is behind a ReLU
    np.testing.assert_allclose(found, exact, atol=0.1 * exact.max())


def test_blobs_that_ncnn_gives_in_int8_stand_for_values() -> None:
    """A layer with an output scale leaves its output in int8, which ncnn extracts as it is."""
    generator = np.random.default_rng(0)
    layer = new_layer(
        "Convolution", "conv", ["x"], ["y"], num_output=8, kernel_w=1, weight_data_size=64, bias_term=0
    )
    layer.set_weight("weight", generator.normal(size=64))
    graph = Graph([new_layer("Input", "x", [], ["x"], w=6, h=6, c=8), layer], ["y"])
    x = generator.normal(size=(8, 6, 6)).astype(np.float32)
    plain = quantize(graph, {"x": 4.0})
    chained = plain.copy()
    chained.layers[1].params[plain.layers[1].schema.params["int8_scale_term"].id] = 102
    chained.layers[1].weights = dict(plain.layers[1].weights)
    chained.layers[1].set_weight("output_scale", [127 / 20])
    values = Runtime.from_graph(plain).run({"x": x})["y"]
    extracted = Runtime.from_graph(chained).run({"x": x})["y"]
    assert np.abs(extracted).max() > 2 * np.abs(values).max()  # they are steps
    np.testing.assert_allclose(_dequantized(extracted, chained.layers[1]), values, atol=0.51 * 20 / 127)


@pytest.mark.parametrize(
    ("blobs", "parts"),
    [
        (["a", "b"], [["a", "b"]]),
        (["a/b", "a:b", "c", "a_b"], [["a/b", "c"], ["a:b"], ["a_b"]]),
        ([], []),
    ],
)
def test_no_two_blobs_of_a_launch_get_one_file_name(blobs: list[str], parts: list[list[str]]) -> None:
    assert _without_clashes(blobs) == parts
