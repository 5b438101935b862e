"""What the two sides of a comparison have in common: named tensors in order of computation, and their values."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Protocol

from mobiledeploy.arrays import FloatArray
from mobiledeploy.source.reference import TensorSpec
from ncnn_tools.graph import Layer

# How exactly each kind computes: of two models the more exact one is the reference.
EXACTNESS = ("torch", "onnx", "fp32", "fp16", "int8")

Shape = tuple[int, ...]


@dataclass(frozen=True)
class Intermediate:
    """A tensor that a model computes.

    `key` is what it is matched by: the name of the ONNX tensor that it equals, or one that no ONNX tensor has.
    `name` is its own (a blob, a value in ONNX or in the traced network), `layer` and `type` what computes it;
    `parents` are the keys of the tensors that it is computed from. `shape` is None where it is not known before
    the model has run.
    """

    key: str
    name: str
    layer: str
    type: str
    parents: tuple[str, ...]
    shape: Shape | None = None


class Source(Protocol):
    """One side of a comparison.

    `kind` is torch, onnx, or a variant's precision. `inputs` and `outputs` are in the model's order, outputs by
    key; `tensors` are in order of computation. `batched` says that tensors have a batch axis, which ncnn's have not;
    `halves` that it computes in fp16. `notes` say what a reader must know of its values.
    """

    label: str
    kind: str
    on_device: bool
    batched: bool
    halves: bool
    inputs: tuple[TensorSpec, ...]
    outputs: tuple[str, ...]
    tensors: tuple[Intermediate, ...]
    notes: tuple[str, ...]

    def values(self, keys: Sequence[str], inputs: Sequence[FloatArray]) -> dict[str, FloatArray]:
        """Run once on inputs of their ONNX shapes, in order; returns the tensors of these keys, float32."""

    def layer_of(self, key: str) -> Layer | None:
        """Return the ncnn layer, with its weights, that computes a tensor; None in other kinds of models."""


def exactness(kind: str) -> int:
    """Rank a kind: the lower, the more exact; kinds that are not known come last."""
    return EXACTNESS.index(kind) if kind in EXACTNESS else len(EXACTNESS)


def nearest(parents: Mapping[str, Sequence[str]], wanted: Iterable[str]) -> dict[str, tuple[str, ...]]:
    """Map each wanted tensor to the wanted ones that it comes from, through any that are not wanted.

    `parents` is in order of computation. Where nothing wanted lies on the way, the tensor has none.
    """
    chosen = set(wanted)
    seen: dict[str, tuple[str, ...]] = {}
    for key, above in parents.items():
        found = dict.fromkeys(
            name for parent in above for name in ((parent,) if parent in chosen else seen.get(parent, ()))
        )
        seen[key] = tuple(found)
    return {key: seen[key] for key in seen if key in chosen}
