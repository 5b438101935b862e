"""Which layers int8 costs most, and why.

`execute` tries every layer of a bundle's int8 alone, `figures` is what that finds.
"""

from __future__ import annotations

from mobiledeploy.sensitivity.execute import sensitivity
from mobiledeploy.sensitivity.figures import LayerFigures, Sensitivity

__all__ = ["LayerFigures", "Sensitivity", "sensitivity"]
