"""Finding the first bad tensor by looking at few: each look at a device is a launch and a transfer.

An error goes on to whatever is computed from it. So from a bad output the way back to the input is searched like a
sorted list: where a tensor is good the error comes later, where it is bad it comes from there or before. What is found
is bad behind good on that way; then all else that it is computed from is looked at too, and where some of that is bad,
the search goes on from there. It ends at a bad tensor with good inputs. An error that later layers hide (a
saturated sigmoid, say) before any output is not found.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

PROBES = 4  # tensors a launch: the interval shrinks to a fifth, and a launch costs more than they do

# Looks at tensors by their places; returns for each whether it is bad.
Probe = Callable[[Sequence[int]], Sequence[bool]]


def first_bad(parents: Sequence[Sequence[int]], outputs: Sequence[int], probe: Probe) -> int | None:
    """Return the place of a bad tensor whose inputs are good, or None where no output is bad.

    `parents` says for each tensor, in order of computation, which earlier ones it is computed from.
    """
    bad = _first(outputs, probe(outputs))
    while bad is not None:
        bad = _along(_way_to(bad, parents), probe)
        above = parents[bad]
        earlier = _first(above, probe(above)) if above else None
        if earlier is None:
            return bad
        bad = earlier
    return None


def _first(places: Sequence[int], bad: Sequence[bool]) -> int | None:
    return min((place for place, is_bad in zip(places, bad, strict=True) if is_bad), default=None)


def _way_to(place: int, parents: Sequence[Sequence[int]]) -> list[int]:
    """Return the tensors from the input to this one, by what is computed last of each one's inputs: the longest way."""
    way = [place]
    while parents[way[-1]]:
        way.append(max(parents[way[-1]]))
    return way[::-1]


def _along(way: Sequence[int], probe: Probe) -> int:
    """Return the place of a tensor that is bad behind a good one, or behind the input; the last of `way` is bad."""
    good, bad = -1, len(way) - 1
    while bad - good > 1:
        count = min(PROBES, bad - good - 1)
        steps = [good + (bad - good) * number // (count + 1) for number in range(1, count + 1)]
        found = probe([way[step] for step in steps])
        first = next((number for number, is_bad in enumerate(found) if is_bad), len(steps))
        good, bad = (steps[first - 1] if first else good), (steps[first] if first < len(steps) else bad)
    return way[bad]
