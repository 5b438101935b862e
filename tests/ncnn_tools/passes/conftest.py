"""What the tests of the passes share: apply one, and compare what the graph gave before and after."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np
import pytest

from ncnn_tools.graph import Graph, Layer, new_layer
from ncnn_tools.passes import Pass, insert_splits
from ncnn_tools.runtime import Runtime

Values = dict[str, np.ndarray]


def _values(graph: Graph) -> Values:
    """Return what every blob of a graph holds, for random inputs."""
    blobs = graph.blobs()
    complete = graph.copy()
    insert_splits(complete)
    rng = np.random.default_rng(0)
    feeds = {}
    for layer in graph.layers:
        if layer.type == "Input":
            shape = [layer.get(axis) for axis in ("c", "d", "h", "w") if layer.get(axis)]
            feeds[layer.outputs[0]] = rng.normal(0, 1, shape).astype(np.float32)
    return Runtime.from_graph(complete).run(feeds, blobs)


def _assert_equal(actual: np.ndarray, expected: np.ndarray, what: str) -> None:
    scale = max(1.0, float(np.abs(expected).max(initial=0)))
    np.testing.assert_allclose(actual, expected, rtol=0, atol=2e-5 * scale, err_msg=what)


@pytest.fixture(scope="session")
def with_shapes() -> Callable[[Graph], Graph]:
    """Give a graph its blobs' shapes, as ncnn computes them, and return it."""

    def fill(graph: Graph) -> Graph:
        graph.shapes = {blob: value.shape for blob, value in _values(graph).items()}
        return graph

    return fill


@pytest.fixture(scope="session")
def graph_behind_relu(
    make_graph: Callable[..., Graph], with_shapes: Callable[[Graph], Graph]
) -> Callable[..., Graph]:
    """Make a graph whose layers read "a", the ReLU of its input of `shape`."""

    def make(*layers: Layer, shape: Sequence[int], outputs: Sequence[str] = ("y",)) -> Graph:
        first = new_layer("ReLU", "a", ["x"], ["a"], slope=0.5)
        return with_shapes(make_graph(shape, [first, *layers], outputs))

    return make


@pytest.fixture(scope="session")
def apply_pass() -> Callable[..., Graph]:
    """Apply a pass to a copy; assert how often it applied and that every output is as before; return the copy.

    Every blob that still has its origin has to hold what that blob held before, and every shape has to be right.
    """

    def apply(transform: Pass, graph: Graph, times: int) -> Graph:
        changed = graph.copy()
        changed.origins = {blob: blob for blob in graph.blobs()}
        assert transform(changed) == times
        changed.forget_missing_blobs()
        changed.check()
        assert changed.outputs == graph.outputs
        before, after = _values(graph), _values(changed)
        for blob in graph.outputs:
            _assert_equal(after[blob], before[blob], blob)
        for blob, origin in changed.origins.items():
            _assert_equal(after[blob], before[origin], f"{blob}, said to be {origin}")
        if times == 0:
            assert changed.layers == graph.layers
        else:
            assert all(after[blob].shape == shape for blob, shape in changed.shapes.items())
        return changed

    return apply


@pytest.fixture(scope="session")
def filled() -> Callable[..., Layer]:
    """Give a layer random weights (variances positive), and return it."""

    def fill(layer: Layer, seed: int = 0) -> Layer:
        rng = np.random.default_rng([seed, *map(ord, layer.name)])
        for name, size, _ in layer.weight_specs():
            layer.set_weight(name, rng.uniform(0.2, 2, size) if name == "var" else rng.normal(0, 1, size))
        return layer

    return fill


@pytest.fixture(scope="session")
def types() -> Callable[[Graph], list[str]]:
    """List a graph's layer types without its Input layers."""
    return lambda graph: [layer.type for layer in graph.layers if layer.type != "Input"]
