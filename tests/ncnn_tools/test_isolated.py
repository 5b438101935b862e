"""A model that has not run yet runs in a process of its own: what becomes of crashes, hangs and refusals there."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import pytest

from ncnn_tools.errors import RuntimeCrashedError, RuntimeFailedError
from ncnn_tools.files import save
from ncnn_tools.graph import Graph, Layer, new_layer
from ncnn_tools.isolated import IsolatedRuntime
from ncnn_tools.runtime import Runtime

Files = tuple[Path, Path]
Write = Callable[..., Files]


@pytest.fixture
def write(make_graph: Callable[..., Graph], tmp_path: Path) -> Write:
    """Write a model of one layer from x (4x8x8) to y; returns its files."""

    def write(layer: Layer) -> Files:
        files = tmp_path / f"{layer.type}.param", tmp_path / f"{layer.type}.bin"
        save(make_graph((4, 8, 8), [layer], ["y"]), *files)
        return files

    return write


@pytest.fixture
def isolated() -> Iterator[IsolatedRuntime]:
    with IsolatedRuntime(time_limit_s=30) as runtime:
        yield runtime


@pytest.fixture
def x() -> np.ndarray:
    return np.random.default_rng(0).normal(0, 1, (4, 8, 8)).astype(np.float32)


def layer(kind: str, **params: object) -> Layer:
    return new_layer(kind, "y", ["x"], ["y"], **params)


# ncnn reads 100 000 channels of an input that has 4.
CRASHING = {"slices": (100_000,)}
# The mean of 90 601 values for each of 16 million: many minutes, in little memory.
ENDLESS = {"pooling_type": 1, "kernel_w": 301, "pad_left": 1150, "avgpool_count_include_pad": 1}


def test_it_computes_what_runtime_computes(write: Write, isolated: IsolatedRuntime, x: np.ndarray) -> None:
    for kind in ("ReLU", "TanH"):
        files = write(layer(kind))
        isolated.load(*files)
        expected = Runtime(*files).run({"x": x}, ["y", "x"])
        actual = isolated.run({"x": x}, ["y", "x"])
        assert list(actual) == ["y", "x"]
        for blob, value in expected.items():
            np.testing.assert_array_equal(actual[blob], value)


def test_a_view_is_sent_rightly(write: Write, isolated: IsolatedRuntime, x: np.ndarray) -> None:
    isolated.load(*write(layer("ReLU")))
    y = isolated.run({"x": x.transpose(0, 2, 1)[:, ::-1]}, ["y"])["y"]
    np.testing.assert_array_equal(y, np.maximum(x.transpose(0, 2, 1)[:, ::-1], 0))


def test_a_crash_is_an_error_here_and_the_next_model_runs(
    write: Write, isolated: IsolatedRuntime, x: np.ndarray
) -> None:
    isolated.load(*write(layer("Slice", **CRASHING)))
    with pytest.raises(RuntimeCrashedError, match="SIGSEGV"):
        isolated.run({"x": x}, ["y"])
    with pytest.raises(RuntimeFailedError, match="no model is loaded"):
        isolated.run({"x": x}, ["y"])
    isolated.load(*write(layer("ReLU")))
    np.testing.assert_array_equal(isolated.run({"x": x}, ["y"])["y"], np.maximum(x, 0))


def test_a_hang_is_an_error_here(write: Write, x: np.ndarray) -> None:
    with IsolatedRuntime(time_limit_s=0.5) as isolated:
        isolated.load(*write(layer("Pooling", **ENDLESS)))
        with pytest.raises(RuntimeCrashedError, match=r"longer than 0\.5 s"):
            isolated.run({"x": x}, ["y"])


def test_a_model_that_asks_for_all_memory_gets_none(write: Write, isolated: IsolatedRuntime, x) -> None:
    size = {"output_height": 100_000, "output_width": 100_000}  # 160 GB
    isolated.load(*write(layer("Interp", resize_type=1, **size)))
    with pytest.raises(RuntimeFailedError, match=r"could not compute|ended by"):
        isolated.run({"x": x}, ["y"])


def test_a_model_that_ncnn_refuses_does_not_end_the_process(
    write: Write, isolated: IsolatedRuntime, x: np.ndarray, tmp_path: Path
) -> None:
    """What ncnn prints about it comes along, on neither of this process's streams."""
    good = write(layer("ReLU"))
    (tmp_path / "bad.param").write_text("7767517\n1 1\nNope x 0 1 x\n")
    with pytest.raises(RuntimeFailedError, match=r"can't load .*bad\.param.*it says: .*Nope"):
        isolated.load(tmp_path / "bad.param", good[1])
    isolated.load(*good)
    assert isolated.run({"x": x}, ["y"])["y"].shape == (4, 8, 8)
    with pytest.raises(RuntimeFailedError, match=r"no blob 'z'$"):  # and not what was said before
        isolated.run({"x": x}, ["z"])


def test_another_folder_with_modules_of_its_own_does_no_harm(
    write: Write, isolated: IsolatedRuntime, x: np.ndarray, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "json.py").write_text("raise SystemExit('not this one')")
    files = write(layer("ReLU"))
    monkeypatch.chdir(tmp_path)
    isolated.load(Path(files[0].name), Path(files[1].name))
    assert isolated.run({"x": x}, ["y"])["y"].shape == (4, 8, 8)
