"""The device to work on: a phone where there is one, else a virtual phone for as long as it is needed."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from mobiledeploy.device import Device, list_devices, open_device
from mobiledeploy.errors import UsageError
from mobiledeploy.phone import VirtualPhone


@contextmanager
def phone_or_virtual(serial: str | None) -> Iterator[Device]:
    """Open the device that was asked for, or the only one, or a virtual phone where none is connected.

    Raises DeviceError as `open_device` does, also where a connected phone can't be used: a phone that asks for
    authorization is not passed over in silence.
    """
    import os

    if serial or os.environ.get("ANDROID_SERIAL") or list_devices():
        with open_device(serial) as device:
            yield device
        return
    with VirtualPhone() as phone, open_device(phone.serial) as device:
        yield device


@contextmanager
def chosen_device(serial: str | None, cpu: str | None, *, emulated: bool) -> Iterator[Device]:
    """Open a virtual phone that emulates `cpu`, or, without one, what `phone_or_virtual` does.

    With `emulated` a real phone is of no use: where no device was asked for, one is emulated with the default CPU.
    Raises UsageError where both a device and a CPU are given.
    """
    import os

    if serial and cpu:
        raise UsageError("--serial names a device, and --cpu one to be emulated: choose one")
    if cpu or (emulated and not (serial or os.environ.get("ANDROID_SERIAL"))):
        with (
            VirtualPhone(abi=None if cpu else "arm64-v8a", cpu=cpu) as phone,
            open_device(phone.serial) as device,
        ):
            yield device
        return
    with phone_or_virtual(serial) as device:
        yield device
