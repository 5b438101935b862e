"""The float graph of a bundle, that its variants are made of."""

from __future__ import annotations

from mobiledeploy.bundle import Bundle
from mobiledeploy.convert.converters import foreign_converter
from mobiledeploy.convert.variants import float_graph, load_variant
from mobiledeploy.errors import UsageError
from mobiledeploy.progress import Progress
from mobiledeploy.source.onnx_file import load_onnx
from ncnn_tools.graph import Graph


def load_float_graph(bundle: Bundle, progress: Progress) -> Graph:
    """Load a bundle's fp32; where it has none, make the graph of its ONNX reference again, by the same converter.

    Raises UsageError where files are damaged, the converter is not there, or it makes another graph by now: then
    what the bundle knows of its blobs, statistics among it, would be of another graph. ConversionError where the
    reference can't be converted any more.
    """
    if "fp32" in bundle.variants:
        return load_variant(bundle, "fp32")
    foreign = foreign_converter(str(bundle.converter["name"]))
    graph = float_graph(foreign, bundle.onnx, load_onnx(bundle.onnx), progress)
    changed = foreign is not None and foreign.program().version != bundle.converter["version"]
    if changed or graph.origins != bundle.manifest.get("blobs"):
        raise UsageError(
            f"{bundle.path}: has no fp32, and its ONNX reference converts to another graph by now",
            hint="Convert again, with fp32 among --precision.",
        )
    return graph
