"""The virtual phone: this computer as an ADB device, for demos, tests and work without a phone."""

from mobiledeploy.phone.faults import (
    Busy,
    Corrupt,
    Cut,
    Fault,
    Full,
    Hang,
    Kill,
    Offline,
    RefuseKeys,
    Slow,
    Throttle,
    Truncate,
    format_fault,
    parse_fault,
)
from mobiledeploy.phone.stage import Injection
from mobiledeploy.phone.virtual_phone import VirtualPhone

__all__ = [
    "Busy",
    "Corrupt",
    "Cut",
    "Fault",
    "Full",
    "Hang",
    "Injection",
    "Kill",
    "Offline",
    "RefuseKeys",
    "Slow",
    "Throttle",
    "Truncate",
    "VirtualPhone",
    "format_fault",
    "parse_fault",
]
