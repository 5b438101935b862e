"""Operators that move values without computing: Concat, Split, Slice, Reshape, Transpose, Pad, Resize."""

from __future__ import annotations

import math

from ncnn_tools.onnx2ncnn.builder import Builder, axis_sizes
from ncnn_tools.onnx2ncnn.source import Array, Node

# ncnn's Permute (src/layer/permute.cpp): the result's axes from the inside out, named by the input's, for each
# order_type. w is the last axis of the input, then h, (d,) c.
_ORDERS = {
    1: ["w"],
    2: ["w h", "h w"],
    3: ["w h c", "h w c", "w c h", "c w h", "h c w", "c h w"],
    4: [
        *("w h d c", "h w d c", "w d h c", "d w h c", "h d w c", "d h w c"),
        *("w h c d", "h w c d", "w c h d", "c w h d", "h c w d", "c h w d"),
        *("w d c h", "d w c h", "w c d h", "c w d h", "d c w h", "c d w h"),
        *("h d c w", "d h c w", "h c d w", "c h d w", "d c h w", "c d h w"),
    ],
}
_PAD_TYPES = {"constant": 0, "edge": 1, "reflect": 2}


def convert_concat(node: Node, build: Builder) -> None:
    """Concat → Concat."""
    axis = build.axis(node, node.inputs[0], node.attribute("axis"))
    ranks = {len(build.shape(tensor)) for tensor in node.inputs}
    if len(ranks) != 1:
        raise node.unsupported("its inputs differ in rank")
    build.add("Concat", node, [build.blob(node, tensor) for tensor in node.inputs], axis=axis)


def convert_split(node: Node, build: Builder) -> None:
    """Split → Slice. The sizes are read off the inferred shapes, whatever way the opset gives them."""
    tensor = node.inputs[0]
    axis_attribute = node.attribute("axis", 0)
    axis = build.axis(node, tensor, axis_attribute)
    for name in ("split", "num_outputs"):
        node.attribute(name)
    if node.has_input(1) and build.constant(node.inputs[1]) is None:
        raise node.unsupported("its sizes should be constants", "split")
    sizes = tuple(build.ncnn_shape(node, output)[axis] for output in node.outputs)
    if sum(sizes) != build.ncnn_shape(node, tensor)[axis]:
        raise node.unsupported(
            f"the model says that its parts of {build.shape(tensor)} have sizes {sizes}", "split"
        )
    build.add("Slice", node, [build.blob(node, tensor)], slices=sizes, axis=axis)


def convert_slice(node: Node, build: Builder) -> None:
    """Slice with steps of 1 → Crop."""
    tensor = node.inputs[0]
    starts, ends = (_integers(node, build, i, name) for i, name in ((1, "starts"), (2, "ends")))
    if starts is None or ends is None:
        raise node.unsupported("its bounds are missing", "starts")
    axes = _integers(node, build, 3, "axes") or list(range(len(starts)))
    steps = _integers(node, build, 4, "steps") or [1] * len(starts)
    if any(step != 1 for step in steps):
        raise node.unsupported("ncnn's Crop takes every value: the step should be 1", "steps")
    shape = build.shape(tensor)
    cuts = []
    for axis, start, end in zip(axes, starts, ends, strict=True):
        size = shape[axis]
        first, last = (min(max(bound + size if bound < 0 else bound, 0), size) for bound in (start, end))
        if (first, last) != (0, size):
            cuts.append((build.axis(node, tensor, axis, "axes"), first, last))
    if any(first >= last for _, first, last in cuts):
        raise node.unsupported("its result is empty", "ends")
    _crop(node, build, cuts)


def _crop(node: Node, build: Builder, cuts: list[tuple[int, int, int]]) -> None:
    blob = build.blob(node, node.inputs[0])
    if not cuts:
        build.add("Noop", node, [blob])
        return
    axes, starts, ends = (tuple(column) for column in zip(*cuts, strict=True))
    build.add("Crop", node, [blob], starts=starts, ends=ends, axes=axes)


def convert_gather(node: Node, build: Builder) -> None:
    """Gather of one constant index → Crop and Reshape."""
    tensor = node.inputs[0]
    index = build.constant(node.inputs[1])
    if index is None or index.size != 1:
        raise node.unsupported("only one constant index can be converted")
    axis = build.axis(node, tensor, node.attribute("axis", 0))
    size = build.ncnn_shape(node, tensor)[axis]
    first = int(index.reshape(-1)[0]) % size
    cropped = build.add_hidden(
        "Crop", node, [build.blob(node, tensor)], starts=(first,), ends=(first + 1,), axes=(axis,)
    )
    build.add("Reshape", node, cropped.outputs, **axis_sizes(build.ncnn_shape(node, node.outputs[0])))


def convert_reshape(node: Node, build: Builder) -> None:
    """Reshape, Flatten, Squeeze, Unsqueeze → Reshape to the inferred shape; the batch stays the first axis."""
    for name in ("allowzero", "axis", "axes", "shape"):
        node.attribute(name)  # is in the inferred shape
    given = build.ncnn_shape(node, node.inputs[0])
    shape = build.ncnn_shape(node, node.outputs[0])
    if math.prod(given) != math.prod(shape):
        raise node.unsupported(
            f"the model says that {given} becomes {shape}, which holds another number of values"
        )
    build.add("Reshape", node, [build.blob(node, node.inputs[0])], **axis_sizes(shape))


def convert_transpose(node: Node, build: Builder) -> None:
    """Transpose that leaves the batch in place → Permute."""
    tensor = node.inputs[0]
    rank = len(build.ncnn_shape(node, tensor))
    order = node.attribute("perm", list(range(rank, -1, -1)))
    if order[0] != 0:
        raise node.unsupported("the batch should stay the first axis", "perm")
    # Inside out: w is the input's last axis.
    names = {rank: "w", rank - 1: "h", rank - 2: "d" if rank == 4 else "c", rank - 3: "c"}
    wanted = " ".join(names[axis] for axis in reversed(order[1:]))
    build.add("Permute", node, [build.blob(node, tensor)], order_type=_ORDERS[rank].index(wanted))


def convert_pad(node: Node, build: Builder) -> None:
    """Pad of the two spatial axes → Padding."""
    mode = node.attribute("mode", "constant")
    if mode not in _PAD_TYPES:
        raise node.unsupported(f"ncnn has no padding mode {mode!r}", "mode")
    pads = _integers(node, build, 1, "pads")
    rank = len(build.shape(node.inputs[0]))
    if pads is None or len(pads) != 2 * rank or node.has_input(3):
        raise node.unsupported("its pads should be constants, one pair for each axis", "pads")
    if rank < 3 or any(pads[axis] or pads[rank + axis] for axis in range(rank - 2)):
        raise node.unsupported("only the last two axes can be padded", "pads")
    if any(pad < 0 for pad in pads):
        raise node.unsupported("negative pads can't be converted", "pads")
    value = float(node.attribute("value", 0.0))
    if node.has_input(2):
        constant = build.constant(node.inputs[2])
        if constant is None:
            raise node.unsupported("its value should be constant", "value")
        value = float(constant.reshape(-1)[0])
    top, left, bottom, right = pads[rank - 2], pads[rank - 1], pads[2 * rank - 2], pads[2 * rank - 1]
    sides = {"top": top, "bottom": bottom, "left": left, "right": right}
    build.add(
        "Padding", node, [build.blob(node, node.inputs[0])], type=_PAD_TYPES[mode], value=value, **sides
    )


def _integers(node: Node, build: Builder, index: int, name: str) -> list[int] | None:
    """Return the integers that an opset gives as an input, and an older one as an attribute."""
    values: Array | list[int] | None = node.attribute(name)
    if node.has_input(index):
        values = build.constant(node.inputs[index])
        if values is None:
            raise node.unsupported("should be constant", name)
    return None if values is None else [int(value) for value in values]
