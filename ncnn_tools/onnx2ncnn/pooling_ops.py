"""Pooling, and reductions over the spatial axes."""

from __future__ import annotations

from ncnn_tools.onnx2ncnn.builder import Builder
from ncnn_tools.onnx2ncnn.source import Node
from ncnn_tools.schema import ParamValue

_MAX, _AVERAGE = 0, 1
# ncnn's pad_mode (src/layer/pooling.cpp): 0 adds what the last window lacks, 1 drops it.
_FULL, _VALID = 0, 1

# ncnn's Reduction (src/layer/reduction.h).
_REDUCTIONS = {"ReduceSum": 0, "ReduceMean": 3, "ReduceMax": 4, "ReduceMin": 5, "ReduceL1": 7, "ReduceL2": 8}

REDUCTION_OPERATORS = tuple(_REDUCTIONS)


def convert_global_pooling(node: Node, build: Builder) -> None:
    """GlobalAveragePool, GlobalMaxPool → Pooling; ncnn's result is a vector, so a Reshape gives it its axes back."""
    shape = build.ncnn_shape(node, node.inputs[0])
    if len(shape) != 3:
        raise node.unsupported(f"has {len(shape) - 1} spatial axes; only two can be converted")
    kind = _MAX if node.operator == "GlobalMaxPool" else _AVERAGE
    blob = build.blob(node, node.inputs[0])
    pooled = build.add_hidden("Pooling", node, [blob], pooling_type=kind, global_pooling=1)
    build.add("Reshape", node, pooled.outputs, w=1, h=1, c=shape[0])


def convert_pooling(node: Node, build: Builder) -> None:
    """MaxPool, AveragePool of two spatial axes → Pooling."""
    if len(node.outputs) > 1 and node.outputs[1]:
        raise node.unsupported("its indices can't be converted")
    node.outputs = node.outputs[:1]
    kernel = [int(size) for size in node.attribute("kernel_shape")]
    if len(kernel) != 2:
        raise node.unsupported(f"has {len(kernel)} spatial axes; only two can be converted", "kernel_shape")
    if any(step != 1 for step in node.attribute("dilations", [1, 1])):
        raise node.unsupported("ncnn's pooling has no dilation", "dilations")
    if node.attribute("auto_pad", "NOTSET") not in ("NOTSET", "VALID"):
        raise node.unsupported("only explicit pads can be converted", "auto_pad")
    node.attribute("storage_order")  # only concerns the indices
    strides = [int(step) for step in node.attribute("strides", [1, 1])]
    pads = [int(pad) for pad in node.attribute("pads", [0, 0, 0, 0])]
    params = _pooling_params(kernel, strides, pads)
    params["pooling_type"] = _MAX if node.operator == "MaxPool" else _AVERAGE
    params["pad_mode"] = _pad_mode(node, build, kernel, strides, pads)
    if node.operator == "AveragePool":
        include = int(node.attribute("count_include_pad", 0))
        if include and params["pad_mode"] == _FULL:
            raise node.unsupported("counts padding in windows that ceil_mode completes", "count_include_pad")
        params["avgpool_count_include_pad"] = include
    build.add("Pooling", node, [build.blob(node, node.inputs[0])], **params)


def _pooling_params(kernel: list[int], strides: list[int], pads: list[int]) -> dict[str, ParamValue]:
    top, left, bottom, right = pads
    return {
        "kernel_h": kernel[0],
        "kernel_w": kernel[1],
        "stride_h": strides[0],
        "stride_w": strides[1],
        "pad_top": top,
        "pad_left": left,
        "pad_bottom": bottom,
        "pad_right": right,
    }


def _pad_mode(node: Node, build: Builder, kernel: list[int], strides: list[int], pads: list[int]) -> int:
    """Choose ncnn's pad mode so that it computes as many windows as ONNX says."""
    sizes = build.ncnn_shape(node, node.inputs[0])[1:]
    inferred = build.ncnn_shape(node, node.outputs[0])[1:]
    floors, ceilings, wanted = [], [], []
    for axis, (size, step) in enumerate(zip(sizes, strides, strict=True)):
        room = size + pads[axis] + pads[axis + 2] - kernel[axis]
        floors.append(room // step + 1)
        ceilings.append(-(-room // step) + 1)
        # A window that would begin in the padding after the last value is left out: so say AveragePool-22
        # and MaxPool-22, and onnxruntime does so for every opset.
        beyond = (ceilings[axis] - 1) * step >= size + pads[axis]
        wanted.append(ceilings[axis] - beyond if node.attribute("ceil_mode", 0) else floors[axis])
    if list(inferred) != wanted:
        raise node.unsupported(f"should give {wanted} windows; the model says {inferred}", "ceil_mode")
    if wanted == floors:
        return _VALID
    if wanted == ceilings:
        return _FULL
    raise node.unsupported(f"ncnn would give {ceilings} or {floors} windows, not {wanted}", "ceil_mode")


def convert_reduction(node: Node, build: Builder) -> None:
    """ReduceMean, ReduceSum, … over axes other than the batch → Reduction."""
    tensor = node.inputs[0]
    axes = node.attribute("axes")
    if node.has_input(1):
        value = build.constant(node.inputs[1])
        if value is None:
            raise node.unsupported("its axes should be constants", "axes")
        axes = value.tolist()
    if not axes:
        raise node.unsupported("reduces the batch too: give the axes", "axes")
    node.attribute("noop_with_empty_axes")
    ncnn_axes = tuple(sorted(build.axis(node, tensor, int(axis), "axes") for axis in axes))
    keep = int(node.attribute("keepdims", 1))
    rank = len(build.ncnn_shape(node, tensor))
    if not keep and len(ncnn_axes) == rank:
        raise node.unsupported("gives a single number; keep the axes", "keepdims")
    build.add(
        "Reduction",
        node,
        [build.blob(node, tensor)],
        operation=_REDUCTIONS[node.operator],
        reduce_all=0,
        axes=ncnn_axes,
        keepdims=keep,
        fixbug0=1,
    )
