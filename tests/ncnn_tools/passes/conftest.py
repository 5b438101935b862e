"""What the tests of the passes share: apply one, and compare what the graph gave before and after."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest

from ncnn_tools.graph import Graph
from ncnn_tools.passes import Pass, insert_splits
from ncnn_tools.runtime import Runtime


def _outputs(graph: Graph) -> dict[str, np.ndarray]:
    complete = graph.copy()
    insert_splits(complete)
    rng = np.random.default_rng(0)
    feeds = {}
    for layer in graph.layers:
        if layer.type == "Input":
            shape = [layer.get(axis) for axis in ("c", "d", "h", "w") if layer.get(axis)]
            feeds[layer.outputs[0]] = rng.normal(0, 1, shape).astype(np.float32)
    return Runtime.from_graph(complete).run(feeds, graph.outputs)


@pytest.fixture(scope="session")
def apply_pass() -> Callable[..., Graph]:
    """Apply a pass to a copy; assert how often it applied and that every output is as before; return the copy."""

    def apply(transform: Pass, graph: Graph, times: int) -> Graph:
        changed = graph.copy()
        assert transform(changed) == times
        changed.check()
        assert changed.outputs == graph.outputs
        before, after = _outputs(graph), _outputs(changed)
        for blob, expected in before.items():
            scale = max(1.0, float(np.abs(expected).max(initial=0)))
            np.testing.assert_allclose(after[blob], expected, rtol=0, atol=2e-5 * scale, err_msg=blob)
        if times == 0:
            assert changed.layers == graph.layers
        return changed

    return apply


@pytest.fixture(scope="session")
def types() -> Callable[[Graph], list[str]]:
    """List a graph's layer types without its Input layers."""
    return lambda graph: [layer.type for layer in graph.layers if layer.type != "Input"]
