"""Which tensor of one model is which of the other.

By name first: what was made from one ONNX graph knows the ONNX tensor that each of its tensors equals. Then the
outputs, by their order. In two ONNX files or two traced networks also what is left, in order, where both have as many
tensors of one operator and shape: a renamed graph. Nothing is matched by its values, since a wrong tensor would
then be missing rather than wrong.
"""

from __future__ import annotations

from collections.abc import Hashable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Literal

from mobiledeploy.diff.source import Intermediate, Source, nearest

By = Literal["name", "output", "order"]


@dataclass(frozen=True)
class Pair:
    """A tensor of the reference and the candidate's that should equal it; `parents` are places in `Matching.pairs`."""

    reference: Intermediate
    candidate: Intermediate
    by: By
    is_output: bool
    parents: tuple[int, ...]


@dataclass(frozen=True)
class Matching:
    """Pairs in the candidate's order of computation, and what has no counterpart."""

    pairs: tuple[Pair, ...]
    only_reference: tuple[Intermediate, ...]
    only_candidate: tuple[Intermediate, ...]


def match(reference: Source, candidate: Source) -> Matching:
    """Match the tensors of two models."""
    found: dict[str, tuple[str, By]] = {}  # the candidate's key → the reference's
    theirs = {tensor.key: tensor for tensor in reference.tensors}
    ours = {tensor.key: tensor for tensor in candidate.tensors}
    found |= {key: (key, "name") for key in ours if key in theirs}
    if len(reference.outputs) == len(candidate.outputs):
        for key, other in zip(candidate.outputs, reference.outputs, strict=True):
            _add(found, key, other, "output", ours, theirs)
    for key, other in _in_order(_left(reference, candidate, found)):
        _add(found, key, other, "order", ours, theirs)
    return _matching(reference, candidate, found)


def _add(
    found: dict[str, tuple[str, By]],
    key: str,
    other: str,
    by: By,
    ours: Mapping[str, Intermediate],
    theirs: Mapping[str, Intermediate],
) -> None:
    """Match two tensors unless one of them is matched already, or is none that a model computes."""
    taken = {reference for reference, _ in found.values()}
    if key in ours and other in theirs and key not in found and other not in taken:
        found[key] = (other, by)


def _left(
    reference: Source, candidate: Source, found: Mapping[str, tuple[str, By]]
) -> tuple[list[Intermediate], list[Intermediate]]:
    taken = {other for other, _ in found.values()}
    return (
        [tensor for tensor in reference.tensors if tensor.key not in taken],
        [tensor for tensor in candidate.tensors if tensor.key not in found],
    )


def _in_order(left: tuple[Sequence[Intermediate], Sequence[Intermediate]]) -> Iterator[tuple[str, str]]:
    """Yield (candidate's key, reference's key) of operator and shape that both have equally often."""
    theirs, ours = (_by_signature(tensors) for tensors in left)
    for signature, keys in ours.items():
        others = theirs.get(signature, [])
        if len(keys) == len(others):
            yield from zip(keys, others, strict=True)


def _by_signature(tensors: Sequence[Intermediate]) -> dict[Hashable, list[str]]:
    groups: dict[Hashable, list[str]] = {}
    for tensor in tensors:
        if tensor.shape is not None:  # ncnn's are known by name or not at all
            groups.setdefault((tensor.type, tensor.shape), []).append(tensor.key)
    return groups


def _matching(reference: Source, candidate: Source, found: Mapping[str, tuple[str, By]]) -> Matching:
    theirs = {tensor.key: tensor for tensor in reference.tensors}
    above = nearest({tensor.key: tensor.parents for tensor in candidate.tensors}, found)
    matched = [tensor for tensor in candidate.tensors if tensor.key in found]
    place = {tensor.key: number for number, tensor in enumerate(matched)}
    outputs = set(candidate.outputs)
    pairs = tuple(
        Pair(
            reference=theirs[found[tensor.key][0]],
            candidate=tensor,
            by=found[tensor.key][1],
            is_output=tensor.key in outputs,
            parents=tuple(place[parent] for parent in above[tensor.key]),
        )
        for tensor in matched
    )
    return Matching(pairs, *(tuple(tensors) for tensors in _left(reference, candidate, found)))
