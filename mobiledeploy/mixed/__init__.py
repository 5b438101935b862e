"""Mixed precision: each layer in the precision, and by the algorithm, that pays on the device at hand.

`trials` says what to run so that each layer is seen in every way, `trial` runs it on the device, `prices` learns from
that what a mix would cost, `errors` what each layer's int8 does to the outputs, `search` finds the cheapest mix within
a bound, `confirm` runs whole mixes against each other, and `plan` keeps what was chosen and why.
"""

from __future__ import annotations

from mobiledeploy.mixed.bound import Bound
from mobiledeploy.mixed.mixer import DeviceMixer, PlanMixer
from mobiledeploy.mixed.plan import Plan, read_plan

__all__ = ["Bound", "DeviceMixer", "Plan", "PlanMixer", "read_plan"]
