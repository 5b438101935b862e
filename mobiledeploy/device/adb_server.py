"""Devices behind an ADB server that is already running, through adbutils' client of its protocol.

A running server owns the USB interfaces, and it alone does Wi-Fi pairing; so where there is one, its
devices are reached through it. None is ever started or stopped here.
"""

from __future__ import annotations

import contextlib
import os
import socket
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from adbutils import AdbConnection, AdbError, AdbTimeout

from mobiledeploy.device.direct import unauthorized
from mobiledeploy.device.transport import ConnectionLostError, DeadlineError, Kind, remaining
from mobiledeploy.errors import DeviceError, UsageError

_CONNECT_S = 3.0
_READ_SIZE = 256 * 1024


class _Connection(AdbConnection):  # type: ignore[misc]  # adbutils is not checked for types
    """A connection to a server; adbutils' own starts a server where none listens."""

    def _safe_connect(self) -> Any:
        return self._create_socket()


@dataclass(frozen=True)
class ListedDevice:
    """A line of `adb devices -l`: `details` holds fields such as model and product."""

    serial: str
    state: str
    details: dict[str, str]


@dataclass(frozen=True)
class AdbServer:
    """Where a server listens."""

    host: str
    port: int

    def is_listening(self) -> bool:
        """Say whether anything listens there; takes at most a second."""
        try:
            socket.create_connection((self.host, self.port), timeout=1.0).close()
        except OSError:
            return False
        return True

    def devices(self) -> list[ListedDevice]:
        """Return the devices that the server knows; raises DeviceError where it doesn't answer."""
        with self._errors(), self._connect() as connection:
            connection.send_command("host:devices-l")
            connection.check_okay()
            size = int(connection.read_exact(4), 16)  # four hexadecimal digits
            listing = connection.read_exact(size).decode("utf-8", "replace")
        return [_parse_line(line) for line in listing.splitlines() if line.strip()]

    def open(self, serial: str, service: str, deadline: float) -> ServerStream:
        """Open a service of one device; raises DeviceError where server or device refuse it."""
        with self._errors(serial), contextlib.ExitStack() as stack:
            connection = stack.enter_context(self._connect())
            connection.conn.settimeout(remaining(deadline, serial))
            for command in (f"host:transport:{serial}", service):
                connection.send_command(command)
                connection.check_okay()
            stack.pop_all()
        return ServerStream(connection, serial)

    def _connect(self) -> _Connection:
        connection = _Connection(self.host, self.port)
        connection.conn.settimeout(_CONNECT_S)
        return connection

    @contextlib.contextmanager
    def _errors(self, serial: str = "") -> Iterator[None]:
        """Turn adbutils' and the socket's errors into ours."""
        name = serial or f"the adb server on {self.host}:{self.port}"
        try:
            yield
        except (AdbTimeout, TimeoutError) as error:
            raise DeadlineError(name) from error
        except AdbError as error:
            if "unauthorized" in str(error):
                raise unauthorized(serial) from error
            raise DeviceError(f"{name}: {error}", hint="See `adb devices -l`.") from error
        except (OSError, EOFError, ValueError) as error:
            raise ConnectionLostError(name, str(error)) from error


class ServerStream:
    """One service of a device, over a connection to the server; see `ByteStream`."""

    def __init__(self, connection: _Connection, serial: str) -> None:
        self._connection = connection
        self._serial = serial

    def read(self, deadline: float) -> bytes:
        """Return the next bytes; see `ByteStream.read`."""
        with self._errors(deadline) as connected:
            data: bytes = connected.recv(_READ_SIZE)
        return data

    def write(self, data: bytes, deadline: float) -> None:
        """Send all of `data`; see `ByteStream.write`."""
        with self._errors(deadline) as connected:
            connected.sendall(data)

    def close(self) -> None:
        """Close the stream; see `ByteStream.close`."""
        self._connection.close()

    @contextlib.contextmanager
    def _errors(self, deadline: float) -> Iterator[socket.socket]:
        connected: socket.socket = self._connection.conn
        connected.settimeout(remaining(deadline, self._serial))
        try:
            yield connected
        except TimeoutError as error:
            raise DeadlineError(self._serial) from error
        except OSError as error:
            raise ConnectionLostError(self._serial, str(error)) from error


class ServerTransport:
    """One device of a server; see `Transport`."""

    def __init__(self, server: AdbServer, serial: str) -> None:
        self.serial = serial
        self.kind: Kind = "tcp" if ":" in serial or "._adb" in serial else "usb"
        self._server = server

    def open(self, service: str, deadline: float) -> ServerStream:
        """Open a service; see `Transport.open`."""
        return self._server.open(self.serial, service, deadline)

    def close(self) -> None:
        """Nothing stays open between services."""


def configured_server(environment: Mapping[str, str] = os.environ) -> AdbServer:
    """Return where adb itself would look for its server.

    `ADB_SERVER_SOCKET` (tcp:PORT or tcp:HOST:PORT) comes before `ANDROID_ADB_SERVER_ADDRESS` and
    `ANDROID_ADB_SERVER_PORT`; the default is 127.0.0.1:5037. Raises UsageError for a setting that
    can't be read.
    """
    name = "ADB_SERVER_SOCKET"
    setting = environment.get(name, "")
    if setting:
        kind, _, address = setting.partition(":")
        if kind != "tcp":
            raise UsageError(f"{name} is {setting!r}: only the forms tcp:PORT and tcp:HOST:PORT are known")
        host, _, port = address.rpartition(":")
    else:
        name = "ANDROID_ADB_SERVER_PORT"
        host = environment.get("ANDROID_ADB_SERVER_ADDRESS", "")
        port = environment.get(name, "") or "5037"
    if not (port.isascii() and port.isdigit()) or not 0 < int(port) < 65536:
        raise UsageError(f"{name} names no port: {environment.get(name)!r}")
    return AdbServer(host.strip("[]") or "127.0.0.1", int(port))


def _parse_line(line: str) -> ListedDevice:
    """Read `SERIAL STATE key:value …`, where the state may be `no permissions (reason); see …`."""
    serial, _, rest = line.strip().partition(" ")
    rest = rest.strip()
    if rest.startswith("no permissions"):
        return ListedDevice(serial, "no permission", {})
    state, *fields = rest.split() or ["unknown"]
    return ListedDevice(serial, state, dict(field.split(":", 1) for field in fields if ":" in field))
