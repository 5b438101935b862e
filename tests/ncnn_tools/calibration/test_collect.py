"""One pass of calibration data through a model."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import pytest

from ncnn_tools.calibration import collect_statistics
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
    calibration = collect_statistics(doubled, samples, ["x", "twice", "y"], progress=done.append)
    values = np.stack([sample["x"] for sample in samples])
    assert (calibration.samples, calibration.blobs) == (3, ["x", "twice", "y"])
    assert calibration["x"].absmax == np.abs(values).max()
    assert calibration["twice"].absmax == 2 * np.abs(values).max()
    assert (calibration["y"].minimum, calibration["y"].maximum) == (0, 2 * values.max())
    assert calibration["x"].histogram.counts.sum() == values.size
    assert calibration["y"].histogram.counts.sum() == np.count_nonzero(values > 0)
    assert (calibration["x"].one_sided, calibration["y"].one_sided) == (False, True)
    assert done == [1, 2, 3]


def test_halves_are_of_even_and_odd_samples(doubled: Graph, samples: Samples) -> None:
    even, odd = collect_statistics(doubled, samples, ["x"]).halves
    assert even["x"].absmax == max(np.abs(sample["x"]).max() for sample in samples[::2])
    assert odd["x"].absmax == np.abs(samples[1]["x"]).max()


def test_threads_count_the_same(doubled: Graph, samples: Samples) -> None:
    one, many = (collect_statistics(doubled, 10 * samples, ["y"], threads=n)["y"] for n in (1, 4))
    np.testing.assert_array_equal(one.histogram.counts, many.histogram.counts)
    np.testing.assert_array_equal(one.channel_max, many.channel_max)


class Lazy(Sequence[dict[str, np.ndarray]]):
    """Samples that are made when they are asked for."""

    def __init__(self, samples: Samples) -> None:
        self.samples = samples
        self.asked: list[int] = []

    def __len__(self) -> int:
        return len(self.samples)

    def __getitem__(self, place: Any) -> Any:
        self.asked.append(place)
        if place == 7:
            raise OSError("unreadable")
        return self.samples[place]


def test_each_sample_is_loaded_once(doubled: Graph, samples: Samples) -> None:
    lazy = Lazy(2 * samples)
    collect_statistics(doubled, lazy, ["y"])
    assert sorted(lazy.asked) == [0, 1, 2, 3, 4, 5]


def test_what_loading_raises_ends_the_pass(doubled: Graph, samples: Samples) -> None:
    lazy = Lazy(100 * samples)
    with pytest.raises(OSError, match="unreadable"):
        collect_statistics(doubled, lazy, ["y"], threads=2)
    assert len(lazy.asked) < 300


def test_no_samples_are_refused(doubled: Graph) -> None:
    with pytest.raises(ValueError, match="at least one sample"):
        collect_statistics(doubled, [], ["y"])


def test_a_value_that_is_not_finite_names_blob_and_sample(doubled: Graph, samples: Samples) -> None:
    samples[1]["x"][0, 0] = 3e38  # finite, but twice that is not
    with pytest.raises(ValueError, match=r"blob 'twice', sample 2: .*not finite"):
        collect_statistics(doubled, samples, ["x", "twice"])


def test_an_unknown_blob_is_refused(doubled: Graph, samples: Samples) -> None:
    with pytest.raises(RuntimeFailedError, match="nowhere"):
        collect_statistics(doubled, samples, ["nowhere"])
