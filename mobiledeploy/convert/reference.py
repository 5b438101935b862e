"""The ONNX reference of a bundle: exported from a checkpoint (or taken as given), checked, simplified."""

from __future__ import annotations

import importlib.util
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from mobiledeploy.convert.request import ConvertRequest
from mobiledeploy.errors import ConversionError
from mobiledeploy.progress import Progress
from mobiledeploy.source.onnx_file import OnnxFile, load_onnx, save_onnx
from mobiledeploy.source.simplify import simplify_onnx
from ncnn_tools.errors import NcnnToolsError
from ncnn_tools.onnx2ncnn import without_pairs

if TYPE_CHECKING:
    import onnx
    import torch


@dataclass(frozen=True)
class Reference:
    """The checked reference, and how it came about (`facts` goes into the manifest)."""

    file: OnnxFile
    facts: dict[str, Any]


def make_reference(request: ConvertRequest, target: Path, progress: Progress) -> Reference:
    """Write the simplified ONNX reference to `target`.

    Raises ConversionError where the checkpoint does not fit its network, the export differs from torch, or the
    ONNX file is not valid or quantized in a way that ncnn can't follow.
    """
    raw = target.with_name("raw.onnx")
    facts: dict[str, Any] = {}
    if request.from_onnx:
        progress("checking the ONNX file", 0, 0)
        save_onnx(_float_model(load_onnx(request.source, request.input_shapes).model), raw)
    else:
        facts["torch_relative_error"] = _export(request, raw, progress)
    progress("simplifying", 0, 0)
    simplification = simplify_onnx(raw, target)
    raw.unlink()
    facts |= {"simplified": simplification.simplified, "simplify_note": simplification.reason}
    return Reference(load_onnx(target), facts)


def _float_model(model: onnx.ModelProto) -> onnx.ModelProto:
    """Return what a QDQ model computes without rounding, which is the reference of fp32; others stay as they are.

    So the simplifier never meets the pairs, which it would move and fold.
    """
    try:
        return without_pairs(model).model
    except NcnnToolsError as error:
        raise ConversionError(f"can't be converted to ncnn: {error}") from error


def load_trained(request: ConvertRequest) -> torch.nn.Module:
    """Load the checkpoint into its network.

    Raises UsageError where there is no such network and ConversionError where torch is not installed, the network's
    code fails, or the checkpoint does not fit it.
    """
    if importlib.util.find_spec("torch") is None:
        raise ConversionError(
            "torch is not installed, and a checkpoint needs it",
            hint="pip install 'mobiledeploy[torch]' -c constraints.txt (a bare torch may take several GB of CUDA)",
        )
    from mobiledeploy.source.checkpoint import load_state_dict
    from mobiledeploy.source.network import fit, load_network

    assert request.model is not None  # noqa: S101 - ConvertRequest.check has seen to it
    network = load_network(request.model)
    fit(network, load_state_dict(request.source, trust=request.trust_checkpoint))
    return network


def _export(request: ConvertRequest, target: Path, progress: Progress) -> float:
    """Load the checkpoint into its network and export it; returns the error of onnxruntime against torch."""
    progress("loading the checkpoint", 0, 0)
    network = load_trained(request)
    from mobiledeploy.source.export import check_onnx, export_onnx

    assert request.input_shapes is not None  # noqa: S101 - ConvertRequest.check has seen to it
    progress("exporting to ONNX", 0, 0)
    export_onnx(network, request.input_shapes, target, output_names=request.output_names)
    progress("checking the export against torch", 0, 0)
    return check_onnx(target, network, request.input_shapes)
