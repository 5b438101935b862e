"""Pictures and videos in which the person keeps their colours and the background does not.

`network` computes alpha on this computer or a device, `refine` brings it to the picture's size, `compose` puts the
person before a background; `photo`, `animation` and `video` read and write, `pipeline` joins them; `sheet` shows a
bundle's variants beside each other.
"""

from __future__ import annotations

from mobiledeploy.portrait.compose import background_of
from mobiledeploy.portrait.network import DeviceNetwork, HostNetwork
from mobiledeploy.portrait.pipeline import Studio, portrait, process
from mobiledeploy.portrait.sheet import contact_sheet, write_sheet

__all__ = [
    "DeviceNetwork",
    "HostNetwork",
    "Studio",
    "background_of",
    "contact_sheet",
    "portrait",
    "process",
    "write_sheet",
]
