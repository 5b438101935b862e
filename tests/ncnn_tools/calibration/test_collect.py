"""One pass of calibration data through a model."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest

from ncnn_tools.calibration import collect_histograms
from ncnn_tools.errors import RuntimeFailedError
from ncnn_tools.graph import Graph, new_layer

Samples = list[dict[str, np.ndarray]]


@pytest.fixture
def doubled(make_graph: Callable[..., Graph]) -> Graph:
    layers = [
        new_layer("BinaryOp", "double", ["x"], ["twice"], op_type=2, with_scalar=1, b=2.0),
        new_layer("ReLU", "relu", ["twice"], ["y"]),
    ]
    return make_graph((3, 4), layers, ["y"])


@pytest.fixture
def samples() -> Samples:
    rng = np.random.default_rng(0)
    return [{"x": rng.normal(0, scale, (3, 4)).astype(np.float32)} for scale in (1, 3, 2)]


def test_blobs_are_counted_over_all_samples(doubled: Graph, samples: Samples) -> None:
    done: list[int] = []
    histograms = collect_histograms(doubled, iter(samples), ["x", "twice", "y"], progress=done.append)
    values = np.stack([sample["x"] for sample in samples])
    assert list(histograms) == ["x", "twice", "y"]
    assert histograms["x"].absmax == np.abs(values).max()
    assert histograms["twice"].absmax == 2 * np.abs(values).max()
    assert histograms["y"].absmax == 2 * values.max()
    assert histograms["x"].counts.sum() == values.size
    assert histograms["y"].counts.sum() == np.count_nonzero(values > 0)
    assert done == [1, 2, 3]


def test_two_threads_count_the_same(doubled: Graph, samples: Samples) -> None:
    one, two = (collect_histograms(doubled, samples, ["y"], threads=threads)["y"] for threads in (1, 2))
    np.testing.assert_array_equal(one.counts, two.counts)


def test_no_samples_are_refused(doubled: Graph) -> None:
    with pytest.raises(ValueError, match="at least one sample"):
        collect_histograms(doubled, [], ["y"])


def test_a_value_that_is_not_finite_names_blob_and_sample(doubled: Graph, samples: Samples) -> None:
    samples[1]["x"][0, 0] = 3e38  # finite, but twice that is not
    with pytest.raises(ValueError, match=r"blob 'twice', sample 2: .*not finite"):
        collect_histograms(doubled, samples, ["x", "twice"])


def test_an_unknown_blob_is_refused(doubled: Graph, samples: Samples) -> None:
    with pytest.raises(RuntimeFailedError, match="nowhere"):
        collect_histograms(doubled, samples, ["nowhere"])
