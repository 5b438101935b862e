"""From a checkpoint or an ONNX file to a bundle, and from a bundle to another int8 of it.

`request` says what is asked for, `reference` makes the ONNX reference, `samples` the inputs to judge by,
`variants` and `maker` the ncnn models, `pipeline` puts them into a bundle and skips what has not changed; `quantize`
does so for a bundle's int8 alone.
"""

from __future__ import annotations

from mobiledeploy.convert.int8_options import Int8Options
from mobiledeploy.convert.pipeline import convert
from mobiledeploy.convert.quantize import QuantizeRequest, quantize_bundle
from mobiledeploy.convert.request import ConvertRequest
from mobiledeploy.progress import Progress

__all__ = ["ConvertRequest", "Int8Options", "Progress", "QuantizeRequest", "convert", "quantize_bundle"]
