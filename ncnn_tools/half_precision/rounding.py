"""fp16 numbers: 65504 at most, 11 bits, 6e-8 at least (IEEE 754 binary16)."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

Array = npt.NDArray[np.float32]

_FP16 = np.finfo(np.float16)
LARGEST = float(_FP16.max)  # 65504
SMALLEST_NORMAL = float(_FP16.tiny)  # 6.1e-5: below it bits are lost


def to_half(values: Array) -> Array:
    """Round float32 values to fp16, to the nearest and ties to even, as ARM converts them: infinite beyond it."""
    with np.errstate(over="ignore", under="ignore", invalid="ignore"):
        halves: Array = values.astype(np.float16).astype(np.float32)
    return halves
