"""Which devices there are, and opening one of them.

Devices come from three places: an ADB server that is running, USB where no server is (a server keeps
the interfaces to itself), and virtual phones that were started by hand.
"""

from __future__ import annotations

import os
from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal

from mobiledeploy.device.adb_server import AdbServer, ListedDevice, ServerTransport, configured_server
from mobiledeploy.device.device import Device
from mobiledeploy.device.direct import DirectTransport, unauthorized
from mobiledeploy.device.keys import load_signers
from mobiledeploy.device.links import TcpLink, UsbLink
from mobiledeploy.device.registry import registered_phones
from mobiledeploy.device.stabilize import restore_pending
from mobiledeploy.device.transport import Transport
from mobiledeploy.device.usb import find_usb_device, usb_available, usb_devices
from mobiledeploy.errors import DeviceError

State = Literal["device", "unauthorized", "offline", "no permission"]

AUTHORIZATION_TIMEOUT_S = 10.0


@dataclass(frozen=True)
class DeviceSummary:
    """A device that was found, before anything is opened.

    `transport` is the way to it: an ADB server, our own USB or TCP connection. A USB device counts
    as "device" until it is opened, because only the device knows whether it trusts us.
    """

    serial: str
    transport: Literal["server", "usb", "tcp"]
    state: State
    description: str


def list_devices() -> list[DeviceSummary]:
    """Return the devices that are there, each once; takes a second at most."""
    server = configured_server()
    if server.is_listening():
        found = [_from_server(device) for device in server.devices()]
    else:
        found = [
            DeviceSummary(device.serial, "usb", "device" if device.permitted else "no permission", "USB")
            for device in usb_devices()
        ]
    known = {device.serial for device in found}
    phones = [phone for phone in registered_phones() if phone.serial not in known]
    return found + [DeviceSummary(phone.serial, "tcp", "device", phone.model) for phone in phones]


def open_device(
    serial: str | None = None, *, authorization_timeout_s: float = AUTHORIZATION_TIMEOUT_S
) -> Device:
    """Open a device by its serial (HOST:PORT for TCP), and check that it answers and trusts us.

    None takes `$ANDROID_SERIAL`, else the only device there is. A serial that a running ADB server
    knows is reached through that server. `authorization_timeout_s` is how long a user has to accept
    this computer's key on the phone. What an earlier process changed on the device and could not put back is
    put back first (see `stabilize`), and kept in `Device.restored`. Raises DeviceError where there is no such
    device, none at all, several and no choice, or where it can't be used.
    """
    chosen = serial or os.environ.get("ANDROID_SERIAL") or _only_serial()
    connect = _way_to(chosen, authorization_timeout_s)
    transport = connect()
    waiting = [transport]
    device = Device(lambda: waiting.pop() if waiting else connect())
    try:
        device.restored = restore_pending(device)
    except BaseException:
        device.close()
        raise
    return device


def _from_server(device: ListedDevice) -> DeviceSummary:
    states: dict[str, State] = {
        "device": "device",
        "unauthorized": "unauthorized",
        "no permission": "no permission",
    }
    model = device.details.get("model", "").replace("_", " ")
    state = states.get(device.state, "offline")
    # Of the server's other states (recovery, sideload, connecting, …) none can run a program.
    note = "" if state == "offline" and device.state == "offline" else f" ({device.state})"
    description = model + (note if state == "offline" else "")
    return DeviceSummary(device.serial, "server", state, description.strip() or "ADB server")


def _only_serial() -> str:
    devices = list_devices()
    if len(devices) == 1:
        return devices[0].serial
    if devices:
        lines = [f"{device.serial}  {device.state}  {device.description}" for device in devices]
        raise DeviceError(
            f"{len(devices)} devices and no choice", hint="Choose one with -s SERIAL:\n" + "\n".join(lines)
        )
    hint = (
        "Connect a phone by USB with USB debugging switched on, name one on the network with\n"
        "-s HOST:PORT, or start a virtual phone with `mobiledeploy phone`."
    )
    if not usb_available():
        hint += "\nUSB needs libusb (package libusb-1.0-0), or a running adb server."
    raise DeviceError("no device found", hint=hint)


def _way_to(serial: str, authorization_timeout_s: float) -> Callable[[], Transport]:
    """Return what connects to a device: through a running server that knows it, else directly."""
    server = configured_server()
    if server.is_listening():
        listed = {device.serial: device for device in server.devices()}
        if serial in listed:
            return lambda: _through_server(server, listed[serial])
    address = parse_address(serial)

    def connect() -> Transport:
        signers = load_signers()
        timeout = authorization_timeout_s
        if address is not None:
            link = TcpLink(*address)
            return DirectTransport(serial, "tcp", link, signers, authorization_timeout_s=timeout)
        usb = UsbLink(find_usb_device(serial).transport, serial)
        return DirectTransport(serial, "usb", usb, signers, authorization_timeout_s=timeout)

    return connect


def _through_server(server: AdbServer, device: ListedDevice) -> Transport:
    if device.state == "unauthorized":
        raise unauthorized(device.serial)
    if device.state != "device":
        raise DeviceError(
            f"{device.serial} is {device.state}",
            hint="Reconnect it, and see `adb devices -l`.",
        )
    return ServerTransport(server, device.serial)


def parse_address(serial: str) -> tuple[str, int] | None:
    """Return host and port of a serial like `192.168.1.5:5555` or `[::1]:5555`; None for a USB serial."""
    host, colon, port = serial.rpartition(":")
    if not colon or not host or not (port.isascii() and port.isdigit()) or not 0 < int(port) < 65536:
        return None
    return host.strip("[]"), int(port)
