"""Where the time of a network goes: each layer on the device, held against what the device could do at most.

`execute` has it measured, `figures` turns times into figures, `roofline` knows the device's limits, `record` keeps
it all as one document, and `trace` writes it for a timeline viewer.
"""

from __future__ import annotations

from mobiledeploy.profile.execute import METHOD, QUICK_METHOD, profile
from mobiledeploy.profile.record import Profile, write_profile
from mobiledeploy.profile.trace import write_trace

__all__ = ["METHOD", "QUICK_METHOD", "Profile", "profile", "write_profile", "write_trace"]
