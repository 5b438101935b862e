"""What `sensitivity` finds: each layer's figures, and those of all int8 layers together."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any

from mobiledeploy.bundle import Bundle
from ncnn_tools.quantization import ErrorSources

# What each trial is measured by: error power relative to the signal's, and of the mattes mean |error| and mask IoU.
NOISE, ALPHA_MAE, MASK_IOU = "noise_to_signal", "alpha_mae", "mask_iou"


@dataclass(frozen=True)
class LayerFigures:
    """An int8 layer: what it is, what it alone does to the outputs, and where that comes from.

    `kernel` is in words, `channels` of input and output (values, for InnerProduct), `size` the height and width of
    the output (none for InnerProduct), `macs` multiply-adds. `errors` are means over the inputs, by the names above.
    """

    name: str
    type: str
    kernel: str
    channels: tuple[int, int]
    size: tuple[int, ...]
    macs: int
    errors: Mapping[str, float]
    sources: ErrorSources

    @property
    def snr_db(self) -> float:
        """The SNR of the outputs with this layer alone in int8."""
        return to_db(self.errors[NOISE])


@dataclass(frozen=True)
class Sensitivity:
    """All int8 layers of a bundle, the worst first.

    `inputs` of `available` were tried, from `source` (a folder, or "samples"). `together` are the errors with all
    int8 layers at once, without chains. `macs` are those of the whole network.
    """

    bundle: Bundle
    source: str
    inputs: int
    available: int
    layers: tuple[LayerFigures, ...]
    together: Mapping[str, float]
    macs: int

    @property
    def noise(self) -> float:
        """The sum of what each layer adds."""
        return sum(layer.errors[NOISE] for layer in self.layers)

    def share(self, layer: LayerFigures) -> float:
        """Return a layer's part of that sum, in 0..1."""
        return layer.errors[NOISE] / self.noise if self.noise else 0.0

    def to_json(self) -> dict[str, Any]:
        """Return all figures; None for an SNR that is infinite."""
        return {
            "bundle": str(self.bundle.path),
            "source": self.source,
            "inputs": self.inputs,
            "available": self.available,
            "macs": self.macs,
            "together": _with_snr(self.together),
            "layers": [
                {
                    "name": layer.name,
                    "type": layer.type,
                    "kernel": layer.kernel,
                    "channels": list(layer.channels),
                    "size": list(layer.size),
                    "macs": layer.macs,
                    **_with_snr(layer.errors),
                    "error_share": self.share(layer),
                    "sources": {
                        **asdict(layer.sources),
                        "peak_to_rms": layer.sources.peak_to_rms,
                        "steps": layer.sources.steps,
                    },
                }
                for layer in self.layers
            ],
        }


def to_db(noise: float) -> float:
    """Return the SNR in dB for a ratio of error power to signal power."""
    return -10 * math.log10(noise) if noise else math.inf


def _with_snr(errors: Mapping[str, float]) -> dict[str, float | None]:
    snr = to_db(errors[NOISE])
    return {**errors, "snr_db": snr if math.isfinite(snr) else None}
