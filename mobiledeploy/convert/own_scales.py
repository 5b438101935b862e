"""int8 with the scales that a QDQ model brings: the graph, what it is compared with, and what there is to say."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from mobiledeploy.convert.check import VariantCheck
from mobiledeploy.convert.request import ConvertRequest
from mobiledeploy.convert.variants import build_graph, reference_outputs
from mobiledeploy.errors import ConversionError
from mobiledeploy.source.onnx_file import load_onnx
from ncnn_tools.graph import Graph
from ncnn_tools.onnx2ncnn import without_pairs
from ncnn_tools.quantization import quantize_as_given

_NAMED = 3  # layers that a note names


@dataclass(frozen=True)
class OwnInt8Variant:
    """The int8 graph, a check of it against onnxruntime's run of the QDQ model, and facts for the manifest."""

    graph: Graph
    check: VariantCheck
    facts: dict[str, Any]


def make_own_int8(request: ConvertRequest, check: VariantCheck) -> OwnInt8Variant:
    """Make the int8 variant of a QDQ model; `check` is that of the float variants.

    Facts: `layers` are int8, `coarser`, `rescaled` and `left` as in `ncnn_tools.quantization.OwnInt8`, `dropped`
    counts what reads pairs that are left out, and `calibration_ignored` says that pictures to calibrate on were given.

    Raises ConversionError where no layer of the model can be int8.
    """
    model = load_onnx(request.source, request.input_shapes).model
    own = quantize_as_given(build_graph(model))
    if not own.layers:
        raise ConversionError(
            f"{request.source}: no layer of the QDQ model can be int8 in ncnn{_reasons(own.left)}",
            hint="Leave int8 out of --precision, or convert the float model with --calibration.",
        )
    expected = reference_outputs(model.SerializeToString(), check.samples)
    facts = {
        "layers": list(own.layers),
        "coarser": list(own.coarser),
        "rescaled": list(own.rescaled),
        "left": dict(own.left),
        "dropped": dict(without_pairs(model).readers),
        "calibration_ignored": request.calibration is not None,
    }
    return OwnInt8Variant(own.graph, dataclasses.replace(check, expected=expected), facts)


def _reasons(left: Mapping[str, str]) -> str:
    return "".join(f"; {name}: {reason}" for name, reason in list(left.items())[:_NAMED])


def own_scale_notes(facts: Mapping[str, Any]) -> list[str]:
    """Put the facts into sentences, for a reader of the int8 variant's figures."""
    count = len(facts["layers"])
    notes = [
        f"int8: {count} layers with the scales of the QDQ model, compared with onnxruntime's run of that model; "
        "the others are compared with its float model."
    ]
    if facts["calibration_ignored"]:
        notes.append(
            "The calibration pictures set no scales; they are the samples that variants are compared on."
        )
    if facts["coarser"]:
        notes.append(
            f"The inputs of {len(facts['coarser'])} int8 layers ({_some(facts['coarser'])}) have a zero point or more "
            "than 8 bits in the model; ncnn's int8 is symmetric, so that its steps are wider there."
        )
    if facts["rescaled"]:
        notes.append(
            f"The weights of {len(facts['rescaled'])} layers ({_some(facts['rescaled'])}) reach beyond 127 steps from "
            "zero; theirs are wider too."
        )
    if facts["left"]:
        left = [f"{name} ({reason})" for name, reason in facts["left"].items()]
        notes.append(f"Float, although quantized in the model: {_some(left)}.")
    if facts["dropped"]:
        readers = ", ".join(f"{name} ({n})" if n > 1 else name for name, n in facts["dropped"].items())
        notes.append(f"The model rounds what these read as well, ncnn does not: {readers}.")
    return notes


def _some(names: Iterable[str]) -> str:
    listed = list(names)
    rest = len(listed) - _NAMED
    return ", ".join(listed[:_NAMED]) + (f" and {rest} more" if rest > 0 else "")
