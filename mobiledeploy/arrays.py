"""The kinds of arrays that go from one part to another."""

from __future__ import annotations

from typing import Any

import numpy as np

UInt8Array = np.ndarray[Any, np.dtype[np.uint8]]
FloatArray = np.ndarray[Any, np.dtype[np.float32]]
