"""What is kept of a blob, against numpy over all of its values; and the way to a file and back."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays

from ncnn_tools.calibration import BlobStatistics, Calibration, read_calibration, write_calibration
from ncnn_tools.calibration.statistics import counted_values
from ncnn_tools.errors import FormatError

SAMPLES = st.lists(
    arrays.arrays(np.float32, (3, 2, 4), elements=st.floats(-1e6, 1e6, width=32)), min_size=1, max_size=5
)


def statistics_of(*samples: np.ndarray) -> BlobStatistics:
    statistics = BlobStatistics()
    for number, sample in enumerate(samples):
        statistics.add(sample.astype(np.float32), number)
    return statistics


def same(left: BlobStatistics, right: BlobStatistics) -> bool:
    arrays_of = [(entry.histogram.counts, entry.channel_min, entry.channel_max) for entry in (left, right)]
    numbers = [(entry.histogram.base, entry.histogram.zeros) for entry in (left, right)]
    return numbers[0] == numbers[1] and all(
        a.dtype == b.dtype and np.array_equal(a, b) for a, b in zip(*arrays_of, strict=True)
    )


@given(samples=SAMPLES)
def test_ranges_and_channels(samples: list[np.ndarray]) -> None:
    statistics, values = statistics_of(*samples), np.stack(samples)
    assert statistics.minimum == values.min()
    assert statistics.maximum == values.max()
    assert statistics.absmax == np.abs(values).max()
    assert statistics.one_sided == (values.min() >= 0 or values.max() <= 0)
    assert statistics.zero_share == np.mean(values == 0)
    np.testing.assert_array_equal(statistics.channel_max, values.max(axis=(0, 2, 3)))
    dead = [channel for channel in range(3) if not values[:, channel].any()]
    assert statistics.dead_channels == dead


@given(samples=SAMPLES, split=st.integers(0, 5))
def test_merging_two_parts_gives_the_whole(samples: list[np.ndarray], split: int) -> None:
    whole = statistics_of(*samples)
    merged = statistics_of(*samples[:split]).merged(statistics_of(*samples[split:]))
    np.testing.assert_array_equal(merged.histogram.counts, whole.histogram.counts)
    np.testing.assert_array_equal(merged.channel_min, whole.channel_min)
    np.testing.assert_array_equal(merged.channel_max, whole.channel_max)
    np.testing.assert_array_equal(merged.channel_max, whole.channel_max)


def test_of_a_large_blob_a_lattice_is_counted_and_the_range_is_of_all_values() -> None:
    values = np.random.default_rng(0).uniform(-1, 1, (4, 128, 128)).astype(np.float32)
    values[2, 77, 30] = 9
    statistics = BlobStatistics()
    for number in range(8):
        statistics.add(values, number, counted=1000)
    assert statistics.absmax == 9
    assert 8 * 900 < statistics.histogram.total <= 8 * 1001
    edges, counts = statistics.histogram.magnitudes()
    median = np.interp(0.5, np.cumsum(counts) / counts.sum(), edges[1:])
    assert median == pytest.approx(0.5, abs=0.02)


def test_a_lattice_meets_every_column() -> None:
    """The width is a power of two, and only one column has anything but zeros."""
    values = np.zeros((1, 256, 256), np.float32)
    values[..., 100] = 1
    statistics = BlobStatistics()
    statistics.add(values, 0, counted=4096)
    assert statistics.histogram.counts.sum() == pytest.approx(4096 / 256, rel=0.3)


def test_fewer_samples_are_counted_more_closely() -> None:
    counts = [counted_values(samples) for samples in (1, 16, 100, 1000)]
    assert counts == sorted(counts, reverse=True)
    assert counts[0] > counts[-1] > 0


@pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf])
def test_a_value_that_is_not_finite_is_found_wherever_it_is(value: float) -> None:
    values = np.zeros((2, 64, 64), np.float32)
    values[1, 33, 1] = value
    with pytest.raises(ValueError, match="not finite"):
        BlobStatistics().add(values, 0, counted=16)


def test_nothing_seen_yet() -> None:
    empty = BlobStatistics()
    assert (empty.minimum, empty.maximum, empty.absmax, empty.zero_share) == (0, 0, 0, 0)
    assert same(empty.merged(empty), empty)


@given(samples=SAMPLES)
def test_a_file_gives_back_exactly_what_it_was_given(
    tmp_path_factory: pytest.TempPathFactory, samples: list[np.ndarray]
) -> None:
    path = tmp_path_factory.mktemp("statistics") / "s.npz"
    halves = tuple(
        {"x": statistics_of(*part), "b/ü": statistics_of(*(s[:2] * 1e-38 for s in part))}
        for part in (samples[::2], samples[1::2])
    )
    calibration = Calibration(len(samples), (halves[0], halves[1]))
    write_calibration(calibration, path)
    back = read_calibration(path)
    assert (back.samples, back.blobs) == (calibration.samples, calibration.blobs)
    for left, right in zip(back.halves, calibration.halves, strict=True):
        assert all(same(left[blob], right[blob]) for blob in right)


@pytest.mark.parametrize("content", [b"", b"PK\x03\x04", b"\x80\x04K\x01."])
def test_another_file_is_refused(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "s.npz"
    path.write_bytes(content)
    with pytest.raises(FormatError, match="calibration statistics"):
        read_calibration(path)


def test_another_npz_is_refused(tmp_path: Path) -> None:
    np.savez(tmp_path / "s.npz", weights=np.zeros(3))
    with pytest.raises(FormatError, match="calibration statistics"):
        read_calibration(tmp_path / "s.npz")
