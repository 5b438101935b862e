from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path

import numpy as np
import onnx
import onnxruntime
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from onnx import TensorProto, helper, numpy_helper

from mobiledeploy.errors import ConversionError, MobileDeployError, UsageError
from mobiledeploy.source.onnx_file import load_onnx, save_onnx
from mobiledeploy.source.reference import TensorSpec

ConvModel = Callable[..., onnx.ModelProto]
WEIGHTS = np.arange(6, dtype=np.float32)


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "net.onnx"


def test_static_model(path: Path, conv_model: ConvModel) -> None:
    onnx.save(conv_model([1, 3, 4, 6]), path)
    loaded = load_onnx(path)
    assert loaded.inputs == (TensorSpec("image", (1, 3, 4, 6)),)
    assert loaded.outputs == (TensorSpec("mask", (1, 2, 4, 6)),)


def test_open_dimensions_are_listed(path: Path, conv_model: ConvModel) -> None:
    onnx.save(conv_model(["batch", 3, "height", None]), path)
    with pytest.raises(UsageError, match=r"image: batchx3xheightx\?") as caught:
        load_onnx(path)
    assert "--input-shape" in caught.value.hint


def test_open_dimensions_are_fixed_by_a_shape(path: Path, conv_model: ConvModel, tmp_path: Path) -> None:
    onnx.save(conv_model(["batch", 3, "height", "width"]), path)
    loaded = load_onnx(path, [(1, 3, 5, 7)])
    assert loaded.inputs == (TensorSpec("image", (1, 3, 5, 7)),)
    assert loaded.outputs == (TensorSpec("mask", (1, 2, 5, 7)),)
    save_onnx(loaded.model, tmp_path / "fixed.onnx")
    session = onnxruntime.InferenceSession(str(tmp_path / "fixed.onnx"))
    assert session.get_inputs()[0].shape == [1, 3, 5, 7]
    assert session.get_outputs()[0].shape == [1, 2, 5, 7]
    assert load_onnx(tmp_path / "fixed.onnx").outputs == loaded.outputs


@pytest.mark.parametrize(
    ("shapes", "message"),
    [
        ([(1, 4, 5, 7)], "which 1x4x5x7 does not fit"),
        ([(1, 3, 5)], "which 1x3x5 does not fit"),
        ([(1, 3, 0, 7)], "which 1x3x0x7 does not fit"),
        ([(1, 3, 5, 7)] * 2, "2 input shapes given, the model has 1"),
    ],
)
def test_shapes_that_do_not_fit(
    path: Path, conv_model: ConvModel, shapes: list[tuple[int, ...]], message: str
) -> None:
    onnx.save(conv_model([1, 3, "height", "width"]), path)
    with pytest.raises(UsageError, match=message):
        load_onnx(path, shapes)


def test_external_weights_in_the_folder_are_taken_in(
    path: Path, conv_model: ConvModel, tmp_path: Path
) -> None:
    (tmp_path / "parts").mkdir()
    (tmp_path / "parts/weights.bin").write_bytes(WEIGHTS.tobytes())
    onnx.save(conv_model([1, 3, 4, 4], external="parts/weights.bin"), path)
    model = load_onnx(path).model
    (tmp_path / "parts/weights.bin").unlink()
    np.testing.assert_array_equal(numpy_helper.to_array(model.graph.initializer[0]).ravel(), WEIGHTS)
    save_onnx(model, tmp_path / "whole.onnx")
    load_onnx(tmp_path / "whole.onnx")


@pytest.mark.parametrize(
    "location", ["../secret.bin", "/etc/passwd", "parts/../../secret.bin", "link.bin", "..\\x", "C:x", ""]
)
def test_external_weights_outside_the_folder_are_refused(
    conv_model: ConvModel, tmp_path: Path, location: str
) -> None:
    (tmp_path / "secret.bin").write_bytes(WEIGHTS.tobytes())
    folder = tmp_path / "model"
    (folder / "parts").mkdir(parents=True)
    (folder / "link.bin").symlink_to(tmp_path / "secret.bin")
    model = conv_model([1, 3, 4, 4], external=location or "x")
    model.graph.initializer[0].external_data[0].value = location
    (folder / "net.onnx").write_bytes(model.SerializeToString())
    with pytest.raises(ConversionError, match="outside its folder"):
        load_onnx(folder / "net.onnx")


def test_external_weights_that_are_not_there(path: Path, conv_model: ConvModel) -> None:
    onnx.save(conv_model([1, 3, 4, 4], external="weights.bin"), path)
    with pytest.raises(ConversionError, match=r"'weights\.bin', which is not there"):
        load_onnx(path)


@pytest.mark.parametrize(
    ("offset", "length"), [("8", "24"), ("-4", "24"), ("0", "999999999999999"), ("0", "-1"), ("x", "24")]
)
def test_external_weights_beyond_the_file(
    path: Path, conv_model: ConvModel, tmp_path: Path, offset: str, length: str
) -> None:
    (tmp_path / "weights.bin").write_bytes(WEIGHTS.tobytes())
    model = conv_model([1, 3, 4, 4], external="weights.bin")
    for entry in model.graph.initializer[0].external_data:
        entry.value = {"offset": offset, "length": length}.get(entry.key, entry.value)
    path.write_bytes(model.SerializeToString())
    with pytest.raises(ConversionError, match="beyond the end"):
        load_onnx(path)


def test_external_weights_too_short_for_their_shape(
    path: Path, conv_model: ConvModel, tmp_path: Path
) -> None:
    (tmp_path / "weights.bin").write_bytes(WEIGHTS.tobytes())
    model = conv_model([1, 3, 4, 4], external="weights.bin")
    model.graph.initializer[0].external_data[2].value = "8"
    path.write_bytes(model.SerializeToString())
    with pytest.raises(ConversionError, match="not a valid ONNX model"):
        load_onnx(path)


def test_weights_listed_as_inputs_are_not_inputs(path: Path, conv_model: ConvModel) -> None:
    model = conv_model([1, 3, 4, 4])
    model.graph.input.append(helper.make_tensor_value_info("weight", TensorProto.FLOAT, [2, 3, 1, 1]))
    onnx.save(model, path)
    assert [spec.name for spec in load_onnx(path).inputs] == ["image"]


def test_model_that_fails_at_the_given_shape(path: Path) -> None:
    graph = helper.make_graph(
        [helper.make_node("Reshape", ["x", "shape"], ["y"])],
        "net",
        [helper.make_tensor_value_info("x", TensorProto.FLOAT, ["n"])],
        [helper.make_tensor_value_info("y", TensorProto.FLOAT, None)],
        [numpy_helper.from_array(np.array([2, 3], np.int64), "shape")],
    )
    onnx.save(helper.make_model(graph, opset_imports=[helper.make_opsetid("", 18)], ir_version=10), path)
    assert load_onnx(path, [(6,)]).outputs == (TensorSpec("y", (2, 3)),)
    with pytest.raises(ConversionError, match=r"net\.onnx: onnxruntime can't"):
        load_onnx(path, [(7,)])


@pytest.mark.parametrize(("opset", "fits"), [(6, False), (7, True), (11, True), (99, False)])
def test_opsets(path: Path, conv_model: ConvModel, opset: int, fits: bool) -> None:
    onnx.save(conv_model([1, 3, 4, 4], opset=opset), path)
    if fits:
        load_onnx(path)
    else:
        with pytest.raises(ConversionError, match=f"opset {opset} is not supported"):
            load_onnx(path)


def test_half_precision_input_is_refused(path: Path, conv_model: ConvModel) -> None:
    onnx.save(conv_model([1, 3, 4, 4], dtype=TensorProto.FLOAT16), path)
    with pytest.raises(ConversionError, match="'image' is FLOAT16, not float32"):
        load_onnx(path)


@pytest.mark.parametrize(
    "content", [b"", b"<html></html>", b"version https://git-lfs.github.com/spec/v1\n", os.urandom(300)]
)
def test_what_is_no_model(path: Path, content: bytes) -> None:
    path.write_bytes(content)
    with pytest.raises(ConversionError, match="not an ONNX model"):
        load_onnx(path)


def test_an_input_beyond_reason_is_refused(path: Path, conv_model: ConvModel) -> None:
    onnx.save(conv_model([1, 3, 1 << 30, 1 << 30]), path)
    with pytest.raises(UsageError, match="'image' of shape 1x3x1073741824x1073741824 has more than"):
        load_onnx(path)


def test_missing_file(path: Path) -> None:
    with pytest.raises(UsageError, match="no such file"):
        load_onnx(path)


def test_file_beyond_the_limit_is_not_read(path: Path) -> None:
    with path.open("wb") as file:
        file.truncate(3 << 30)  # sparse: takes no room
    with pytest.raises(ConversionError, match="at most 2147483647"):
        load_onnx(path)


@settings(max_examples=200, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(data=st.data())
def test_damaged_models_give_a_message_and_nothing_else(
    path: Path, conv_model: ConvModel, data: st.DataObject
) -> None:
    content = bytearray(conv_model([1, 3, 4, 4]).SerializeToString())
    if data.draw(st.booleans()):
        content = content[: data.draw(st.integers(0, len(content)))]
    for _ in range(data.draw(st.integers(0, 3))):
        if content:
            content[data.draw(st.integers(0, len(content) - 1))] = data.draw(st.integers(0, 255))
    path.write_bytes(content)
    try:
        load_onnx(path)
    except MobileDeployError as error:
        assert str(path) in error.message  # noqa: PT017


def test_an_interrupted_write_leaves_the_old_file(
    path: Path, conv_model: ConvModel, monkeypatch: pytest.MonkeyPatch
) -> None:
    save_onnx(conv_model([1, 3, 4, 4]), path)
    before = path.read_bytes()

    def interrupted(self: Path, target: Path) -> Path:
        raise KeyboardInterrupt

    monkeypatch.setattr(Path, "replace", interrupted)
    with pytest.raises(KeyboardInterrupt):
        save_onnx(conv_model([1, 3, 8, 8]), path)
    assert path.read_bytes() == before
    assert [file.name for file in path.parent.iterdir()] == ["net.onnx"]
