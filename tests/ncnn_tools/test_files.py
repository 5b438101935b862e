"""A model as a pair of files."""

from __future__ import annotations

from pathlib import Path

import pytest

from ncnn_tools.errors import FormatError, GraphError
from ncnn_tools.files import load, save
from ncnn_tools.graph import Graph, new_layer
from ncnn_tools.runtime import Runtime


@pytest.fixture
def small() -> Graph:
    product = new_layer("InnerProduct", "fc", ["x"], ["y"], num_output=1, weight_data_size=2)
    product.set_weight("weight", [2, 3])
    return Graph([new_layer("Input", "x", [], ["x"], w=2), product], ["y"])


def test_a_saved_pair_loads_equal_and_saves_unchanged(small: Graph, tmp_path: Path) -> None:
    param, weights = tmp_path / "a.param", tmp_path / "a.bin"
    save(small, param, weights)
    back = load(param, weights)
    assert back.layers == small.layers
    assert back.outputs == ["y"]
    save(back, tmp_path / "b.param", tmp_path / "b.bin")
    assert (tmp_path / "b.param").read_bytes() == param.read_bytes()
    assert (tmp_path / "b.bin").read_bytes() == weights.read_bytes()
    assert sorted(path.name for path in tmp_path.iterdir()) == ["a.bin", "a.param", "b.bin", "b.param"]


def test_a_pair_that_ncnn_loads_still_runs_after_reading_and_writing(tmp_path: Path) -> None:
    param, weights = tmp_path / "hand.param", tmp_path / "hand.bin"
    param.write_text(
        "7767517\n3 4\n"
        "Input in 0 1 in 0=3 1=1 2=2 -23330=4,3,3,1,2\n"
        "Split s 1 2 in a b\n"
        "BatchNorm bn\t1 1 a out 0=2 1=1e-1 31=2\n"
    )
    weights.write_bytes(bytes(range(32)))
    save(load(param, weights), tmp_path / "again.param", tmp_path / "again.bin")
    assert (tmp_path / "again.bin").read_bytes() == weights.read_bytes()
    for name in ("hand", "again"):
        assert sorted(Runtime(tmp_path / f"{name}.param", tmp_path / f"{name}.bin").outputs) == ["b", "out"]


def test_a_graph_that_can_not_be_written_leaves_what_was_there(small: Graph, tmp_path: Path) -> None:
    param, weights = tmp_path / "m.param", tmp_path / "m.bin"
    save(small, param, weights)
    before = param.read_bytes(), weights.read_bytes()
    small.layers[1].weights.clear()
    with pytest.raises(GraphError):
        save(small, param, weights)
    small.layers[1].set_weight("weight", [5, 6])
    small.layers[1].name = "two words"
    with pytest.raises(GraphError):
        save(small, param, weights)
    assert (param.read_bytes(), weights.read_bytes()) == before
    assert len(list(tmp_path.iterdir())) == 2


def test_a_failed_write_leaves_no_part(small: Graph, tmp_path: Path) -> None:
    (tmp_path / "m.bin").mkdir()
    with pytest.raises(OSError, match=r"m\.bin"):
        save(small, tmp_path / "m.param", tmp_path / "m.bin")
    assert [path.name for path in tmp_path.iterdir()] == ["m.bin"]


def test_files_that_do_not_belong_together_are_refused(small: Graph, tmp_path: Path) -> None:
    param, weights = tmp_path / "m.param", tmp_path / "m.bin"
    save(small, param, weights)
    weights.write_bytes(weights.read_bytes() + bytes(8))
    with pytest.raises(FormatError, match=r"m\.bin: offset 12: 8 bytes are left"):
        load(param, weights)
