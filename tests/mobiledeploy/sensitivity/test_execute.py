"""Each int8 layer of a bundle alone: on a network of which one layer is known to be bad, and on the small one."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper, numpy_helper

from mobiledeploy.bundle import Bundle, file_hash, open_bundle
from mobiledeploy.convert import Int8Options, QuantizeRequest, convert, quantize_bundle
from mobiledeploy.errors import UsageError
from mobiledeploy.report.sensitivity_table import cause
from mobiledeploy.sensitivity import sensitivity
from mobiledeploy.sensitivity.figures import ALPHA_MAE, MASK_IOU, NOISE

OUTLIER = 100.0


@pytest.fixture(scope="session")
def outlier_bundle(request_for, tmp_path_factory: pytest.TempPathFactory) -> Bundle:
    """Three convolutions; channel 3 of what the second reads is large, and it reads it with small weights."""
    folder = tmp_path_factory.mktemp("outlier")
    generator = np.random.default_rng(0)
    weights = {
        name: generator.normal(0, 0.2, shape).astype(np.float32)
        for name, shape in (("first", (16, 8, 3, 3)), ("second", (16, 16, 3, 3)), ("third", (4, 16, 1, 1)))
    }
    weights["first"][3] *= OUTLIER
    weights["second"][:, 3] /= OUTLIER
    graph = helper.make_graph(
        [
            helper.make_node("Conv", ["x", "first"], ["a0"], pads=[1, 1, 1, 1], strides=[2, 2]),
            helper.make_node("Relu", ["a0"], ["a"]),
            helper.make_node("Conv", ["a", "second"], ["b0"], pads=[1, 1, 1, 1]),
            helper.make_node("Relu", ["b0"], ["b"]),
            helper.make_node("Conv", ["b", "third"], ["y"]),
        ],
        "g",
        [helper.make_tensor_value_info("x", TensorProto.FLOAT, [1, 8, 16, 24])],
        [helper.make_tensor_value_info("y", TensorProto.FLOAT, [1, 4, 8, 12])],
        [numpy_helper.from_array(array, name) for name, array in weights.items()],
    )
    source = folder / "net.onnx"
    onnx.save(helper.make_model(graph, opset_imports=[helper.make_opsetid("", 18)], ir_version=9), source)
    (folder / "arrays").mkdir()
    for number in range(12):
        np.save(folder / f"arrays/{number}.npy", generator.normal(size=(1, 8, 16, 24)).astype(np.float32))
    changes = {"model": None, "input_shapes": None, "output_names": None, "preprocessing": None, "mask": None}
    changes |= {"method": "absmax", "calibration": folder / "arrays"}
    return convert(request_for(folder / "b", source=source, **changes))[0]


def test_the_layer_that_reads_an_outlier_stands_first_with_the_cause(outlier_bundle: Bundle) -> None:
    found = sensitivity(outlier_bundle)
    worst, second, third = found.layers
    assert worst.channels == (16, 16)
    assert worst.errors[NOISE] > 20 * second.errors[NOISE] >= 20 * third.errors[NOISE] > 0
    assert found.share(worst) > 0.9
    assert worst.snr_db == pytest.approx(-10 * np.log10(worst.errors[NOISE]))
    assert "channel 3 reaches" in cause(worst.sources)
    assert worst.sources.activation_share > 0.9
    assert not [layer for layer in (second, third) if "channel" in cause(layer.sources)]
    # The others add next to nothing to what the worst does.
    assert found.together[NOISE] == pytest.approx(worst.errors[NOISE], rel=0.2)


def test_what_each_layer_is(outlier_bundle: Bundle) -> None:
    found = {layer.channels: layer for layer in sensitivity(outlier_bundle).layers}
    assert {(layer.kernel, layer.size) for layer in found.values()} == {
        ("3x3 s2", (8, 12)),
        ("3x3", (8, 12)),
        ("1x1", (8, 12)),
    }
    assert {channels: layer.macs for channels, layer in found.items()} == {
        (8, 16): 8 * 16 * 9 * 96,
        (16, 16): 16 * 16 * 9 * 96,
        (16, 4): 16 * 4 * 96,
    }


def test_at_most_eight_of_a_folder_are_taken(outlier_bundle: Bundle) -> None:
    found = sensitivity(outlier_bundle, outlier_bundle.path.parent / "arrays")
    assert (found.inputs, found.available) == (8, 12)
    own = sensitivity(outlier_bundle)
    assert (own.source, own.inputs, own.available) == ("samples", 4, 4)


def test_mattes_are_judged_where_there_is_a_mask(tiny_bundle, workshop: Path) -> None:
    found = sensitivity(tiny_bundle, workshop / "pictures")
    assert len(found.layers) == len(tiny_bundle.manifest["variants"]["int8"]["int8_layers"])
    depthwise = next(layer for layer in found.layers if layer.type == "ConvolutionDepthWise")
    assert depthwise.macs == 12 * 9 * 16 * 16
    for layer in found.layers:
        assert 0 < layer.errors[ALPHA_MAE] < 0.1
        assert 0.8 < layer.errors[MASK_IOU] <= 1
    assert found.macs >= sum(layer.macs for layer in found.layers)


def test_an_untrained_network_has_no_mattes(request_for, tiny_bundle, tmp_path: Path) -> None:
    shutil.copytree(tiny_bundle.path, tmp_path / "b")
    bundle, _ = convert(request_for(tmp_path / "b", untrained=True))
    assert set(sensitivity(bundle).together) == {NOISE}


def test_fp32_need_not_be_in_the_bundle(request_for, tiny_bundle, tmp_path: Path) -> None:
    bundle, _ = convert(request_for(tmp_path / "b", precisions=("int8",)))
    layers = [sensitivity(b).layers for b in (bundle, tiny_bundle)]
    assert [layer.errors for layer in layers[0]] == [layer.errors for layer in layers[1]]


def test_without_int8_there_is_nothing_to_say(request_for, tmp_path: Path) -> None:
    bundle, _ = convert(request_for(tmp_path / "b", precisions=("fp32",), calibration=None))
    with pytest.raises(UsageError, match="no int8 variant") as caught:
        sensitivity(bundle)
    assert "mobiledeploy quantize" in caught.value.hint


def test_equalized_layers_cannot_stand_alone(outlier_bundle: Bundle, tmp_path: Path) -> None:
    request = QuantizeRequest(outlier_bundle.path, tmp_path / "even", int8=Int8Options(equalize=True))
    even, _ = quantize_bundle(request)
    with pytest.raises(UsageError, match="--equalize"):
        sensitivity(even)


def test_int8_of_another_graph_is_refused(tiny_bundle, tmp_path: Path) -> None:
    shutil.copytree(tiny_bundle.path, tmp_path / "b")
    param = tmp_path / "b/int8.param"
    name = tiny_bundle.manifest["variants"]["int8"]["int8_layers"][0]
    param.write_text(param.read_text().replace(f" {name} ", f" other_{name} "))
    manifest = json.loads((tmp_path / "b/manifest.json").read_text())
    manifest["files"]["int8.param"]["sha256"] = file_hash(param)
    (tmp_path / "b/manifest.json").write_text(json.dumps(manifest))
    with pytest.raises(UsageError, match="not of one graph"):
        sensitivity(open_bundle(tmp_path / "b"))


@pytest.mark.parametrize("folder", ["nowhere", "empty"])
def test_pictures_that_are_not_there(tiny_bundle, tmp_path: Path, folder: str) -> None:
    (tmp_path / "empty").mkdir()
    with pytest.raises(UsageError, match=r"no such folder|no pictures there"):
        sensitivity(tiny_bundle, tmp_path / folder)


def test_an_interrupt_ends_it(outlier_bundle: Bundle) -> None:
    seen: list[int] = []

    def stop(_step: str, done: int, _total: int) -> None:
        if done:
            seen.append(done)
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        sensitivity(outlier_bundle, progress=stop)
    assert seen == [1]
