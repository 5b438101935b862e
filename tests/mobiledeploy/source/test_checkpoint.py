from __future__ import annotations

import argparse
import collections
import os
import pickle
import subprocess
import sys
import tarfile
import warnings
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from safetensors.torch import save_file
from torch import nn

from mobiledeploy.errors import ConversionError, MobileDeployError, UsageError
from mobiledeploy.source.checkpoint import load_state_dict

SHARED = Path(__file__).resolve().parents[4] / "shared"


class Touch:
    """A pickle that creates a file when it is loaded."""

    def __init__(self, function: Callable[..., Any], *arguments: object) -> None:
        self.call = (function, arguments)

    def __reduce__(self) -> tuple[Any, ...]:
        return self.call


def assert_same(actual: dict[str, torch.Tensor], expected: dict[str, torch.Tensor]) -> None:
    assert list(actual) == list(expected)
    for name, tensor in expected.items():
        assert actual[name].dtype == tensor.dtype
        torch.testing.assert_close(actual[name], tensor, rtol=0, atol=0)


@pytest.fixture
def state(two_heads: nn.Module) -> dict[str, torch.Tensor]:
    return dict(two_heads.state_dict())


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "weights.pth"


def test_zip_format(state: dict[str, torch.Tensor], path: Path) -> None:
    torch.save(state, path)
    assert_same(load_state_dict(path), state)


def test_older_pickle_format(state: dict[str, torch.Tensor], path: Path) -> None:
    torch.save(state, path, _use_new_zipfile_serialization=False)
    assert_same(load_state_dict(path), state)


@pytest.mark.parametrize("name", ["weights.safetensors", "weights.bin"])
def test_safetensors_whatever_its_name(state: dict[str, torch.Tensor], tmp_path: Path, name: str) -> None:
    save_file(state, tmp_path / name)
    loaded = load_state_dict(tmp_path / name)
    assert_same({key: loaded[key] for key in state}, state)


def test_half_precision_is_kept(path: Path) -> None:
    state = {"weight": torch.randn(3).half(), "counter.num_batches_tracked": torch.tensor(7)}
    torch.save(state, path)
    assert_same(load_state_dict(path), state)


@pytest.mark.parametrize(
    "wrap",
    [
        lambda s: {"state_dict": s, "epoch": 3},
        lambda s: {"model": s, "optimizer": {"state": {}, "param_groups": [{"lr": 0.1}]}},
        lambda s: {"net": s},
        lambda s: {"model_state_dict": s, "loss": 0.25},
        lambda s: {"weights": s},
        lambda s: {"model": {"state_dict": s}, "args": {"lr": 1e-3}},
        lambda s: {"ema": s, "step": 10},
        lambda s: {"ema": {"x": torch.zeros(1)}, "model": s},
        lambda s: {"portrait_generator": s, "epoch": 1},
        lambda s: collections.OrderedDict(state_dict=collections.OrderedDict(s)),
    ],
)
def test_wrapped_as_people_save_it(
    state: dict[str, torch.Tensor], path: Path, wrap: Callable[[Any], Any]
) -> None:
    torch.save(wrap(state), path)
    assert_same(load_state_dict(path), state)


@pytest.mark.parametrize("prefix", ["module.", "_orig_mod.", "module._orig_mod.", "_orig_mod.module."])
def test_prefix_of_a_wrapper_is_removed(state: dict[str, torch.Tensor], path: Path, prefix: str) -> None:
    torch.save({prefix + key: value for key, value in state.items()}, path)
    assert_same(load_state_dict(path), state)


def test_prefix_on_some_keys_belongs_to_the_network(path: Path) -> None:
    state = {"module.weight": torch.zeros(2), "bias": torch.zeros(2)}
    torch.save(state, path)
    assert_same(load_state_dict(path), state)


def test_tensors_saved_on_a_gpu(state: dict[str, torch.Tensor], path: Path, tmp_path: Path) -> None:
    # What torch writes on a GPU differs in one thing only: the storages' location.
    torch.save(state, tmp_path / "cpu.pth")
    cpu, cuda = b"X\x03\x00\x00\x00cpu", b"X\x06\x00\x00\x00cuda:0"
    with zipfile.ZipFile(tmp_path / "cpu.pth") as source, zipfile.ZipFile(path, "w") as target:
        for record in source.infolist():
            content = source.read(record)
            if record.filename.endswith("data.pkl"):
                assert cpu in content
                content = content.replace(cpu, cuda)
            target.writestr(record.filename, content)
    assert_same(load_state_dict(path), state)


@pytest.mark.parametrize("zip_format", [True, False])
def test_bookkeeping_beside_the_weights_is_no_obstacle(
    state: dict[str, torch.Tensor], path: Path, zip_format: bool
) -> None:
    content = {
        "state_dict": state,
        "best_iou": np.float64(0.97),
        "history": np.arange(4.0),
        "args": argparse.Namespace(lr=1e-3, layers=[1, 2]),
        "data": Path("portraits"),
        "metric": collections.Counter(a=1),
    }
    torch.save(content, path, _use_new_zipfile_serialization=zip_format)
    assert_same(load_state_dict(path), state)


@pytest.mark.parametrize("zip_format", [True, False])
@pytest.mark.parametrize("place", ["alone", "beside", "as the weights", "inside the weights", "as a key"])
@pytest.mark.parametrize("payload", ["os", "builtins", "subprocess", "pathlib"])
def test_code_in_a_checkpoint_never_runs(
    state: dict[str, torch.Tensor], path: Path, tmp_path: Path, payload: str, place: str, zip_format: bool
) -> None:
    mark = tmp_path / "executed"
    attack = {
        "os": Touch(os.system, f"touch '{mark}'"),
        "builtins": Touch(eval, f"open({str(mark)!r}, 'w')"),
        "subprocess": Touch(subprocess.check_call, ["touch", str(mark)]),
        "pathlib": Touch(Path.touch, mark),
    }[payload]
    content: Any = {
        "alone": attack,
        "beside": {"state_dict": state, "note": attack},
        "as the weights": {"state_dict": attack},
        "inside the weights": {"state_dict": {**state, "head.bias": attack}},
        "as a key": {"state_dict": state, attack: 1},
    }[place]
    torch.save(content, path, _use_new_zipfile_serialization=zip_format)
    if place in ("beside", "as a key") and payload == "subprocess":
        load_state_dict(path)  # an inert stand-in takes its place, and the weights are complete without it
    else:
        with pytest.raises(
            ConversionError, match=r"without running anything in it.*(system|eval|call|getattr)"
        ):
            load_state_dict(path)
    assert not mark.exists()
    # The attack is real: without the guard it does its work.
    if payload != "pathlib" and place == "alone":
        with pytest.raises(ConversionError):
            load_state_dict(path, trust=True)
        assert mark.exists()


def test_whole_module_is_refused_with_its_class_and_the_ways_out(path: Path) -> None:
    torch.save(nn.Sequential(nn.Conv2d(3, 2, 1)), path)
    with pytest.raises(ConversionError, match=r"torch\.nn\.modules\.container\.Sequential") as caught:
        load_state_dict(path)
    assert "without running anything" in caught.value.message
    assert "state_dict()" in caught.value.hint
    assert "--trust-checkpoint" in caught.value.hint


@pytest.mark.parametrize("wrap", [lambda m: m, lambda m: {"model": m, "epoch": 1}])
def test_whole_module_loads_when_trusted(path: Path, wrap: Callable[[Any], Any]) -> None:
    module = nn.Sequential(nn.Conv2d(3, 2, 1))
    torch.save(wrap(module), path)
    assert_same(load_state_dict(path, trust=True), dict(module.state_dict()))


def test_trusted_module_whose_class_is_gone(path: Path, tmp_path: Path) -> None:
    script = "import torch\nclass Net(torch.nn.Module): pass\ntorch.save(Net(), 'weights.pth')"
    subprocess.run([sys.executable, "-c", script], cwd=tmp_path, check=True)
    with pytest.raises(ConversionError, match="needs code that is not here"):
        load_state_dict(path, trust=True)


def write_zip_bomb(path: Path) -> None:
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("weights/data.pkl", bytes(100 << 20))


def write_truncated_zip(path: Path) -> None:
    torch.save({"weight": torch.zeros(1000)}, path)
    path.write_bytes(path.read_bytes()[:-500])


def write_truncated_legacy(path: Path) -> None:
    torch.save({"weight": torch.zeros(1000)}, path, _use_new_zipfile_serialization=False)
    path.write_bytes(path.read_bytes()[:-500])


def write_other_zip(path: Path) -> None:
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("readme.txt", "hello")


def write_tar(path: Path) -> None:
    with tarfile.open(path, "w") as archive:
        archive.add(__file__, "data")


def write_script(path: Path) -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # deprecated, and still what people have
        torch.jit.save(torch.jit.script(nn.Conv2d(3, 2, 1)), str(path))


def write_lfs_pointer(path: Path) -> None:
    path.write_text("version https://git-lfs.github.com/spec/v1\noid sha256:00\nsize 3400000\n")


@pytest.mark.parametrize(
    ("write", "message"),
    [
        (lambda p: p.write_bytes(b""), "empty"),
        (lambda p: p.write_text("<!DOCTYPE html><html>Sign in</html>"), "web page"),
        (write_lfs_pointer, "Git LFS pointer"),
        (lambda p: p.write_text("epoch,loss\n1,0.5\n"), "text file"),
        (lambda p: p.write_bytes(bytes(range(256))), "unknown format"),
        (lambda p: p.write_bytes(pickle.dumps({"weight": [1.0]})), "plain pickle"),
        (lambda p: p.mkdir(), "folder"),
        (write_tar, "tar archive"),
        (write_zip_bomb, "claims to expand"),
        (write_truncated_zip, "truncated or damaged"),
        (write_truncated_legacy, "can't be read"),
        (write_other_zip, "not one that torch.save wrote"),
        (write_script, "TorchScript"),
        (lambda p: torch.save({"epoch": 3, "loss": 0.1}, p), "no state dict found.*'epoch', 'loss'"),
        (lambda p: torch.save({}, p), "an empty dictionary"),
        (lambda p: torch.save(torch.zeros(3), p), "holds a Tensor"),
        (lambda p: torch.save({"a": {"x": torch.zeros(1)}, "b": {"y": torch.zeros(1)}}, p), "no state dict"),
        (lambda p: torch.save({"weight": torch.zeros(3, device="meta")}, p), "without its data"),
        (lambda p: torch.save({"weight": torch.eye(3).to_sparse()}, p), "sparse"),
    ],
)
def test_what_is_no_checkpoint_is_named(path: Path, write: Callable[[Path], Any], message: str) -> None:
    write(path)
    with pytest.raises(MobileDeployError, match=message) as caught:
        load_state_dict(path)
    assert str(path) in caught.value.message


def test_missing_file_is_a_usage_error(path: Path) -> None:
    with pytest.raises(UsageError, match="no such file"):
        load_state_dict(path)


def test_trusted_torchscript(path: Path) -> None:
    write_script(path)
    assert list(load_state_dict(path, trust=True)) == ["weight", "bias"]


@pytest.fixture(scope="module")
def good_files(tmp_path_factory: pytest.TempPathFactory) -> list[bytes]:
    folder = tmp_path_factory.mktemp("good")
    state = {"conv.weight": torch.randn(2, 3, 1, 1), "conv.bias": torch.randn(2)}
    torch.save(state, folder / "a")
    torch.save(state, folder / "b", _use_new_zipfile_serialization=False)
    save_file(state, folder / "c")
    return [(folder / name).read_bytes() for name in "abc"]


@settings(max_examples=150, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(data=st.data())
def test_damaged_files_give_a_message_and_nothing_else(
    good_files: list[bytes], tmp_path: Path, data: st.DataObject
) -> None:
    content = bytearray(data.draw(st.sampled_from(good_files)))
    if data.draw(st.booleans()):
        content = content[: data.draw(st.integers(0, len(content) - 1))]
    for _ in range(data.draw(st.integers(0, 4))):
        if content:
            content[data.draw(st.integers(0, len(content) - 1))] = data.draw(st.integers(0, 255))
    path = tmp_path / "damaged.pth"
    path.write_bytes(content)
    try:
        load_state_dict(path)
    except MobileDeployError as error:
        assert str(path) in error.message  # noqa: PT017


def test_trained_checkpoint() -> None:
    path = SHARED / "data/erd_seg_matting/ckpt_lastest.pth"
    if not path.is_file():
        pytest.skip("needs ../shared/data/erd_seg_matting")
    state = load_state_dict(path)
    assert len(state) == 276
    assert {tensor.device.type for tensor in state.values()} == {"cpu"}


def test_light_modules_do_not_import_torch() -> None:
    script = (
        "import sys, mobiledeploy.preprocessing, mobiledeploy.source, mobiledeploy.source.checkpoint_file,"
        " mobiledeploy.source.onnx_file, mobiledeploy.source.simplify; assert 'torch' not in sys.modules"
    )
    subprocess.run([sys.executable, "-c", script], check=True)
