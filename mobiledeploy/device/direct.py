"""A connection of our own to a device, over TCP or USB, on adb-shell.

adb-shell's public methods reach `shell:` only (no exit code, stderr mixed into stdout), lose a failed
push's reason and give up on a command that is silent for ten seconds. Beneath them it has what is
needed: connecting, authorization, packets and stream numbers. This module opens any service as a
stream on those, and reads whatever the device sends while it waits, so that nothing is lost.
"""

from __future__ import annotations

import contextlib
from collections import deque
from collections.abc import Iterator

from adb_shell import constants, exceptions
from adb_shell.adb_device import AdbDevice
from adb_shell.adb_message import AdbMessage
from adb_shell.hidden_helpers import _AdbTransactionInfo
from adb_shell.transport.base_transport import BaseTransport

from mobiledeploy.device.keys import Signer
from mobiledeploy.device.transport import (
    STEP_S,
    ConnectionLostError,
    DeadlineError,
    Kind,
    deadline_in,
    remaining,
)
from mobiledeploy.errors import DeviceError

_WRITE_SIZE = 256 * 1024
_CONNECT_S = 10.0


class DirectTransport:
    """An authorized connection to the device behind `link`.

    `authorization_timeout_s` is how long a user has to accept our key on the phone's screen. Raises
    DeviceError where the device can't be reached or doesn't accept us.
    """

    def __init__(
        self,
        serial: str,
        kind: Kind,
        link: BaseTransport,
        signers: list[Signer],
        *,
        authorization_timeout_s: float,
    ) -> None:
        self.serial = serial
        self.kind: Kind = kind
        self._adb = AdbDevice(link)
        try:
            with _translated(serial):
                self._connect(signers, authorization_timeout_s)
        except BaseException:
            self.close()
            raise

    def _connect(self, signers: list[Signer], authorization_timeout_s: float) -> None:
        asked = False

        def note_question(_: object) -> None:
            nonlocal asked
            asked = True

        try:
            self._adb.connect(
                rsa_keys=signers,
                transport_timeout_s=_CONNECT_S,
                read_timeout_s=_CONNECT_S,
                auth_timeout_s=authorization_timeout_s,
                auth_callback=note_question,
            )
        except (exceptions.TcpTimeoutException, exceptions.AdbTimeoutError) as error:
            if asked:
                raise unauthorized(self.serial) from error
            raise DeviceError(f"{self.serial} is there, but does not answer as an ADB device") from error
        except OSError as error:
            raise DeviceError(
                f"can't connect to {self.serial}: {error.strerror or error}",
                hint="Is the device on, connected, and its USB or wireless debugging switched on?",
            ) from error

    def open(self, service: str, deadline: float) -> DirectStream:
        """Open a service; see `Transport.open`."""
        with _translated(self.serial):
            return DirectStream(self._adb, self.serial, service, deadline)

    def close(self) -> None:
        """End the connection; see `Transport.close`."""
        with contextlib.suppress(Exception):
            self._adb.close()


class DirectStream:
    """One opened service on an `AdbDevice`; see `ByteStream`."""

    def __init__(self, adb: AdbDevice, serial: str, service: str, deadline: float) -> None:
        self._adb = adb
        self._serial = serial
        self._received: deque[bytes] = deque()
        self._may_write = True
        self._ended = False
        self._info = _AdbTransactionInfo(self._next_id(), None)
        self._send(constants.OPEN, service.encode("utf-8", "surrogateescape") + b"\0", deadline)
        command, self._info.remote_id, _ = self._receive((constants.OKAY, constants.CLSE), deadline)
        if command == constants.CLSE:
            raise DeviceError(
                f"{serial} refuses the service {service.partition(':')[0]!r}",
                hint="Android 7 or newer is needed.",
            )

    def _next_id(self) -> int:
        with self._adb._local_id_lock:
            self._adb._local_id += 1
            number: int = self._adb._local_id
        return number

    def read(self, deadline: float) -> bytes:
        """Return the next bytes; see `ByteStream.read`."""
        with _translated(self._serial):
            while not self._received and not self._ended:
                self._step(deadline)
        return self._received.popleft() if self._received else b""

    def write(self, data: bytes, deadline: float) -> None:
        """Send all of `data`; see `ByteStream.write`."""
        size = min(_WRITE_SIZE, self._adb._maxdata)
        with _translated(self._serial):
            for start in range(0, len(data), size):
                self._wait_to_write(deadline)
                self._send(constants.WRTE, data[start : start + size], deadline)
                self._may_write = False

    def _wait_to_write(self, deadline: float) -> None:
        while not self._may_write and not self._ended:
            self._step(deadline)
        if self._ended:
            raise ConnectionLostError(self._serial, "the device closed the stream")

    def close(self) -> None:
        """Close the stream; see `ByteStream.close`."""
        if not self._ended:
            self._ended = True
            with contextlib.suppress(DeviceError, DeadlineError), _translated(self._serial):
                self._send(constants.CLSE, b"", deadline_in(STEP_S))

    def _step(self, deadline: float) -> None:
        """Take one packet, whichever comes."""
        command, _, data = self._receive((constants.OKAY, constants.WRTE, constants.CLSE), deadline)
        if command == constants.OKAY:
            self._may_write = True
        elif command == constants.WRTE:
            self._send(constants.OKAY, b"", deadline)
            if data:
                self._received.append(data)
        else:
            self._ended = True

    def _send(self, command: bytes, data: bytes, deadline: float) -> None:
        self._info.transport_timeout_s = remaining(deadline, self._serial)
        message = AdbMessage(command, self._info.local_id, self._info.remote_id or 0, data)
        self._adb._io_manager.send(message, self._info)

    def _receive(self, commands: tuple[bytes, ...], deadline: float) -> tuple[bytes, int, bytes]:
        """Wait for one of `commands`; return it, the device's stream number, and the payload."""
        left = remaining(deadline, self._serial)
        self._info.transport_timeout_s = self._info.read_timeout_s = left
        command, remote_id, _, data = self._adb._io_manager.read(commands, self._info, allow_zeros=True)
        return command, remote_id, data


def unauthorized(serial: str) -> DeviceError:
    """Return the error for a device that doesn't trust this computer."""
    return DeviceError(
        f"{serial} is unauthorized: it doesn't trust this computer's ADB key",
        hint="Unlock the phone, accept the question on its screen, and run the command again.\n"
        "If nothing is asked: 'Revoke USB debugging authorizations' in its developer options, reconnect.",
    )


@contextlib.contextmanager
def _translated(serial: str) -> Iterator[None]:
    """Turn adb-shell's, libusb's and the socket's errors into ours."""
    try:
        yield
    except (exceptions.TcpTimeoutException, exceptions.AdbTimeoutError) as error:
        raise DeadlineError(serial) from error
    except (exceptions.UsbReadFailedError, exceptions.UsbWriteFailedError, OSError) as error:
        raise ConnectionLostError(serial, str(error)) from error
    except exceptions.InvalidCommandError as error:
        raise _not_understood(serial, str(error)) from error
    except (exceptions.InvalidChecksumError, exceptions.InvalidResponseError, ValueError) as error:
        raise DeviceError(f"{serial} answers, but not as an ADB device does: {error}") from error


def _not_understood(serial: str, detail: str) -> DeviceError:
    if "STLS" in detail:  # adb.h: A_STLS, the start of TLS, which only paired computers may use
        return DeviceError(
            f"{serial} is a wireless debugging port, which takes paired computers only",
            hint="`adb pair HOST:PAIRING_PORT`, then `adb connect HOST:PORT`: "
            "a running adb server's devices are used from here too.",
        )
    return DeviceError(f"{serial} answers, but not as an ADB device does")
