"""From a checkpoint or an ONNX file to a bundle.

`request` says what is asked for, `reference` makes the ONNX reference, `samples` the inputs to judge by,
`variants` the ncnn models, `pipeline` puts them into a bundle and skips what has not changed.
"""

from __future__ import annotations

from mobiledeploy.convert.pipeline import convert
from mobiledeploy.convert.request import ConvertRequest
from mobiledeploy.progress import Progress

__all__ = ["ConvertRequest", "Progress", "convert"]
