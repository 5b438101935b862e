"""The wrapper over the ncnn wheel, and the wheel's traps that it closes."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from ncnn_tools.errors import GraphError, NcnnToolsError, RuntimeFailedError
from ncnn_tools.files import save
from ncnn_tools.graph import Graph, Layer, new_layer
from ncnn_tools.runtime import Runtime, RuntimeOptions

Make = Callable[..., Graph]


def relu(source: str, target: str, slope: float = 0.0) -> Layer:
    return new_layer("ReLU", target, [source], [target], slope=slope)


@pytest.fixture
def chain(make_graph: Make) -> Graph:
    """x → y = leaky relu, in place on its input → z = 2y → w = z + 1."""
    double = new_layer("BinaryOp", "z", ["y"], ["z"], op_type=2, with_scalar=1, b=2.0)
    plus_one = new_layer("BinaryOp", "w", ["z"], ["w"], op_type=0, with_scalar=1, b=1.0)
    return make_graph((2, 3, 4), [relu("x", "y", 0.5), double, plus_one], ["w"])


@pytest.fixture
def values() -> np.ndarray:
    return np.random.default_rng(0).normal(0, 1, (2, 3, 4)).astype(np.float32)


def leaky(values: np.ndarray) -> np.ndarray:
    return np.where(values > 0, values, values * np.float32(0.5))


def test_outputs_and_intermediate_blobs(chain: Graph, values: np.ndarray) -> None:
    runtime = Runtime.from_graph(chain)
    assert runtime.outputs == ["w"]
    assert list(runtime.run({"x": values})) == ["w"]
    results = runtime.run({"x": values}, ["z", "y", "x", "w"])
    assert list(results) == ["z", "y", "x", "w"]
    np.testing.assert_array_equal(results["x"], values)
    np.testing.assert_array_equal(results["y"], leaky(values))
    np.testing.assert_array_equal(results["z"], 2 * leaky(values))
    np.testing.assert_allclose(results["w"], 2 * leaky(values) + 1, rtol=1e-6)


def test_the_callers_array_is_left_alone(chain: Graph, values: np.ndarray) -> None:
    before = values.copy()
    Runtime.from_graph(chain).run({"x": values})
    np.testing.assert_array_equal(values, before)


def test_results_are_copies(chain: Graph, values: np.ndarray) -> None:
    runtime = Runtime.from_graph(chain)
    first = runtime.run({"x": values})["w"]
    kept = first.copy()
    runtime.run({"x": np.zeros_like(values)})
    del runtime
    np.testing.assert_array_equal(first, kept)
    first[:] = 0  # writable, owns its memory


def test_views_are_read_rightly(chain: Graph) -> None:
    whole = np.random.default_rng(0).normal(0, 1, (3, 8, 4)).astype(np.float32)
    runtime = Runtime.from_graph(chain)
    for view in (
        whole.transpose(2, 0, 1)[:2, :, ::2],
        whole[1:, ::-1, :][:, :3, ::-1],
        whole.T[:2, :3, :].repeat(2, 2)[..., :4],
    ):
        assert view.shape[1:] == (3, 4)
        got = runtime.run({"x": view}, ["y"])["y"]
        np.testing.assert_array_equal(got, leaky(np.ascontiguousarray(view)))


def test_other_number_types_become_float32(chain: Graph, values: np.ndarray) -> None:
    runtime = Runtime.from_graph(chain)
    expected = runtime.run({"x": np.round(values)})["w"]
    for dtype in (np.float64, np.int8):
        np.testing.assert_array_equal(runtime.run({"x": np.round(values).astype(dtype)})["w"], expected)


def test_a_large_array_that_has_to_be_converted_is_held_until_it_is_read(make_graph: Make) -> None:
    values = np.random.default_rng(0).normal(
        0, 1, (3, 600, 600)
    )  # the copy is given back to the system at once
    runtime = Runtime.from_graph(make_graph(values.shape, [relu("x", "y")], ["y"]))
    np.testing.assert_array_equal(runtime.run({"x": values})["y"], np.maximum(values.astype(np.float32), 0))


@pytest.mark.parametrize("shape", [(7,), (3, 5), (3, 4, 5), (2, 3, 4, 5)])
def test_one_to_four_axes(make_graph: Make, shape: tuple[int, ...]) -> None:
    values = np.random.default_rng(0).normal(0, 1, shape).astype(np.float32)
    results = Runtime.from_graph(make_graph(shape, [relu("x", "y")], ["y"])).run({"x": values})
    np.testing.assert_array_equal(results["y"], np.maximum(values, 0))


@pytest.mark.parametrize("shape", [(), (1, 1, 1, 1, 1)])
def test_other_axes_are_refused(shape: tuple[int, ...]) -> None:
    graph = Graph([new_layer("Input", "x", [], ["x"]), relu("x", "y")], ["y"])
    with pytest.raises(RuntimeFailedError, match="one to four axes"):
        Runtime.from_graph(graph).run({"x": np.zeros(shape, np.float32)})


@pytest.mark.parametrize("shape", [(1, 3, 4), (4, 3, 4), (2, 4, 3), (3, 4), (24,), (1, 2, 3, 4)])
def test_inputs_of_another_shape_are_refused(chain: Graph, shape: tuple[int, ...]) -> None:
    """ncnn would read weights or values beyond their end, and give something."""
    with pytest.raises(RuntimeFailedError, match=r"input 'x' takes shape \(2, 3, 4\)"):
        Runtime.from_graph(chain).run({"x": np.zeros(shape, np.float32)})


def test_an_input_without_sizes_takes_any() -> None:
    runtime = Runtime.from_graph(Graph([new_layer("Input", "x", [], ["x"]), relu("x", "y")], ["y"]))
    for shape in ((3,), (2, 5), (2, 3, 4)):
        assert runtime.run({"x": np.ones(shape, np.float32)})["y"].shape == shape


def test_several_inputs_and_outputs(make_graph: Make) -> None:
    layers = [
        new_layer("Input", "b", [], ["b"], w=3),
        new_layer("BinaryOp", "d", ["x", "b"], ["d"], op_type=1),
        new_layer("Split", "s", ["d"], ["d0", "d1"]),
        relu("d0", "y"),
        new_layer("UnaryOp", "n", ["d1"], ["n"], op_type=1),
    ]
    runtime = Runtime.from_graph(make_graph((3,), layers, ["y", "n"]))
    inputs = {"x": np.array([1, 2, 3], np.float32), "b": np.array([3, 2, 1], np.float32)}
    results = runtime.run(inputs)
    assert {name: value.tolist() for name, value in results.items()} == {"y": [0, 0, 2], "n": [2, 0, -2]}


def test_unknown_blobs_are_refused(chain: Graph, values: np.ndarray) -> None:
    runtime = Runtime.from_graph(chain)
    with pytest.raises(RuntimeFailedError, match="no blob 'image'"):
        runtime.run({"image": values})
    with pytest.raises(RuntimeFailedError, match="no blob 'prob'"):
        runtime.run({"x": values}, ["prob"])


def test_a_missing_input_is_refused(chain: Graph) -> None:
    with pytest.raises(RuntimeFailedError, match="could not compute blob 'w'"):
        Runtime.from_graph(chain).run({})


def test_a_graph_that_breaks_a_rule_never_reaches_ncnn(chain: Graph) -> None:
    chain.layers[1].inputs = ["nowhere"]
    with pytest.raises(GraphError):
        Runtime.from_graph(chain)


@pytest.fixture
def saved(make_graph: Make, tmp_path: Path) -> tuple[Path, Path]:
    convolution = new_layer(
        "Convolution", "y", ["x"], ["y"], num_output=8, kernel_w=3, weight_data_size=8 * 2 * 9, bias_term=1
    )
    convolution.set_weight("weight", np.ones(8 * 2 * 9))
    convolution.set_weight("bias", np.ones(8))
    save(make_graph((2, 6, 6), [convolution], ["y"]), tmp_path / "m.param", tmp_path / "m.bin")
    return tmp_path / "m.param", tmp_path / "m.bin"


def test_truncated_weights_are_refused(saved: tuple[Path, Path]) -> None:
    param, weights = saved
    data = weights.read_bytes()
    for size in (0, 3, 4, 100, len(data) - 33, len(data) - 1):
        weights.write_bytes(data[:size])
        with pytest.raises(RuntimeFailedError, match=r"can't load .*m\.bin"):
            Runtime(param, weights)


@pytest.mark.parametrize(
    "damage", ["", "7767517\n", "7767517\n2 2\nInput x 0 1 x\n", "7767517\n1 1\nNope x 0 1 x\n"]
)
def test_damaged_params_are_refused(saved: tuple[Path, Path], damage: str) -> None:
    param, weights = saved
    param.write_text(damage)
    with pytest.raises(NcnnToolsError, match=r"can't load .*m\.param"):
        Runtime(param, weights)


def test_files_that_are_not_there_are_refused(saved: tuple[Path, Path], tmp_path: Path) -> None:
    param, weights = saved
    with pytest.raises(RuntimeFailedError, match="nowhere"):
        Runtime(tmp_path / "nowhere.param", weights)
    with pytest.raises(RuntimeFailedError, match="nowhere"):
        Runtime(param, tmp_path / "nowhere.bin")


@pytest.mark.parametrize(
    "options",
    [
        RuntimeOptions(threads=2),
        RuntimeOptions(packing=False),
        RuntimeOptions(winograd=False),
        RuntimeOptions(fp16=True),
    ],
)
def test_options_leave_the_result_alone(saved: tuple[Path, Path], options: RuntimeOptions) -> None:
    x = np.random.default_rng(0).normal(0, 1, (2, 6, 6)).astype(np.float32)
    expected = Runtime(*saved).run({"x": x})["y"]
    np.testing.assert_allclose(Runtime(*saved, options).run({"x": x})["y"], expected, atol=1e-4)
