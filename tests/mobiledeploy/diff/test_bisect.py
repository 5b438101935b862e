from __future__ import annotations

import random
from collections.abc import Sequence

import pytest

from mobiledeploy.diff.bisect import PROBES, first_bad


class Probe:
    """Knows which tensors are bad, and counts what it is asked."""

    def __init__(self, bad: set[int]) -> None:
        self.bad = bad
        self.launches: list[list[int]] = []

    def __call__(self, places: Sequence[int]) -> list[bool]:
        self.launches.append(list(places))
        return [place in self.bad for place in places]


def chain(length: int) -> list[tuple[int, ...]]:
    return [(place - 1,) if place else () for place in range(length)]


@pytest.mark.parametrize("length", [1, 2, 5, 6, 7, 30, 200])
def test_every_place_of_a_chain(length: int) -> None:
    for bad in range(length):
        probe = Probe(set(range(bad, length)))
        assert first_bad(chain(length), [length - 1], probe) == bad


def test_few_launches_are_enough() -> None:
    """200 tensors: the outputs, log5(200) = 3.3 steps, and the inputs of what was found."""
    for bad in range(200):
        probe = Probe(set(range(bad, 200)))
        first_bad(chain(200), [199], probe)
        assert len(probe.launches) <= 6
        assert all(len(places) <= PROBES for places in probe.launches)


def test_good_outputs_end_the_search() -> None:
    probe = Probe({3, 4})
    assert first_bad(chain(10), [9], probe) is None
    assert probe.launches == [[9]]


def test_an_error_in_a_short_branch() -> None:
    """0 → 1 → 2 → 3 ┐
    0 → 4 (bad) ──┴ 5: the longest way back is good, and the error comes from beside it."""
    parents = [(), (0,), (1,), (2,), (0,), (3, 4)]
    assert first_bad(parents, [5], Probe({4, 5})) == 4


def test_several_outputs() -> None:
    parents = [(), (0,), (1,), (0,), (3,)]
    assert first_bad(parents, [2, 4], Probe({3, 4})) == 3
    assert first_bad(parents, [2, 4], Probe({1, 2, 3, 4})) == 1


def test_what_is_found_in_any_graph_is_bad_and_its_inputs_are_good() -> None:
    generator = random.Random(0)
    for _ in range(300):
        size = generator.randint(1, 40)
        parents = [
            tuple(sorted(generator.sample(range(place), min(place, generator.randint(1, 3)))))
            for place in range(size)
        ]
        bad = {place for place in range(size) if generator.random() < 0.1}
        for place in range(size):  # errors mostly go on, and sometimes are hidden
            if bad & set(parents[place]) and generator.random() < 0.9:
                bad.add(place)
        found = first_bad(parents, [size - 1], Probe(bad))
        assert (found is None) == (size - 1 not in bad)
        if found is not None:
            assert found in bad
            assert not bad & set(parents[found])
