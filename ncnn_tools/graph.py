"""`Graph`: the layers, blobs and weights of an ncnn model in memory.

A blob is known by its name. In memory a blob may have any number of consumers; ncnn's files allow one, and
`passes.splits` puts in the Split layers that they need.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable
from dataclasses import dataclass, field
from enum import Enum
from typing import Any

import numpy as np
import numpy.typing as npt

from ncnn_tools.errors import GraphError
from ncnn_tools.schema import FEATURE_MASK_ID, LAYERS, LayerSchema, ParamValue, WeightSpec


class Storage(Enum):
    """How a weight stands in the .bin; the value is its tag (src/modelbin.cpp), None for an untagged weight."""

    RAW = None
    FP32 = 0
    FP32_SCALED = 0x0002C056
    FP16 = 0x01306B47
    BF16 = 0x01348B83
    INT8 = 0x000D4B38
    CODEBOOK = -1  # any other tag: 256 floats, then one index a value


@dataclass
class Weight:
    """A weight: a flat array in its stored dtype, and how it is stored.

    `data` is float32 (RAW, FP32, FP32_SCALED), float16 (FP16), uint16 bits (BF16), int8 (INT8) or uint8
    indices into the 256 float32 of `codebook` (CODEBOOK, whose own `tag` is kept).
    """

    data: npt.NDArray[Any]
    storage: Storage
    codebook: npt.NDArray[np.float32] | None = None
    tag: int | None = None

    def values(self) -> npt.NDArray[np.float32]:
        """Return the flat float32 values that this weight stands for (int8 values unscaled)."""
        if self.storage is Storage.BF16:
            return (self.data.astype(np.uint32) << 16).view(np.float32)
        if self.codebook is not None:
            values: npt.NDArray[np.float32] = self.codebook[self.data]
            return values
        return self.data.astype(np.float32)

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, Weight) or self.storage is not other.storage or self.tag != other.tag:
            return False
        same_book = (self.codebook is None) == (other.codebook is None) and (
            self.codebook is None or _same_bits(self.codebook, other.codebook)
        )
        return same_book and _same_bits(self.data, other.data)

    __hash__ = None  # type: ignore[assignment]  # arrays change


def _same_bits(a: npt.NDArray[Any], b: npt.NDArray[Any] | None) -> bool:
    return b is not None and a.dtype == b.dtype and a.shape == b.shape and a.tobytes() == b.tobytes()


@dataclass
class Layer:
    """One layer: its type, name, blobs, parameters by id, and weights by their name in the schema."""

    type: str
    name: str
    inputs: list[str]
    outputs: list[str]
    params: dict[int, ParamValue] = field(default_factory=dict)
    weights: dict[str, Weight] = field(default_factory=dict)

    @property
    def schema(self) -> LayerSchema:
        """What ncnn knows of this layer's type; GraphError for a type that it does not have."""
        try:
            return LAYERS[self.type]
        except KeyError:
            raise GraphError(f"layer {self.name!r}: ncnn has no layer type {self.type!r}") from None

    def get(self, name: str) -> Any:
        """Return a parameter by its name, or its default."""
        param = self.schema.params[name]
        if param.id in self.params:
            return self.params[param.id]
        if isinstance(param.default, str):
            return self.get(param.default)
        return param.default

    def set(self, name: str, value: ParamValue) -> None:
        """Set a parameter by its name, in the type that the schema gives it (an int in a float's place is lost)."""
        try:
            param = self.schema.params[name]
        except KeyError:
            raise GraphError(f"layer {self.name!r}: {self.type} has no parameter {name!r}") from None
        self.params[param.id] = _coerce(value, param.default)

    def integer(self, name: str) -> int:
        """Return an integer parameter; GraphError where a file put something else in its place."""
        value = self.get(name)
        if not isinstance(value, int):
            raise GraphError(f"layer {self.name!r}: parameter {name!r} should be an integer, not {value!r}")
        return value

    @property
    def feature_mask(self) -> int:
        """What ncnn is told not to use for this layer (parameter 31, see `schema`)."""
        mask = self.params.get(FEATURE_MASK_ID, 0)
        return mask if isinstance(mask, int) else 0

    def weight_specs(self) -> list[WeightSpec]:
        """Return the weights that ncnn reads for this layer, in order."""
        return self.schema.weights(self.integer)

    def set_weight(self, name: str, values: npt.ArrayLike) -> None:
        """Set a float32 weight (of any shape; kept flat); tagged weights get the fp32 tag."""
        spec = next(spec for spec in self.weight_specs() if spec.name == name)
        data = np.ascontiguousarray(values, dtype=np.float32).reshape(-1)
        if data.size != spec.size:
            raise GraphError(
                f"layer {self.name!r}: weight {name!r} has {data.size} values, ncnn reads {spec.size}"
            )
        self.weights[name] = Weight(data, Storage.FP32 if spec.tagged else Storage.RAW)


def _coerce(value: ParamValue, default: ParamValue) -> ParamValue:
    if isinstance(default, float) and isinstance(value, int):
        return float(value)
    if isinstance(value, tuple):
        floats = any(isinstance(item, float) for item in value)
        return tuple(float(item) for item in value) if floats else tuple(int(item) for item in value)
    return value


def new_layer(kind: str, name: str, inputs: list[str], outputs: list[str], **params: ParamValue) -> Layer:
    """Make a layer with parameters by name; GraphError for an unknown type or parameter."""
    layer = Layer(kind, name, list(inputs), list(outputs))
    for key, value in params.items():
        layer.set(key, value)
    return layer


@dataclass(frozen=True)
class OwnScales:
    """How the model that a layer came from quantizes it, as ncnn's scales (multipliers, see `quantization.scales`).

    `exact` says that the input's int8 values are those of the model; else they are as far apart as ncnn's symmetric
    range needs. `weights` has one scale an output, `rows` the weights that they were for, (outputs, weights an output);
    none for a layer that ncnn has no int8 for.
    """

    input: np.float32
    exact: bool
    weights: npt.NDArray[np.float32]
    rows: npt.NDArray[np.float32]


@dataclass
class Graph:
    """Layers in an order that ncnn can run, and what is known of their blobs.

    `outputs` are the blobs that a caller may ask for. `origins` maps a blob to the ONNX tensor that it equals,
    so that any intermediate can be compared; `shapes` maps a blob to its shape in ncnn (one to four axes, channels
    first, no batch), as far as it is known; `own_scales` maps a layer's name to the scales that it came with.
    """

    layers: list[Layer] = field(default_factory=list)
    outputs: list[str] = field(default_factory=list)
    origins: dict[str, str] = field(default_factory=dict)
    shapes: dict[str, tuple[int, ...]] = field(default_factory=dict)
    own_scales: dict[str, OwnScales] = field(default_factory=dict)

    @property
    def inputs(self) -> list[str]:
        """The blobs that Input layers give."""
        return [blob for layer in self.layers if layer.type == "Input" for blob in layer.outputs]

    def producers(self) -> dict[str, Layer]:
        """Map each blob to the layer that gives it."""
        return {blob: layer for layer in self.layers for blob in layer.outputs}

    def consumers(self) -> dict[str, list[Layer]]:
        """Map each blob to the layers that read it (a layer that reads it twice stands twice)."""
        readers: dict[str, list[Layer]] = {}
        for layer in self.layers:
            for blob in layer.inputs:
                readers.setdefault(blob, []).append(layer)
        return readers

    def blobs(self) -> list[str]:
        """Return every blob's name once, in order of appearance."""
        return list(dict.fromkeys(blob for layer in self.layers for blob in [*layer.inputs, *layer.outputs]))

    def sole_consumer(self, blob: str, consumers: dict[str, list[Layer]]) -> Layer | None:
        """Return the only reader of a blob that is not an output of the graph, or None."""
        readers = consumers.get(blob, [])
        return readers[0] if len(readers) == 1 and blob not in self.outputs else None

    def remove(self, layers: Iterable[Layer]) -> None:
        """Take layers out (by identity, not equality)."""
        gone = {id(layer) for layer in layers}
        self.layers = [layer for layer in self.layers if id(layer) not in gone]

    def replace(self, old: Layer, new: Layer) -> None:
        """Put a layer in another's place (by identity, not equality)."""
        self.layers = [new if layer is old else layer for layer in self.layers]

    def redirect(self, old: str, new: str) -> None:
        """Let every reader of a blob read another one."""
        for layer in self.layers:
            layer.inputs = [new if blob == old else blob for blob in layer.inputs]

    def rename_blob(self, old: str, new: str) -> None:
        """Give a blob another name, wherever it stands."""
        self.redirect(old, new)
        for layer in self.layers:
            layer.outputs = [new if blob == old else blob for blob in layer.outputs]

    def inherit(self, blob: str, source: str) -> None:
        """Note that a blob equals another one: it has its shape and comes from the same ONNX tensor."""
        for known in (self.origins, self.shapes):
            if source in known:
                known[blob] = known[source]  # type: ignore[assignment]

    def forget_missing_blobs(self) -> None:
        """Drop what is known of blobs that passes have removed."""
        present = set(self.blobs())
        self.origins = {blob: tensor for blob, tensor in self.origins.items() if blob in present}
        self.shapes = {blob: shape for blob, shape in self.shapes.items() if blob in present}

    def copy(self) -> Graph:
        """Return a copy that can be changed freely; weight arrays are shared, and never written in place."""
        layers = [
            Layer(
                layer.type,
                layer.name,
                list(layer.inputs),
                list(layer.outputs),
                dict(layer.params),
                dict(layer.weights),
            )
            for layer in self.layers
        ]
        return Graph(layers, list(self.outputs), dict(self.origins), dict(self.shapes), dict(self.own_scales))

    def check(self) -> None:
        """Raise GraphError unless ncnn could take this graph: known layers, one producer a blob, order, weights."""
        given: set[str] = set()
        for layer in self.layers:
            _check_layer(layer, given)
            given.update(layer.outputs)
        for blob in self.outputs:
            if blob not in given:
                raise GraphError(f"output {blob!r} is given by no layer")


def _check_layer(layer: Layer, given: set[str]) -> None:
    for blob in layer.inputs:
        if blob not in given:
            raise GraphError(f"layer {layer.name!r} reads {blob!r} before any layer gives it")
    for blob in layer.outputs:
        if blob in given:
            raise GraphError(f"layer {layer.name!r} gives {blob!r}, which another layer gives already")
    specs = layer.weight_specs()
    if [spec.name for spec in specs] != list(layer.weights):
        wanted = ", ".join(spec.name for spec in specs) or "none"
        raise GraphError(f"layer {layer.name!r}: weights are {', '.join(layer.weights)}; ncnn reads {wanted}")
    for spec in specs:
        if layer.weights[spec.name].data.size != spec.size:
            raise GraphError(f"layer {layer.name!r}: weight {spec.name!r} should have {spec.size} values")


def graph_digest(graph: Graph) -> str:
    """Return a hash of all that ncnn reads of a graph: layers, parameters and weights, and of its outputs' names."""
    digest = hashlib.sha256(repr(graph.outputs).encode())
    for layer in graph.layers:
        digest.update(repr((layer.type, layer.name, layer.inputs, layer.outputs, layer.params)).encode())
        for name, weight in layer.weights.items():
            digest.update(repr((name, weight.storage, weight.tag)).encode())
            digest.update(weight.data.tobytes())
            digest.update(b"" if weight.codebook is None else weight.codebook.tobytes())
    return digest.hexdigest()


def unique_name(name: str, taken: set[str]) -> str:
    """Return the name, or with a number behind it where it is taken; and take it."""
    candidate, count = name, 1
    while candidate in taken:
        candidate, count = f"{name}_{count}", count + 1
    taken.add(candidate)
    return candidate
