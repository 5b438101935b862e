"""The virtual phone: this computer as an ADB device, for demos, tests and work without a phone."""

from mobiledeploy.phone.virtual_phone import VirtualPhone

__all__ = ["VirtualPhone"]
