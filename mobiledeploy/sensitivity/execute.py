"""Try every layer of a bundle's int8 variant alone, on this computer."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np

from mobiledeploy.arrays import FloatArray
from mobiledeploy.bundle import Bundle
from mobiledeploy.convert.bundle_graph import load_float_graph
from mobiledeploy.convert.int8 import with_shapes
from mobiledeploy.convert.samples import InputData, Inputs, kept_inputs, spread
from mobiledeploy.convert.variants import load_variant
from mobiledeploy.errors import CheckFailedError, UsageError
from mobiledeploy.metrics import mask_iou, mean_abs
from mobiledeploy.preprocessing import list_images
from mobiledeploy.progress import Progress
from mobiledeploy.sensitivity.figures import ALPHA_MAE, MASK_IOU, NOISE, LayerFigures, Sensitivity
from mobiledeploy.source.reference import TensorSpec
from ncnn_tools.cost import graph_macs
from ncnn_tools.errors import GraphError
from ncnn_tools.graph import Graph, Layer
from ncnn_tools.quantization import (
    ErrorSources,
    center,
    error_sources,
    layer_errors,
    noise_to_signal,
    unchain,
)
from ncnn_tools.quantization.sensitivity import Measure, Outputs, graph_outputs, mean_measures

MOST_INPUTS = 8  # each layer runs on all of them


def sensitivity(bundle: Bundle, images: Path | None = None, progress: Progress | None = None) -> Sensitivity:
    """Measure the error that each layer of the int8 variant alone adds to the outputs, against fp32.

    `images` is a folder of pictures or .npy arrays, of which at most `MOST_INPUTS` are taken, evenly spaced; without
    it the bundle's samples are. Mattes are judged where the bundle has a mask and is trained. Raises UsageError where
    there is no int8 variant, its layers can't stand among others, or an input does not fit, and CheckFailedError
    where the network gives what is not a number.
    """
    tell = progress or (lambda *_: None)
    int8 = _int8_graph(bundle)
    data = _inputs(bundle, images)
    samples = [
        {tensor.blob: data.sample(place)[tensor.name][0] for tensor in bundle.inputs}
        for place in spread(len(data), MOST_INPUTS)
    ]
    floats = _float_graph(bundle, samples[0], tell)
    measures = _measures(bundle)
    try:
        tell("looking at activations", 0, 0)
        sources = error_sources(floats, int8, samples)
        reference = graph_outputs(floats, samples)
        _check_finite(reference)
        together = mean_measures(measures, graph_outputs(int8, samples), reference)
        errors = layer_errors(
            floats, int8, samples, measures, progress=lambda *at: tell("trying layers alone", *at)
        )
    except GraphError as error:
        raise UsageError(
            f"{bundle.path}: int8 and fp32 are not of one graph: {error}", hint="Convert again."
        ) from error
    macs = graph_macs(floats)
    layers = [
        _figures(floats, layer, macs[layer.name], errors[layer.name], sources[layer.name])
        for layer in floats.layers
        if layer.name in errors
    ]
    layers.sort(key=lambda layer: -layer.errors[NOISE])
    source = "samples" if images is None else str(images)
    return Sensitivity(bundle, source, len(samples), len(data), tuple(layers), together, sum(macs.values()))


def _int8_graph(bundle: Bundle) -> Graph:
    if "int8" not in bundle.variants:
        raise UsageError(
            f"{bundle.path}: has no int8 variant to look at", hint="`mobiledeploy quantize` adds one."
        )
    facts = bundle.manifest["variants"]["int8"]
    if facts.get("rescaled"):
        raise UsageError(
            f"{bundle.path}: int8 was made with --equalize, so that its layers can't stand alone among those of fp32",
            hint="`mobiledeploy quantize -o OTHER` without it makes one whose layers can.",
        )
    if not facts["int8_layers"]:
        raise UsageError(f"{bundle.path}: no layer of this network can be int8")
    return unchain(load_variant(bundle, "int8"))


def _float_graph(bundle: Bundle, sample: Mapping[str, FloatArray], progress: Progress) -> Graph:
    """Return fp32 among whose layers those of int8 can stand: its blobs are centered as int8's are."""
    return center(with_shapes(load_float_graph(bundle, progress), sample), bundle.centered("int8"))


def _inputs(bundle: Bundle, images: Path | None) -> Inputs:
    if images is None:
        return kept_inputs(bundle)
    # int8 is for networks of one input, so there is one.
    specs = tuple(TensorSpec(tensor.name, tensor.shape) for tensor in bundle.inputs)
    return InputData(specs, bundle.preprocessing, tuple(list_images(images)))


def _measures(bundle: Bundle) -> dict[str, Measure]:
    matte = None if bundle.untrained else bundle.matte
    if matte is None:
        return {NOISE: noise_to_signal}
    (tensor,) = (tensor for tensor in bundle.outputs if tensor.name == matte.output)

    def alpha(outputs: Outputs) -> FloatArray:
        return matte.alpha({tensor.name: outputs[tensor.blob].reshape(tensor.shape)})

    return {
        NOISE: noise_to_signal,
        ALPHA_MAE: lambda outputs, reference: mean_abs(alpha(outputs), alpha(reference)),
        MASK_IOU: lambda outputs, reference: mask_iou(alpha(outputs), alpha(reference)),
    }


def _check_finite(outputs: Sequence[Outputs]) -> None:
    for sample in outputs:
        for blob, values in sample.items():
            if not np.isfinite(values).all():
                raise CheckFailedError(f"fp32: output {blob!r} holds NaN or infinity")


def _figures(
    graph: Graph, layer: Layer, macs: int, errors: Mapping[str, float], sources: ErrorSources
) -> LayerFigures:
    given, made = graph.shapes[layer.inputs[0]], graph.shapes[layer.outputs[0]]
    if layer.type == "InnerProduct":
        outputs = layer.integer("num_output")
        channels = (layer.integer("weight_data_size") // outputs, outputs)
        return LayerFigures(layer.name, layer.type, "", channels, (), macs, errors, sources)
    return LayerFigures(
        layer.name, layer.type, _kernel(layer), (given[0], made[0]), made[1:], macs, errors, sources
    )


def _kernel(layer: Layer) -> str:
    """Write a kernel's height and width, with stride and dilation where they are not 1."""
    parts = [f"{layer.integer('kernel_h')}x{layer.integer('kernel_w')}"]
    for letter, name in (("s", "stride"), ("d", "dilation")):
        both = (layer.integer(f"{name}_h"), layer.integer(f"{name}_w"))
        if both != (1, 1):
            parts.append(f"{letter}{both[0]}" if both[0] == both[1] else f"{letter}{both[0]}x{both[1]}")
    return " ".join(parts)
