"""An int8 variant made anew of a bundle: as `convert` would make it, and nothing else changes."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper

from mobiledeploy.bundle import Bundle, file_hash, open_bundle
from mobiledeploy.convert import Int8Options, QuantizeRequest, convert, quantize_bundle
from mobiledeploy.convert.variants import load_variant
from mobiledeploy.diff import Opener, Options, compare, parse_name
from mobiledeploy.errors import ConversionError, UsageError
from mobiledeploy.report.bundle_table import footnotes
from ncnn_tools.quantization.chains import gives_int8


class Steps:
    """Notes the steps, and may stop at one."""

    def __init__(self, stop_at: str = "") -> None:
        self.seen: list[str] = []
        self.stop_at = stop_at

    def __call__(self, step: str, _done: int, _total: int) -> None:
        self.seen.append(step)
        if self.stop_at and step.startswith(self.stop_at):
            raise KeyboardInterrupt


@pytest.fixture
def bundle(tiny_bundle, tmp_path: Path) -> Bundle:
    """A copy of the small network's bundle, with all precisions."""
    shutil.copytree(tiny_bundle.path, tmp_path / "b")
    return open_bundle(tmp_path / "b")


@pytest.fixture(scope="session")
def floats(request_for, tmp_path_factory: pytest.TempPathFactory) -> Bundle:
    """The small network in floats, converted without pictures. Tests read it only."""
    path = tmp_path_factory.mktemp("floats") / "b"
    return convert(request_for(path, precisions=("fp32", "fp16"), calibration=None))[0]


@pytest.fixture(scope="session")
def without_fp32(request_for, tmp_path_factory: pytest.TempPathFactory) -> Bundle:
    path = tmp_path_factory.mktemp("without") / "b"
    return convert(request_for(path, precisions=("fp16", "int8")))[0]


@pytest.fixture
def copy_of(tmp_path: Path) -> Callable[[Bundle], Bundle]:
    def copy(bundle: Bundle) -> Bundle:
        shutil.copytree(bundle.path, tmp_path / "b")
        return open_bundle(tmp_path / "b")

    return copy


def hashes(bundle: Bundle, *left_out: str) -> dict[str, str]:
    files = bundle.manifest["files"].items()
    return {name: entry["sha256"] for name, entry in files if not name.startswith(left_out)}


def test_pictures_make_of_a_float_bundle_what_convert_would_have(
    floats, copy_of, tiny_bundle, request_for, workshop: Path
) -> None:
    bundle, made = quantize_bundle(
        QuantizeRequest(copy_of(floats).path, calibration=workshop / "pictures"), steps := Steps()
    )
    assert made
    assert "writing int8" in steps.seen
    assert not {"writing fp32", "writing fp16", "exporting to ONNX"} & set(steps.seen)
    assert hashes(bundle) == hashes(tiny_bundle)
    differing = {key for key in tiny_bundle.manifest if bundle.manifest[key] != tiny_bundle.manifest[key]} - {
        "created",
        "keys",
    }
    assert not differing
    # The samples are of the pictures now, and `convert` of the same pictures finds all but the sizes done.
    convert(request_for(bundle.path), steps := Steps())
    assert not [step for step in steps.seen if step.startswith(("writing", "calibrating", "exporting"))]


def test_the_same_command_twice_does_nothing(bundle, workshop: Path) -> None:
    request = QuantizeRequest(
        bundle.path, calibration=workshop / "pictures", int8=Int8Options(weights="mse", chains=False)
    )
    assert quantize_bundle(request)[1] is True
    inode = (bundle.path / "int8.bin").stat().st_ino
    changed, made = quantize_bundle(request, steps := Steps())
    assert (made, steps.seen) == (False, [])
    assert (changed.path / "int8.bin").stat().st_ino == inode


@pytest.mark.parametrize(
    ("options", "step"),
    [
        (Int8Options("kl"), "writing int8"),
        (Int8Options(weights="mse"), "writing int8"),
        (Int8Options(bias_correction=False), "writing int8"),
        (Int8Options(rounding=True), "measuring what int8 shifts"),
        (Int8Options(chains=False), "writing int8"),
    ],
)
def test_each_method_makes_another_int8_from_the_statistics_in_the_bundle(
    bundle, tiny_bundle, request_for, options: Int8Options, step: str
) -> None:
    changed, made = quantize_bundle(QuantizeRequest(bundle.path, int8=options), steps := Steps())
    assert made
    assert step in steps.seen
    assert "calibrating" not in steps.seen
    assert hashes(changed, "int8") == hashes(tiny_bundle, "int8")
    assert hashes(changed) != hashes(tiny_bundle)
    assert changed.manifest["variants"]["int8"]["quantization"] == options.to_json()
    assert changed.manifest["calibration"]["method"] == options.method
    assert changed.manifest["calibration"]["images"] == 6
    # Convert doesn't take it for its own, and makes its own again.
    again, remade = convert(request_for(bundle.path))
    assert remade
    assert hashes(again) == hashes(tiny_bundle)


def test_without_chains_no_layer_gives_int8(bundle) -> None:
    before = [layer.name for layer in load_variant(bundle, "int8").layers if gives_int8(layer)]
    changed, _ = quantize_bundle(QuantizeRequest(bundle.path, int8=Int8Options(chains=False)))
    after = [layer.name for layer in load_variant(changed, "int8").layers if gives_int8(layer)]
    assert before
    assert not after


def test_equalized_activations_are_not_taken_for_onnx_tensors(request_for, tmp_path: Path) -> None:
    """Two convolutions whose channels differ by up to 2^10: what equalization is for."""
    source = unequal_network(tmp_path / "net.onnx")
    pictures = tmp_path / "pictures"
    pictures.mkdir()
    for number in range(4):
        np.save(
            pictures / f"{number}.npy", np.random.default_rng(number).normal(size=(1, 3, 16, 16)).astype("f4")
        )
    changes = {"model": None, "input_shapes": None, "output_names": None, "preprocessing": None, "mask": None}
    plain, _ = convert(request_for(tmp_path / "b", source=source, calibration=pictures, **changes))
    even, _ = quantize_bundle(
        QuantizeRequest(plain.path, tmp_path / "even", int8=Int8Options(equalize=True)), steps := Steps()
    )
    assert "evening out channels" in steps.seen
    errors = [b.variants["int8"].parity["outputs"]["y"]["mean_abs"] for b in (plain, even)]
    assert errors[1] < errors[0] / 2
    rescaled = even.manifest["variants"]["int8"]["rescaled"]
    assert rescaled
    assert not set(rescaled) & set(load_variant(even, "int8").origins)
    # The statistics in the bundle are those of the graph as it is, for other methods.
    assert hashes(even, "int8") == hashes(plain, "int8")
    assert [compared_tensors(bundle) for bundle in (even, plain)] == [["y"], ["b", "y"]]


def compared_tensors(bundle: Bundle) -> list[str]:
    """Return the tensors that `diff` compares between the reference and int8."""
    names = [parse_name(f"{bundle.path}:{stage}") for stage in ("onnx", "int8")]
    opener = Opener(names, Options(), None, lambda *_: None)
    reference, int8 = (opener.open(name) for name in names)
    return [row.pair.reference.name for row in compare(reference, int8, opener.inputs((), reference)).rows]


def unequal_network(path: Path) -> Path:
    generator = np.random.default_rng(0)
    factors = np.exp2(np.linspace(0, 10, 16)).astype(np.float32)
    first = generator.normal(0, 0.3, (16, 3, 3, 3)).astype(np.float32) * factors[:, None, None, None]
    second = generator.normal(0, 0.3, (8, 16, 3, 3)).astype(np.float32) / factors[:, None, None]
    graph = helper.make_graph(
        [
            helper.make_node("Conv", ["x", "first"], ["a"], pads=[1, 1, 1, 1]),
            helper.make_node("Relu", ["a"], ["b"]),
            helper.make_node("Conv", ["b", "second"], ["y"], pads=[1, 1, 1, 1]),
        ],
        "g",
        [helper.make_tensor_value_info("x", TensorProto.FLOAT, [1, 3, 16, 16])],
        [helper.make_tensor_value_info("y", TensorProto.FLOAT, [1, 8, 16, 16])],
        [onnx.numpy_helper.from_array(array, name) for name, array in (("first", first), ("second", second))],
    )
    onnx.save(helper.make_model(graph, opset_imports=[helper.make_opsetid("", 18)], ir_version=9), path)
    return path


def test_another_bundle_leaves_the_first_as_it_is(bundle, tiny_bundle, tmp_path: Path) -> None:
    request = QuantizeRequest(bundle.path, tmp_path / "other", int8=Int8Options("absmax"))
    other, made = quantize_bundle(request)
    assert (other.path, made) == (tmp_path / "other", True)
    assert open_bundle(bundle.path).manifest == tiny_bundle.manifest
    assert other.manifest["calibration"]["method"] == "absmax"
    assert quantize_bundle(request)[1] is False


def test_without_fp32_the_graph_is_made_of_the_reference_again(without_fp32, copy_of, tiny_bundle) -> None:
    """The same layers as where fp32 is there."""
    options = Int8Options("absmax", bias_correction=False)
    changed, _ = quantize_bundle(QuantizeRequest(copy_of(without_fp32).path, int8=options), steps := Steps())
    assert "comparing fp32 with onnxruntime" in steps.seen
    assert list(changed.variants) == ["fp16", "int8"]
    path = changed.path.with_name("other")
    other, _ = quantize_bundle(QuantizeRequest(tiny_bundle.path, path, int8=options))
    assert hashes(changed)["int8.bin"] == hashes(other)["int8.bin"]
    assert hashes(changed)["int8.param"] == hashes(other)["int8.param"]


def test_without_fp32_another_graph_of_the_reference_is_refused(without_fp32, copy_of) -> None:
    bundle = copy_of(without_fp32)
    blobs = {**bundle.manifest["blobs"], "conv_of_another_version": "tensor"}
    (bundle.path / "manifest.json").write_text(json.dumps({**bundle.manifest, "blobs": blobs}))
    with pytest.raises(UsageError, match="converts to another graph") as caught:
        quantize_bundle(QuantizeRequest(bundle.path))
    assert "fp32" in caught.value.hint


def test_another_converter_is_needed_only_where_fp32_is_not_there(
    bundle, without_fp32, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv("PATH", str(tmp_path / "nowhere"))
    shutil.copytree(without_fp32.path, tmp_path / "without")
    for path in (bundle.path, tmp_path / "without"):
        manifest = json.loads((path / "manifest.json").read_text())
        manifest["converter"] = {"name": "onnx2ncnn", "version": "sha256:0"}
        (path / "manifest.json").write_text(json.dumps(manifest))
    options = Int8Options("kl")
    assert quantize_bundle(QuantizeRequest(bundle.path, int8=options))[1] is True
    with pytest.raises(UsageError, match="onnx2ncnn is not installed"):
        quantize_bundle(QuantizeRequest(tmp_path / "without", int8=options))


def test_statistics_that_are_missing_are_taken_of_the_kept_samples(
    request_for, workshop: Path, tmp_path: Path
) -> None:
    """A bundle calibrated without int8 has pictures, but no statistics."""
    bundle, _ = convert(request_for(tmp_path / "b", precisions=("fp32",)))
    changed, _ = quantize_bundle(QuantizeRequest(bundle.path), steps := Steps())
    assert "calibrating" in steps.seen
    assert changed.manifest["calibration"]["images"] == 4
    assert any("few" in note for note in footnotes(changed))
    assert quantize_bundle(QuantizeRequest(bundle.path))[1] is False


def test_noise_is_nothing_to_calibrate_on(floats) -> None:
    with pytest.raises(UsageError, match="samples are noise") as caught:
        quantize_bundle(QuantizeRequest(floats.path))
    assert "--calibration" in caught.value.hint


def test_a_network_of_two_inputs_is_refused(request_for, tmp_path: Path) -> None:
    graph = helper.make_graph(
        [helper.make_node("Add", ["a", "b"], ["y"])],
        "g",
        [helper.make_tensor_value_info(name, TensorProto.FLOAT, [1, 3, 8, 8]) for name in ("a", "b")],
        [helper.make_tensor_value_info("y", TensorProto.FLOAT, [1, 3, 8, 8])],
    )
    source = tmp_path / "net.onnx"
    onnx.save(helper.make_model(graph, opset_imports=[helper.make_opsetid("", 18)], ir_version=9), source)
    changes: dict[str, Any] = {"model": None, "input_shapes": None, "output_names": None, "mask": None}
    changes |= {"preprocessing": None, "calibration": None, "precisions": ("fp32",), "source": source}
    bundle, _ = convert(request_for(tmp_path / "b", **changes))
    for calibration in (None, tmp_path):
        with pytest.raises(UsageError, match="takes 2 inputs"):
            quantize_bundle(QuantizeRequest(bundle.path, calibration=calibration))


def rewrite(bundle: Bundle, name: str, content: bytes) -> None:
    """Change a file of a bundle, and what the manifest says of it."""
    (bundle.path / name).write_bytes(content)
    manifest = json.loads((bundle.path / "manifest.json").read_text())
    manifest["files"][name]["sha256"] = file_hash(bundle.path / name)
    (bundle.path / "manifest.json").write_text(json.dumps(manifest))


@pytest.mark.parametrize("name", ["fp32.bin", "model.onnx", "calibration/statistics.npz"])
def test_a_damaged_bundle_is_refused_and_left(bundle, name: str) -> None:
    (bundle.path / name).write_bytes(b"damaged")
    with pytest.raises(UsageError, match="changed since it was converted"):
        quantize_bundle(QuantizeRequest(bundle.path, int8=Int8Options("kl")))
    assert (bundle.path / name).read_bytes() == b"damaged"


@pytest.mark.parametrize(
    ("name", "content", "error"),
    [
        ("fp32.bin", b"no weights", UsageError),
        ("fp32.param", b"no layers", UsageError),
        ("calibration/statistics.npz", b"no statistics", UsageError),
        ("model.onnx", b"no model", ConversionError),
        ("samples/picture.npy", b"no array", UsageError),
    ],
)
def test_a_file_that_the_manifest_vouches_for_may_be_anything(
    bundle, name: str, content: bytes, error: type[Exception]
) -> None:
    rewrite(bundle, name, content)
    before = (bundle.path / "manifest.json").read_bytes()
    with pytest.raises(error):
        quantize_bundle(QuantizeRequest(bundle.path, int8=Int8Options("kl")))
    assert (bundle.path / "manifest.json").read_bytes() == before
    assert [path.name for path in bundle.path.parent.iterdir()] == ["b"]


def test_weights_that_do_not_compute_the_reference_are_refused(bundle) -> None:
    """int8 of a network that is not the one of the ONNX reference would be wrong without anyone seeing it."""
    weights = bytearray((bundle.path / "fp32.bin").read_bytes())
    weights[4:8] = np.float32(3).tobytes()
    rewrite(bundle, "fp32.bin", bytes(weights))
    with pytest.raises(ConversionError, match="fp32 model differs from onnxruntime"):
        quantize_bundle(QuantizeRequest(bundle.path, int8=Int8Options("kl")))


@pytest.mark.parametrize("step", ["calibrating", "writing int8", "comparing int8"])
def test_an_interrupt_leaves_the_older_bundle(bundle, tiny_bundle, workshop: Path, step: str) -> None:
    more = bundle.path.parent / "more"
    shutil.copytree(workshop / "pictures", more)
    shutil.copy(more / "picture0.png", more / "twin.png")
    with pytest.raises(KeyboardInterrupt):
        quantize_bundle(QuantizeRequest(bundle.path, calibration=more), Steps(step))
    assert open_bundle(bundle.path).manifest == tiny_bundle.manifest
    assert sorted(path.name for path in bundle.path.parent.iterdir()) == ["b", "more"]


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"int8": Int8Options("eq")}, "absmax, percentile, kl, mse, cosine"),
        ({"int8": Int8Options(weights="kl")}, "weights are not clipped by 'kl'"),
        ({"calibration": Path("nowhere")}, "no such folder"),
        ({"bundle": Path("nowhere")}, "not a bundle"),
        ({"output": Path(__file__)}, "not a bundle"),
    ],
)
def test_requests_that_cannot_be_met(bundle, tiny_bundle, changes: dict[str, Any], message: str) -> None:
    with pytest.raises(UsageError, match=message):
        quantize_bundle(QuantizeRequest(**{"bundle": bundle.path, **changes}))
    assert open_bundle(bundle.path).manifest == tiny_bundle.manifest
