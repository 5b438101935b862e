"""What can be chosen for one layer: its precision, and which algorithms ncnn may use for it."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass
from typing import Literal

from ncnn_tools.graph import Layer
from ncnn_tools.quantization import has_winograd
from ncnn_tools.schema import MASK_NO_SGEMM, MASK_NO_WINOGRAD

Precision = Literal["fp32", "fp16", "int8"]


@dataclass(frozen=True, order=True)
class Choice:
    """How a layer runs. ncnn takes winograd or sgemm, where it may and they fit, by rules of its own.

    `precision` fp16 means weights stored in half and, where the CPU can, activations and arithmetic too; fp32 keeps
    all of that in single precision on every CPU.
    """

    precision: Precision
    winograd: bool = True
    sgemm: bool = True

    @property
    def mask(self) -> int:
        """The bits of ncnn's feature mask that choose a layer's algorithms; those for fp32 depend on its neighbours."""
        return (0 if self.winograd else MASK_NO_WINOGRAD) | (0 if self.sgemm else MASK_NO_SGEMM)

    @property
    def algorithms(self) -> str:
        """In words, what ncnn may not use: "", "no winograd", "no sgemm" or "direct", which is neither."""
        names = {(True, True): "", (False, True): "no winograd", (True, False): "no sgemm"}
        return names.get((self.winograd, self.sgemm), "direct")


FLOAT32, FLOAT16 = Choice("fp32"), Choice("fp16")


def choices_of(layer: Layer, precisions: Collection[Precision]) -> list[Choice]:
    """Return every choice of algorithms that a layer has in each of these precisions.

    A convolution of 3x3, stride 1, may go without winograd, any dense one without sgemm (a 1x1 one ignores that).
    """
    dense = layer.type == "Convolution"
    winograd = (True, False) if dense and has_winograd(layer) else (True,)
    sgemm = (True, False) if dense else (True,)
    return [Choice(precision, w, s) for precision in precisions for w in winograd for s in sgemm]
