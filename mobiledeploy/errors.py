"""What can go wrong, with the exit code that the command line gives it.

An error says what happened and where (its message) and what to do next (its hint).
"""

from __future__ import annotations


class MobileDeployError(Exception):
    """The base of every error that a user may see; `exit_code` is the process's exit status.

    `hint` is the next step, one or more lines, or empty.
    """

    exit_code = 1

    def __init__(self, message: str, *, hint: str = "") -> None:
        super().__init__(message)
        self.message = message
        self.hint = hint


class CheckFailedError(MobileDeployError):
    """A check that was asked for did not hold: parity, a regression."""

    exit_code = 1


class UsageError(MobileDeployError):
    """The request itself is wrong: a bad option, a file that is not there."""

    exit_code = 2


class DeviceError(MobileDeployError):
    """No usable device: none found, several and no choice, unauthorized, unreachable, full."""

    exit_code = 3


class ConversionError(MobileDeployError):
    """The checkpoint or ONNX file can't be turned into a bundle."""

    exit_code = 4


class DeviceRunError(MobileDeployError):
    """The device was reached, but the run on it failed."""

    exit_code = 5


class TimedOutError(MobileDeployError):
    """A step on the device took longer than its limit."""

    exit_code = 6
