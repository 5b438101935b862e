"""What convolutions and poolings share: feature maps, and windows that slide over them.

ncnn's layers slide over two axes, (channels, h, w). A sequence (1, channels, w) is taken as maps of one row.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from ncnn_tools.onnx2ncnn.builder import Builder
from ncnn_tools.onnx2ncnn.source import Node
from ncnn_tools.onnx2ncnn.view import Shape
from ncnn_tools.schema import ParamValue


def map_shape(node: Node, build: Builder, tensor: str, *, batch: bool = False) -> Shape:
    """Return the (channels, h, w) of a feature map or sequence with a batch of 1; unsupported for other shapes.

    With `batch` its first axis may be of any size: for layers that treat each map alike it counts as channels.
    """
    shape = build.shape(tensor)
    if len(shape) not in (3, 4):
        raise node.unsupported(
            f"tensor {tensor!r} has {len(shape) - 2} spatial axes; only one or two can be converted"
        )
    if shape[0] != 1 and not batch:
        raise node.unsupported(
            f"tensor {tensor!r} has shape {shape}; its first axis should be a batch of 1: export with one"
        )
    if 0 in shape:
        raise node.unsupported(f"tensor {tensor!r} of shape {shape} holds no values")
    maps = shape[0] * shape[1]
    return (maps, shape[2], shape[3]) if len(shape) == 4 else (maps, 1, shape[2])


@dataclass(frozen=True)
class Window:
    """A window's size, step and spread, and the pads before and after each axis; each a pair (h, w)."""

    kernel: tuple[int, int]
    strides: tuple[int, int]
    dilations: tuple[int, int]
    before: tuple[int, int]
    after: tuple[int, int]

    @classmethod
    def read(cls, node: Node, kernel: Sequence[int], sizes: Sequence[int]) -> Window:
        """Read a node's attributes for a map of `sizes` (h, w); SAME padding is worked out.

        ncnn's own SAME writes out of bounds where one axis needs no pads and the other does.
        """
        sizes_given = [int(size) for size in node.attribute("kernel_shape", kernel)]
        flat = len(sizes_given) == 1
        extent = _pair(sizes_given, 1)
        strides = _pair(node.attribute("strides") or [1, 1][flat:], 1)
        dilations = _pair(node.attribute("dilations") or [1, 1][flat:], 1)
        pads = [int(pad) for pad in node.attribute("pads") or [0, 0, 0, 0][2 * flat :]]
        before, after = _pair(pads[: len(pads) // 2], 0), _pair(pads[len(pads) // 2 :], 0)
        mode = node.attribute("auto_pad", "NOTSET")
        if mode == "VALID":
            before = after = (0, 0)
        elif mode != "NOTSET":
            window = cls(extent, strides, dilations, (0, 0), (0, 0))
            before, after = window._same(sizes, upper=mode == "SAME_UPPER")
        if min(*before, *after) < 0:
            raise node.unsupported("negative pads can't be converted", "pads")
        return cls(extent, strides, dilations, before, after)

    def extent(self, axis: int) -> int:
        """Return how many values the window reaches over along an axis."""
        return (self.kernel[axis] - 1) * self.dilations[axis] + 1

    def params(self) -> dict[str, ParamValue]:
        """Return the parameters of ncnn's layers that say this, but for dilation, which Pooling does not have."""
        return {
            "kernel_h": self.kernel[0],
            "kernel_w": self.kernel[1],
            "stride_h": self.strides[0],
            "stride_w": self.strides[1],
            "pad_top": self.before[0],
            "pad_left": self.before[1],
            "pad_bottom": self.after[0],
            "pad_right": self.after[1],
        }

    def dilation(self) -> dict[str, ParamValue]:
        """Return the parameters of the dilation."""
        return {"dilation_h": self.dilations[0], "dilation_w": self.dilations[1]}

    def _same(self, sizes: Sequence[int], *, upper: bool) -> tuple[tuple[int, int], tuple[int, int]]:
        before, after = [], []
        for axis, size in enumerate(sizes):
            step = self.strides[axis]
            missing = max(0, (size - 1) // step * step + self.extent(axis) - size)
            before.append(missing // 2 if upper else missing - missing // 2)
            after.append(missing - before[axis])
        return (before[0], before[1]), (after[0], after[1])


def _pair(values: Sequence[int], missing: int) -> tuple[int, int]:
    """Return (h, w); a list for one axis is that of w."""
    last = [int(value) for value in values]
    return (missing, last[0]) if len(last) == 1 else (last[0], last[1])
