"""Android devices on this computer's USB ports, through adb-shell and libusb."""

from __future__ import annotations

import ctypes
from dataclasses import dataclass
from typing import Any

from mobiledeploy.errors import DeviceError


@dataclass(frozen=True)
class UsbDevice:
    """An ADB interface on USB; `serial` is a port such as `usb:1-2` where it may not be read."""

    serial: str
    permitted: bool
    transport: Any


def usb_available() -> bool:
    """Say whether libusb is installed, without which no USB device is seen."""
    return _usb_transport() is not None


def usb_devices() -> list[UsbDevice]:
    """Return the ADB interfaces that are plugged in; none where libusb isn't installed."""
    transport_class = _usb_transport()
    if transport_class is None:
        return []
    return [_describe(transport) for transport in transport_class.find_all_adb_devices()]


def find_usb_device(serial: str) -> UsbDevice:
    """Return the device with that serial; raises DeviceError where it isn't there or not permitted."""
    for device in usb_devices():
        if device.serial == serial:
            if not device.permitted:
                raise DeviceError(
                    f"no permission to use the USB device {serial}",
                    hint="On Linux, install udev rules for Android (package android-sdk-platform-tools-common)\n"
                    "and join the group plugdev; or start `adb start-server` as a user who may.",
                )
            return device
    hint = "`mobiledeploy devices` lists what is there."
    if not usb_available():
        hint += "\nUSB needs libusb (pip install libusb-package), or a running adb server."
    raise DeviceError(f"no device with the serial {serial!r}", hint=hint)


def _usb_transport() -> Any:
    """Return adb-shell's class, or None: importing it loads libusb and fails where there is none."""
    try:
        _load_libusb()
        from adb_shell.transport.usb_transport import UsbTransport
    except (ImportError, OSError):
        return None
    return UsbTransport


def _load_libusb() -> None:
    """Load the system's libusb, or else the one in PyPI's libusb-package: usb1 brings none for Linux."""
    import usb1

    try:
        usb1.loadLibrary()
    except OSError:
        import libusb_package

        usb1.loadLibrary(ctypes.CDLL(str(libusb_package.get_library_path())))


def _describe(transport: Any) -> UsbDevice:
    import usb1

    try:
        return UsbDevice(str(transport.serial_number), True, transport)
    except usb1.USBError:
        bus, *ports = transport.port_path
        return UsbDevice(f"usb:{bus}-{'.'.join(map(str, ports))}", False, transport)
