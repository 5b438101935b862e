"""The facts of an ncnn model: its files read, its shapes from one run on zeros."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

from ncnn_tools.bin_file import read_bin, stored_bytes
from ncnn_tools.cost import BlobSize, layer_cost
from ncnn_tools.errors import FormatError, GraphError
from ncnn_tools.graph import Graph, Layer, Storage
from ncnn_tools.inspect.facts import BlobFacts, LayerFacts, ModelFacts
from ncnn_tools.inspect.memory import peak_activations
from ncnn_tools.inspect.shapes import Shapes, measure_blobs
from ncnn_tools.param_file import read_param
from ncnn_tools.runtime import input_shapes
from ncnn_tools.schema import LAYERS, MASK_NO_FP16_ARITHMETIC, MASK_NO_FP16_STORAGE, Fp16, fp16_on_arm

_STORED = {
    Storage.RAW: "fp32",
    Storage.FP32: "fp32",
    Storage.FP32_SCALED: "fp32",
    Storage.FP16: "fp16",
    Storage.BF16: "bf16",
    Storage.INT8: "int8",
    Storage.CODEBOOK: "codebook",
}
_TAG_BYTES = 4


class FreeInputsError(GraphError):
    """Inputs whose size the file leaves free, and for which no shape was given."""

    def __init__(self, inputs: Sequence[str]) -> None:
        super().__init__(f"the model leaves the size of its input free ({', '.join(map(repr, inputs))})")
        self.inputs = tuple(inputs)


def read_model(param: Path, weights: Path | None) -> tuple[Graph, tuple[str, ...]]:
    """Read a .param, with unknown layers left in, and its .bin; returns it with notes on what is missing.

    Raises FormatError where the files are malformed. Where there are unknown layers, a .bin that does not fit is only
    noted: it may hold weights of theirs.
    """
    graph = read_param(param, known_only=False)
    _check_parameters(graph, param)
    if weights is None:
        return graph, (
            "There is no .bin beside the .param: weights are counted as its layers read them, in fp32.",
        )
    try:
        read_bin(graph, weights)
    except FormatError as error:
        if all(layer.type in LAYERS for layer in graph.layers):
            raise
        for layer in graph.layers:
            layer.weights.clear()
        return graph, (f"Weights are counted as the known layers read them, in fp32: {error}.",)
    return graph, ()


def inspect_model(
    graph: Graph,
    inputs: Shapes,
    *,
    file_bytes: int,
    outputs: Sequence[str] | None = None,
    notes: Sequence[str] = (),
) -> ModelFacts:
    """Return the facts of a graph that `read_model` gave.

    Args:
        inputs: the inputs' shapes in ncnn's axes (no batch), where the file leaves them free.
        outputs: the blobs that are extracted, in order; by default those that no layer reads.

    Raises FreeInputsError where an input's shape is neither in the file nor given, and GraphError where what is given
    contradicts the file.
    """
    measured = measure_blobs(graph, complete_inputs(graph, inputs))
    layers = tuple(_layer_facts(layer, measured.sizes) for layer in graph.layers)
    unknown = any(not layer.known for layer in layers)
    problems = [f"Not all shapes are known: {measured.problem}."] if measured.problem else []
    peak = None
    if not unknown and not measured.problem:
        try:
            peak = peak_activations(graph, measured.sizes, graph.outputs if outputs is None else outputs)
        except GraphError as error:
            problems.append(f"The peak of activations is not known: {error}.")
    return ModelFacts("ncnn", layers, file_bytes, peak, (*notes, *problems))


def complete_inputs(graph: Graph, given: Shapes) -> dict[str, tuple[int, ...]]:
    """Return every input's shape: the file's own, else the given one. Raises as `inspect_model` does."""
    fixed = input_shapes(graph)
    for blob, shape in given.items():
        if fixed.get(blob, shape) != shape:
            raise GraphError(f"the input {blob!r} is {_text(fixed[blob])} in the file, not {_text(shape)}")
    shapes = {**given, **fixed}
    if free := [blob for blob in graph.inputs if blob not in shapes]:
        raise FreeInputsError(free)
    return {blob: shapes[blob] for blob in graph.inputs}


def _text(shape: Sequence[int]) -> str:
    return "x".join(map(str, shape))


def _check_parameters(graph: Graph, param: Path) -> None:
    for layer in graph.layers:
        if layer.type not in LAYERS:
            continue
        try:
            layer.weight_specs()
        except (GraphError, KeyError) as error:
            raise FormatError(
                param, f"layer {layer.name!r}", f"its parameters make no sense: {error}"
            ) from None


def _layer_facts(layer: Layer, sizes: Mapping[str, BlobSize]) -> LayerFacts:
    inputs = tuple(BlobFacts.measured(blob, sizes.get(blob)) for blob in layer.inputs)
    outputs = tuple(BlobFacts.measured(blob, sizes.get(blob)) for blob in layer.outputs)
    if layer.type not in LAYERS:
        return LayerFacts(layer.name, layer.type, inputs, outputs, 0, 0, None, None, known=False)
    macs, activation_bytes = _cost(layer, sizes)
    runs = layer.type != "Input"  # which ncnn passes over
    return LayerFacts(
        name=layer.name,
        type=layer.type,
        inputs=inputs,
        outputs=outputs,
        parameters=_parameters(layer),
        weight_bytes=_weight_bytes(layer),
        macs=macs,
        activation_bytes=activation_bytes,
        stored=_stored(layer),
        fp16=_fp16(layer).value if runs else None,
        int8=layer.schema.int8 if runs else None,
    )


def _fp16(layer: Layer) -> Fp16:
    """Return what a layer does where the network runs in fp16, unless its feature mask keeps it out."""
    kind = fp16_on_arm(layer.type, layer.integer)
    if layer.feature_mask & MASK_NO_FP16_STORAGE:
        return Fp16.NONE
    return Fp16.MOVES if kind is not Fp16.NONE and layer.feature_mask & MASK_NO_FP16_ARITHMETIC else kind


def _cost(layer: Layer, sizes: Mapping[str, BlobSize]) -> tuple[int | None, int | None]:
    if not all(blob in sizes for blob in (*layer.inputs, *layer.outputs)):
        return None, None
    try:
        cost = layer_cost(
            layer, [sizes[blob] for blob in layer.inputs], [sizes[blob] for blob in layer.outputs]
        )
    except (
        IndexError,
        ZeroDivisionError,
    ):  # parameters that contradict each other, and that ncnn does not check
        return None, None
    return cost.macs, cost.input_bytes + cost.output_bytes


def _parameters(layer: Layer) -> int:
    return sum(spec.size for spec in layer.weight_specs() if not spec.name.endswith(("_scale", "_scales")))


def _weight_bytes(layer: Layer) -> int:
    if layer.weights:
        return sum(stored_bytes(weight) for weight in layer.weights.values())
    return sum(4 * spec.size + (_TAG_BYTES if spec.tagged else 0) for spec in layer.weight_specs())


def _stored(layer: Layer) -> str | None:
    """Say how a layer's weights are stored; those that are always fp32 count only where it has no others."""
    storages = {weight.storage for weight in layer.weights.values()}
    tagged = storages - {Storage.RAW} or storages
    return "+".join(sorted(_STORED[storage] for storage in tagged)) or None
