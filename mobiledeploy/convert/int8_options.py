"""By which methods an int8 variant is made."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import Any

from mobiledeploy.errors import UsageError
from ncnn_tools.calibration import Method
from ncnn_tools.quantization import WEIGHT_THRESHOLDS, QuantizeOptions


@dataclass(frozen=True)
class Int8Options:
    """The methods of an int8 variant; `convert` takes the defaults, which measured better (`docs/quantization.md`).

    `method` (read by `ncnn_tools.calibration.Method.parse`) says where activations are clipped, and `weights`, a key
    of WEIGHT_THRESHOLDS, where weights are. `equalize` evens out channels before calibrating. `center` shifts what is
    never negative so that it uses all of int8 (`ncnn_tools.quantization.centering`), which takes `bias_correction`.
    The others are those of `ncnn_tools.quantization.QuantizeOptions`.
    """

    method: str = "mse"
    weights: str = "absmax"
    bias_correction: bool = True
    rounding: bool = False
    equalize: bool = False
    center: bool = True
    chains: bool = True

    def check(self) -> None:
        """Raise UsageError for a method that there is not."""
        try:
            Method.parse(self.method)
        except ValueError as error:
            raise UsageError(str(error)) from error
        if self.weights not in WEIGHT_THRESHOLDS:
            raise UsageError(
                f"weights are not clipped by {self.weights!r}",
                hint=f"Choose of {', '.join(WEIGHT_THRESHOLDS)}.",
            )

    @property
    def quantize_options(self) -> QuantizeOptions:
        """The same for `ncnn_tools.quantization.quantize`, which gets a graph that is equalized and centered."""
        return QuantizeOptions(
            weight_thresholds=self.weights,
            rounding=self.rounding,
            bias_correction=self.bias_correction,
            chains=self.chains,
        )

    def to_json(self) -> dict[str, Any]:
        """Return what the manifest says of the methods."""
        return asdict(self)
