from __future__ import annotations

import threading
import time
from collections.abc import Iterator

import pytest

from mobiledeploy.portrait.order import batches, in_order


def test_results_come_in_order_whatever_takes_how_long() -> None:
    def slow_first(number: int) -> int:
        time.sleep(0.02 if number % 3 == 0 else 0)
        return number * number

    assert list(in_order(slow_first, range(20), 3)) == [number * number for number in range(20)]
    assert list(in_order(slow_first, [], 2)) == []


def test_threads_work_at_the_same_time() -> None:
    both = threading.Barrier(2, timeout=10)
    assert len(list(in_order(lambda _: both.wait(), range(4), 2))) == 4


def test_no_more_is_drawn_than_the_threads_need() -> None:
    drawn = []

    def source() -> Iterator[int]:
        for number in range(100):
            drawn.append(number)
            yield number

    results = in_order(lambda number: number, source(), 2)
    next(results)
    assert len(drawn) <= 4
    results.close()


def test_what_goes_wrong_in_a_thread_is_raised() -> None:
    with pytest.raises(ZeroDivisionError):
        list(in_order(lambda number: 1 / number, [1, 0, 2], 2))


def test_batches() -> None:
    assert list(batches(range(7), 3)) == [[0, 1, 2], [3, 4, 5], [6]]
    assert list(batches([], 3)) == []
