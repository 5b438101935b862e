"""An ONNX model whose every tensor can be asked for: onnxruntime without its own optimizations."""

from __future__ import annotations

from collections.abc import Sequence

import onnx

from mobiledeploy.arrays import FloatArray
from mobiledeploy.diff.source import Intermediate
from mobiledeploy.source.onnx_file import OnnxFile
from mobiledeploy.source.reference import open_session, run
from ncnn_tools.graph import Layer

_FLOAT = "tensor(float)"


class OnnxSource:
    """An ONNX model, run by onnxruntime on this computer, node by node as the file has them."""

    kind = "onnx"
    on_device = False
    batched = True
    halves = False
    notes: tuple[str, ...] = ()

    def __init__(self, label: str, file: OnnxFile) -> None:
        """Load it; ConversionError where onnxruntime can't."""
        self.label = label
        self.inputs = file.inputs
        self.outputs = tuple(spec.name for spec in file.outputs)
        self._session = open_session(_with_all_outputs(file.model).SerializeToString(), optimized=False)
        shapes = {
            output.name: tuple(output.shape)
            for output in self._session.get_outputs()
            if output.type == _FLOAT
        }
        self.tensors = tuple(
            Intermediate(
                name, name, node.name or name, node.op_type, tuple(node.input), _static(shapes[name])
            )
            for node in file.model.graph.node
            for name in node.output
            if name in shapes and node.op_type != "Constant"
        )

    def values(self, keys: Sequence[str], inputs: Sequence[FloatArray]) -> dict[str, FloatArray]:
        """Run once; returns the tensors of these names. Raises ConversionError where a node fails."""
        feed = {spec.name: array for spec, array in zip(self.inputs, inputs, strict=True)}
        return run(self._session, feed, keys)

    def layer_of(self, key: str) -> Layer | None:  # noqa: ARG002
        """Return None: it has no ncnn layers."""
        return None


def _with_all_outputs(model: onnx.ModelProto) -> onnx.ModelProto:
    """Return a copy that gives every tensor of its graph as an output; onnxruntime finds their types itself."""
    result = onnx.ModelProto()
    result.CopyFrom(model)
    known = {value.name for value in result.graph.output}
    for node in result.graph.node:
        for name in node.output:
            if name and name not in known:
                result.graph.output.append(onnx.ValueInfoProto(name=name))
    return result


def _static(shape: Sequence[object]) -> tuple[int, ...] | None:
    extents = tuple(extent for extent in shape if isinstance(extent, int))
    return extents if len(extents) == len(shape) else None
