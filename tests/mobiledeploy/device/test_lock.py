"""One run at a time on a device, across processes."""

from __future__ import annotations

import subprocess
import sys

import pytest

from mobiledeploy.device.lock import device_lock
from mobiledeploy.errors import DeviceError

HOLD = """
import sys
from mobiledeploy.device.lock import device_lock
with device_lock(sys.argv[1]):
    print("held", flush=True)
    sys.stdin.read()
"""


@pytest.fixture
def holder():
    with subprocess.Popen(
        [sys.executable, "-c", HOLD, "usb:1/2"], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    ) as process:
        assert process.stdout.readline() == "held\n"
        yield process
        process.kill()


def test_another_process_is_named(holder) -> None:
    with pytest.raises(DeviceError, match=f"usb:1/2 is busy: process {holder.pid}"), device_lock("usb:1/2"):
        pass
    with device_lock("another"):
        pass


def test_a_killed_process_holds_nothing(holder) -> None:
    holder.kill()
    holder.wait()
    with device_lock("usb:1/2"):
        pass


def test_it_can_be_taken_again() -> None:
    for _ in range(2):
        with device_lock("x"):
            pass
