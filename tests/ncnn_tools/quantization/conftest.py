"""Layers with random weights, for the tests of quantization."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

from ncnn_tools.graph import Layer, new_layer

# activation_type → activation_params, for the six that ncnn fuses
PARAMS: dict[int, tuple[float, ...]] = {2: (0.25,), 3: (-1.0, 2.0), 6: (1 / 6, 0.5)}


def _convolution(
    source: str,
    target: str,
    weight: np.ndarray,
    activation: int = 0,
    kind: str = "Convolution",
    **params: Any,
) -> Layer:
    """Make a convolution or InnerProduct that reads and gives these blobs; `weight` is (outputs, …)."""
    if kind == "ConvolutionDepthWise":
        params["group"] = len(weight)
    if kind != "InnerProduct":
        params.setdefault("kernel_w", weight.shape[-1])
        params.setdefault("pad_left", params["kernel_w"] // 2)
    layer = new_layer(
        kind,
        target,
        [source],
        [target],
        num_output=len(weight),
        weight_data_size=weight.size,
        bias_term=1,
        activation_type=activation,
        activation_params=PARAMS.get(activation, ()),
        **params,
    )
    layer.set_weight("weight", weight)
    layer.set_weight("bias", np.random.default_rng(len(weight)).normal(0, 0.5, len(weight)))
    return layer


@pytest.fixture(scope="session")
def convolution() -> Callable[..., Layer]:
    return _convolution
