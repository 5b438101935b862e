"""Calibration files that are hardly what the network was trained on, as far as the files themselves can show it.

A network's training data is not in its ONNX file, and the statistics that batch norm kept of it are folded away. What
remains is what the preprocessing says: which values it can make of a picture at all, and which means its author took
for the data's. Only what contradicts that is doubted; a picture of something else altogether can't be told.
"""

from __future__ import annotations

import hashlib
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass

import numpy as np

from mobiledeploy.arrays import FloatArray
from mobiledeploy.preprocessing import Preprocessing

_WHITE = 255.0  # grey levels
_NARROW = 0.1  # of the range that preprocessing can give; the photos of a folder have more contrast
_OUTSIDE = 1e-3  # of that range, beyond what rounding does
_PIXELS = 16.0  # whole numbers up to here may be labels; beyond it they are taken for grey levels

# To say that channels are swapped: so many files, a difference of the means of so many grey levels, beyond so many
# standard errors.
_SWAP_FILES = 8
_SWAP_LEVELS = 4.0
_SWAP_ERRORS = 3.0

_NAMED = 3  # files that a doubt names


@dataclass(frozen=True)
class InputFacts:
    """What is kept of one input. `low`, `high` and `mean` have a number for each channel (the first axis)."""

    file: str
    low: tuple[float, ...]
    high: tuple[float, ...]
    mean: tuple[float, ...]
    whole: bool  # no value has a fraction
    digest: str

    @property
    def constant(self) -> bool:
        """Whether each channel has one value throughout."""
        return self.low == self.high


def input_facts(file: str, values: FloatArray) -> InputFacts:
    """Look at an input without its batch axis, channels first."""
    rows = values.reshape(len(values), -1)
    low, high, mean = (tuple(map(float, numbers)) for numbers in (rows.min(1), rows.max(1), rows.mean(1)))
    whole = bool((np.rint(rows) == rows).all())
    return InputFacts(file, low, high, mean, whole, hashlib.sha256(values.tobytes()).hexdigest())


def doubts_of(facts: Sequence[InputFacts], preprocessing: Preprocessing | None) -> list[str]:
    """Return a sentence for each thing that makes the inputs doubtful."""
    found = [*_constant(facts), *_repeated(facts)]
    varied = [entry for entry in facts if not entry.constant]
    if not varied:
        return found
    if preprocessing is None:
        return found + list(_raw_pixels(varied))
    return [*found, *_range(varied, preprocessing), *_swapped(varied, preprocessing)]


def _constant(facts: Sequence[InputFacts]) -> Iterator[str]:
    files = [entry.file for entry in facts if entry.constant]
    if files:
        yield f"{_share(files, facts)} of one value throughout, which says nothing of the activations: {_names(files)}."


def _repeated(facts: Sequence[InputFacts]) -> Iterator[str]:
    seen = Counter(entry.digest for entry in facts)
    extra = len(facts) - len(seen)
    if extra:
        digest, _ = seen.most_common(1)[0]
        files = [entry.file for entry in facts if entry.digest == digest]
        yield f"only {len(seen)} of {len(facts)} files differ; the same input: {_names(files)}."


def _raw_pixels(facts: Sequence[InputFacts]) -> Iterator[str]:
    high = max(max(entry.high) for entry in facts)
    low = min(min(entry.low) for entry in facts)
    if all(entry.whole for entry in facts) and low >= 0 and _PIXELS < high <= _WHITE:
        yield (
            f"all values are whole numbers from {low:g} to {high:g}, like grey levels, and the network gets them "
            "as they are: should they have been preprocessed?"
        )


def _range(facts: Sequence[InputFacts], preprocessing: Preprocessing) -> Iterator[str]:
    """Compare with what black and white pixels become, channel by channel."""
    mean, scale = np.array(preprocessing.mean), np.array(preprocessing.scale)
    ends = np.sort([(0 - mean) * scale, (_WHITE - mean) * scale], axis=0)
    slack = _OUTSIDE * (ends[1] - ends[0])
    outside = [
        entry
        for entry in facts
        if (np.array(entry.low) < ends[0] - slack).any() or (np.array(entry.high) > ends[1] + slack).any()
    ]
    if outside:
        low, high = min(min(entry.low) for entry in outside), max(max(entry.high) for entry in outside)
        yield (
            f"{_share([entry.file for entry in outside], facts)} with values from {low:.3g} to {high:.3g}; the "
            f"bundle's preprocessing gives {ends[0].min():.3g} to {ends[1].max():.3g} and no more, so these were made "
            f"by another: {_names([entry.file for entry in outside])}."
        )
        return
    span = np.max([entry.high for entry in facts], axis=0) - np.min([entry.low for entry in facts], axis=0)
    share = float((span / (ends[1] - ends[0])).max())
    if share < _NARROW:
        yield (
            f"all values lie within {share:.1%} of the range that the preprocessing gives: were they scaled twice, "
            "or saved as 0 to 1 where 0 to 255 is meant?"
        )


def _swapped(facts: Sequence[InputFacts], preprocessing: Preprocessing) -> Iterator[str]:
    """Compare first and last channel with the means to be subtracted, which are those of training data as a rule."""
    mean, scale = np.array(preprocessing.mean), np.array(preprocessing.scale)
    levels = np.array([entry.mean for entry in facts]) / scale + mean
    wanted, differences = mean[0] - mean[2], levels[:, 0] - levels[:, 2]
    found = differences.mean()
    if len(facts) < _SWAP_FILES or min(abs(wanted), abs(found)) < _SWAP_LEVELS or wanted * found > 0:
        return
    if abs(found) > _SWAP_ERRORS * differences.std(ddof=1) / np.sqrt(len(facts)):
        yield (
            f"the first channel is {found:+.0f} grey levels from the last in the mean, where the means to subtract say "
            f"{wanted:+.0f}: are the channels swapped? The bundle's order is {preprocessing.color}."
        )


def _share(files: Sequence[str], facts: Sequence[InputFacts]) -> str:
    return f"{len(files)} of {len(facts)} files {'is' if len(files) == 1 else 'are'}"


def _names(files: Iterable[str]) -> str:
    listed = list(files)
    more = f" and {len(listed) - _NAMED} more" if len(listed) > _NAMED else ""
    return ", ".join(listed[:_NAMED]) + more
