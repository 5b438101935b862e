"""Talking to phones over ADB: by USB, by Wi-Fi, or the virtual phone.

with open_device() as device:
    program = device.store(Path("bench"), executable=True)
    completed = device.run([program, "--version"], timeout_s=10)
"""

from mobiledeploy.device.device import Device
from mobiledeploy.device.discovery import DeviceSummary, list_devices, open_device
from mobiledeploy.device.facts import Core, DeviceFacts
from mobiledeploy.device.shell import Completed
from mobiledeploy.device.state import DeviceState, read_state
from mobiledeploy.device.transport import ConnectionLostError

__all__ = [
    "Completed",
    "ConnectionLostError",
    "Core",
    "Device",
    "DeviceFacts",
    "DeviceState",
    "DeviceSummary",
    "list_devices",
    "open_device",
    "read_state",
]
