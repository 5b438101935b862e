"""What a device could do at most."""

from __future__ import annotations

import copy

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mobiledeploy.profile.roofline import Limit, Roofline

KNOWN = Roofline({"fp32": 10.0, "int8": 40.0}, [(1 << 16, 100.0), (1 << 24, 5.0)])


def test_the_best_of_the_launches_counts(roofline: dict) -> None:
    better = copy.deepcopy(roofline)
    better["peaks"][0]["gmacs"] = 12.0
    better["bandwidths"][0]["copy_gbs"] = 50.0
    found = Roofline.from_launches([roofline, better])
    assert found == Roofline({"fp32": 12.0, "int8": 40.0}, [(1 << 16, 100.0), (1 << 24, 5.0)])


def test_bandwidth_is_that_of_the_working_set() -> None:
    speeds = [KNOWN.bandwidth(size) for size in (1, 1 << 16, (1 << 16) + 1, 1 << 24, 1 << 30)]
    assert speeds == [100.0, 100.0, 5.0, 5.0, 5.0]


def test_the_slower_of_the_two_limits_binds() -> None:
    assert KNOWN.limit(10_000_000, 1000, "fp32") == Limit(pytest.approx(1.0), "compute")
    assert KNOWN.limit(10_000_000, 1000, "int8") == Limit(pytest.approx(0.25), "compute")
    assert KNOWN.limit(1000, 10_000_000, "fp32") == Limit(pytest.approx(2.0), "memory")
    assert KNOWN.limit(0, 0, "fp32") is None


@given(st.integers(0, 10**12), st.integers(1, 10**10))
def test_more_work_never_needs_less(macs: int, size: int) -> None:
    one, more = KNOWN.limit(macs, size, "fp32"), KNOWN.limit(macs + 1000, size, "fp32")
    assert one is not None
    assert more is not None
    assert more.time_ms >= one.time_ms > 0
