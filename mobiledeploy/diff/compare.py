"""Compare two models tensor by tensor on one input."""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence

import numpy as np

from mobiledeploy.arrays import FloatArray
from mobiledeploy.diff.bisect import first_bad
from mobiledeploy.diff.bounds import Bound, default_bound
from mobiledeploy.diff.causes import Evidence, likely_cause
from mobiledeploy.diff.comparison import Comparison, Row
from mobiledeploy.diff.inputs import Inputs, check_inputs
from mobiledeploy.diff.matching import Matching, match
from mobiledeploy.diff.measures import Figures, measure
from mobiledeploy.diff.source import Shape, Source, exactness
from mobiledeploy.errors import MobileDeployError, UsageError
from mobiledeploy.progress import Progress

_AT_ONCE = 16  # tensors of each model in memory
_OWN_LOSS_DB = 3.0  # a layer that loses less of the SNR than half the power has its error from before
_EXPLAINED = 5  # bad tensors with good inputs whose cause is looked for


def compare(
    a: Source,
    b: Source,
    inputs: Inputs,
    *,
    bound: Bound | None = None,
    everything: bool = False,
    progress: Progress | None = None,
) -> Comparison:
    """Compare two models; the more exact of the two kinds is the reference, of equal ones `a`.

    Without a bound it is that of their kinds. Where one of them is on the device the first bad tensor is searched for,
    unless `everything` asks for all.
    Raises UsageError where the two take other inputs or have no tensor in common, and whatever running raises.
    """
    swapped = exactness(b.kind) < exactness(a.kind)
    reference, candidate = (b, a) if swapped else (a, b)
    check_inputs(reference, candidate, inputs)
    matching = match(reference, candidate)
    if not matching.pairs:
        raise UsageError(
            f"{a.label} and {b.label} have no tensor in common, not even as many outputs",
            hint="diff is for two stages or versions of one network.",
        )
    bound = bound or default_bound(reference, candidate)
    meter = _Meter(reference, candidate, matching, inputs.arrays, bound, progress)
    complete = everything or not (reference.on_device or candidate.on_device)
    found = meter.find(everything=complete)
    causes = {place: meter.cause(place) for place in found[:_EXPLAINED]}
    return Comparison(
        reference=reference,
        candidate=candidate,
        matching=matching,
        bound=bound,
        input=inputs.description,
        rows=tuple(meter.rows(found, causes)),
        complete=complete,
        notes=tuple(_notes(a, b, matching, swapped=swapped)),
    )


class _Meter:
    """Measures tensors by their places in the matching, and remembers the figures."""

    def __init__(
        self,
        reference: Source,
        candidate: Source,
        matching: Matching,
        inputs: Sequence[FloatArray],
        bound: Bound,
        progress: Progress | None,
    ) -> None:
        self.reference = reference
        self.candidate = candidate
        self.pairs = matching.pairs
        self.inputs = inputs
        self.bound = bound
        self.figures: dict[int, Figures | None] = {}
        self.shapes: dict[int, tuple[Shape, Shape]] = {}
        self._progress = progress or (lambda *_: None)

    def find(self, *, everything: bool) -> list[int]:
        """Return the places of tensors that are bad though their inputs are good: all of them, or one that is searched.

        An error on the way says what was known by then.
        """
        try:
            return self._measure_all() if everything else self._search()
        except MobileDeployError as error:
            error.hint = "\n".join(filter(None, [error.hint, self._known_so_far()]))
            raise

    def _measure_all(self) -> list[int]:
        self._progress("comparing", 0, len(self.pairs))
        for start in range(0, len(self.pairs), _AT_ONCE):
            places = range(start, min(start + _AT_ONCE, len(self.pairs)))
            self._measure(places)
            self._progress("comparing", places[-1] + 1, len(self.pairs))
        bad = {place for place in self.figures if self.is_bad(place)}
        return [place for place in sorted(bad) if not bad & set(self.pairs[place].parents)]

    def _search(self) -> list[int]:
        ends = [place for place, pair in enumerate(self.pairs) if pair.is_output] or [len(self.pairs) - 1]
        found = first_bad([pair.parents for pair in self.pairs], ends, self._probe)
        return [] if found is None else [found]

    def is_bad(self, place: int) -> bool:
        """Say whether a tensor that was measured is bad."""
        return self.bound.broken_by(self.figures[place])

    def _probe(self, places: Sequence[int]) -> list[bool]:
        missing = [place for place in dict.fromkeys(places) if place not in self.figures]
        if missing:
            self._progress(f"searching: {len(self.figures)} of {len(self.pairs)} tensors measured", 0, 0)
            self._measure(missing)
        return [self.is_bad(place) for place in places]

    def _known_so_far(self) -> str:
        bad = sorted(place for place in self.figures if self.is_bad(place))
        if not bad:
            return ""
        pair = self.pairs[bad[0]]
        return (
            f"By then {len(self.figures)} tensors were measured; the first bad one was {pair.candidate.name!r} "
            f"of layer {pair.candidate.layer!r}. The same command searches again."
        )

    def _measure(self, places: Sequence[int]) -> None:
        references = self._values(self.reference, [self.pairs[place].reference.key for place in places])
        candidates = self._values(self.candidate, [self.pairs[place].candidate.key for place in places])
        for place in places:
            pair = self.pairs[place]
            reference, candidate = _laid_out_alike(
                references[pair.reference.key], candidates[pair.candidate.key]
            )
            self.figures[place] = measure(reference, candidate)
            self.shapes[place] = (reference.shape, candidate.shape)

    def _values(self, source: Source, keys: Sequence[str]) -> dict[str, FloatArray]:
        found = source.values(keys, self.inputs)
        return {key: _without_batch(array) if source.batched else array for key, array in found.items()}

    def cause(self, place: int) -> str | None:
        """Look for the likely cause of a bad tensor; its values, and those of its inputs, are fetched again."""
        pair = self.pairs[place]
        if (lost := self._lost_db(place)) is not None and lost < _OWN_LOSS_DB:
            return self._inherited(place, lost)
        # Of inputs that have no counterpart nothing is known.
        direct = [p for p in pair.parents if self.pairs[p].candidate.key in pair.candidate.parents]
        keys = [pair.reference.key, *(self.pairs[parent].reference.key for parent in direct)]
        references = self._values(self.reference, list(dict.fromkeys(keys)))
        candidate = self._values(self.candidate, [pair.candidate.key])[pair.candidate.key]
        reference, candidate = _laid_out_alike(references[pair.reference.key], candidate)
        inputs = [references[key] for key in keys[1:]] or [_without_batch(array) for array in self.inputs]
        return likely_cause(
            Evidence(
                reference=reference,
                candidate=candidate,
                tolerance=self.bound.tolerance,
                inputs=tuple(inputs),
                layer=self.candidate.layer_of(pair.candidate.key),
                halves=self.candidate.halves,
            )
        )

    def _inherited(self, place: int, lost: float) -> str:
        """Say where the error arose of a layer that adds little to that of its inputs, all within the bound."""
        before = self._ancestors(place)
        losses = {other: loss for other in before if (loss := self._lost_db(other)) is not None}
        own = self.figures[place]
        snr = lost + (own.snr_db if own else math.nan)
        text = f"gradual: its inputs have an SNR of {snr:.1f} dB already, just within the bound"
        worst = max(losses, key=lambda other: losses[other], default=None)
        if worst is None or losses[worst] < _OWN_LOSS_DB:
            return text
        candidate = self.pairs[worst].candidate
        return (
            f"{text}; before it most is lost in {candidate.layer} ({candidate.type}), {losses[worst]:.1f} dB"
        )

    def _ancestors(self, place: int) -> list[int]:
        """Return the places of all that a tensor is computed from, as far as it was measured, in order."""
        found: set[int] = set()
        left = list(self.pairs[place].parents)
        while left:
            if (other := left.pop()) not in found:
                found.add(other)
                left += self.pairs[other].parents
        return sorted(found & set(self.figures))

    def rows(self, found: Sequence[int], causes: dict[int, str | None]) -> Iterable[Row]:
        """Yield what was measured, in order."""
        for place in sorted(self.figures):
            yield Row(
                pair=self.pairs[place],
                place=place,
                shapes=self.shapes[place],
                figures=self.figures[place],
                bad=self.is_bad(place),
                lost_db=self._lost_db(place),
                first=place in found,
                cause=causes.get(place),
            )

    def _lost_db(self, place: int) -> float | None:
        own = self.figures.get(place)
        above = [self.figures.get(parent) for parent in self.pairs[place].parents]
        if own is None or not above or any(figures is None for figures in above):
            return None
        lost = min(figures.snr_db for figures in above if figures) - own.snr_db
        return lost if np.isfinite(lost) else None


def _without_batch(array: FloatArray) -> FloatArray:
    """Drop the batch axis of 1 that tensors outside of ncnn have, but for those that are nothing else."""
    return array[0] if array.ndim > 1 and array.shape[0] == 1 else array


def _laid_out_alike(reference: FloatArray, candidate: FloatArray) -> tuple[FloatArray, FloatArray]:
    """Give the reference the candidate's shape where the two differ in axes of extent 1 alone."""
    shapes = ([extent for extent in array.shape if extent != 1] for array in (reference, candidate))
    first, second = shapes
    return (reference.reshape(candidate.shape) if first == second else reference), candidate


def _notes(a: Source, b: Source, matching: Matching, *, swapped: bool) -> Iterable[str]:
    if swapped:
        yield f"{b.label} is the reference, since it is the more exact."
    yield from (*a.notes, *b.notes)
    other = [pair for pair in matching.pairs if pair.by == "order"]
    if other:
        yield f"{len(other)} tensors have other names on both sides and were matched by their order."
