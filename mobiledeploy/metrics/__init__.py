"""How far one output is from another.

`parity` has the plain differences of any two arrays, `mask` the overlap of binary masks, `matting` what the field
says of alpha mattes, `clip` what changes from frame to frame. Each function's docstring gives the definition, the
unit and the source.
"""

from __future__ import annotations

from mobiledeploy.metrics.mask import mask_iou
from mobiledeploy.metrics.parity import cosine, max_abs, mean_abs, top1_agreement

__all__ = ["cosine", "mask_iou", "max_abs", "mean_abs", "top1_agreement"]
