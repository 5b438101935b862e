"""The vocabulary of the layer schema: parameters, weights, and what makes a layer type."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from enum import Enum
from typing import NamedTuple

ParamValue = int | float | str | tuple[int, ...] | tuple[float, ...]

# The id, in every layer, of the mask of what ncnn is not to use for it (src/net.cpp). Id 30 holds shape hints.
FEATURE_MASK_ID = 31

# Bits of the feature mask (get_masked_option in src/net.cpp).
MASK_NO_FP16_ARITHMETIC = 1
MASK_NO_FP16_STORAGE = 2
MASK_NO_SGEMM = 32
MASK_NO_WINOGRAD = 64


class Activation(int, Enum):
    """`activation_type` of convolutions and InnerProduct (src/layer/fused_activation.h)."""

    NONE = 0
    RELU = 1
    LEAKY_RELU = 2
    CLIP = 3
    SIGMOID = 4
    MISH = 5
    HARD_SWISH = 6


class Param(NamedTuple):
    """A parameter's id and default; a string default names the parameter whose value it takes."""

    id: int
    default: ParamValue


class WeightSpec(NamedTuple):
    """A weight that a layer reads: its name, its count of values, and whether a storage tag precedes it."""

    name: str
    size: int
    tagged: bool


Lookup = Callable[[str], int]
WeightRule = Callable[[Lookup], list[WeightSpec]]


@dataclass(frozen=True)
class LayerSchema:
    """What ncnn knows of a layer type. `weights` lists what it reads from the .bin, given its parameters."""

    type: str
    params: Mapping[str, Param] = field(default_factory=dict)
    weights: WeightRule = field(default=lambda _: [])
    int8: bool = False
    names: Mapping[int, str] = field(init=False)

    def __post_init__(self) -> None:
        object.__setattr__(self, "names", {param.id: name for name, param in self.params.items()})


def params(**ids: tuple[int, ParamValue]) -> dict[str, Param]:
    """Write parameters as `name=(id, default)`."""
    return {name: Param(*entry) for name, entry in ids.items()}


def tagged(name: str, count: int) -> WeightSpec:
    """Describe a weight behind a storage tag: it may be stored as fp32, fp16 or int8."""
    return WeightSpec(name, count, tagged=True)


def raw(name: str, count: int) -> WeightSpec:
    """Describe a weight that is always plain fp32."""
    return WeightSpec(name, count, tagged=False)


def raw_weights(**counts: str) -> WeightRule:
    """Build a rule for raw weights whose counts stand in the named parameters."""
    return lambda get: [raw(name, get(count)) for name, count in counts.items() if get(count) > 0]
