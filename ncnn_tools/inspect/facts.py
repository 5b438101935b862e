"""What there is to know of a model's layers, whatever file they come from; and their sums."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import asdict, dataclass
from typing import Any

from ncnn_tools.cost import BlobSize
from ncnn_tools.inspect.memory import Peak


@dataclass(frozen=True)
class BlobFacts:
    """A blob or tensor of a layer; `shape` is None where it is not known, as is an axis of it."""

    name: str
    shape: tuple[int | None, ...] | None

    @classmethod
    def measured(cls, name: str, size: BlobSize | None) -> BlobFacts:
        """Make it of a size, if that is known."""
        return cls(name, size.shape if size else None)


@dataclass(frozen=True)
class LayerFacts:
    """One layer, or ONNX node.

    `parameters` counts the values of weights and constants, without int8 scales; `weight_bytes` is what all of
    them take in the file. `macs` and `activation_bytes` (inputs and outputs) follow the rules of `ncnn_tools.cost`;
    None where a shape is not known. `stored` says how the weights stand in the file. `fp16` ("yes", "moves", "no")
    and `int8` say what ncnn's kernels on ARM can do; None where that is no question. `known` is False for a type that
    ncnn does not have.
    """

    name: str
    type: str
    inputs: tuple[BlobFacts, ...]
    outputs: tuple[BlobFacts, ...]
    parameters: int
    weight_bytes: int
    macs: int | None
    activation_bytes: int | None
    stored: str | None = None
    fp16: str | None = None
    int8: bool | None = None
    known: bool = True


@dataclass(frozen=True)
class Totals:
    """The sum of several layers; `macs` and `activation_bytes` are None where they are not known of every one."""

    layers: int
    parameters: int
    weight_bytes: int
    macs: int | None
    activation_bytes: int | None

    @classmethod
    def of(cls, layers: Sequence[LayerFacts]) -> Totals:
        """Sum up layers."""
        return cls(
            layers=len(layers),
            parameters=sum(layer.parameters for layer in layers),
            weight_bytes=sum(layer.weight_bytes for layer in layers),
            macs=_sum(layer.macs for layer in layers),
            activation_bytes=_sum(layer.activation_bytes for layer in layers),
        )


def _sum(values: Iterable[int | None]) -> int | None:
    total = 0
    for value in values:
        if value is None:
            return None
        total += value
    return total


@dataclass(frozen=True)
class ModelFacts:
    """A model: `kind` is "ncnn" or "onnx", `file_bytes` the size of its files. `peak` is None where it is not known.

    `notes` say, in sentences, what could not be found out and why.
    """

    kind: str
    layers: tuple[LayerFacts, ...]
    file_bytes: int
    peak: Peak | None = None
    notes: tuple[str, ...] = ()

    @property
    def totals(self) -> Totals:
        """The sum of all layers."""
        return Totals.of(self.layers)

    @property
    def unknown(self) -> tuple[LayerFacts, ...]:
        """The layers that ncnn does not have."""
        return tuple(layer for layer in self.layers if not layer.known)

    def by_type(self) -> dict[str, tuple[LayerFacts, ...]]:
        """Return the layers of each type, in order of first appearance."""
        types = dict.fromkeys(layer.type for layer in self.layers)
        return {kind: tuple(layer for layer in self.layers if layer.type == kind) for kind in types}

    def to_json(self) -> dict[str, Any]:
        """Return it as a JSON document."""
        return {
            "kind": self.kind,
            "file_bytes": self.file_bytes,
            "totals": asdict(self.totals),
            "peak_activations": asdict(self.peak) if self.peak else None,
            "notes": list(self.notes),
            "layers": [asdict(layer) for layer in self.layers],
        }
