from __future__ import annotations

import socket
import threading

import pytest

from mobiledeploy.device.adb_server import AdbServer, ListedDevice, configured_server
from mobiledeploy.device.transport import deadline_in
from mobiledeploy.errors import DeviceError, MobileDeployError, TimedOutError, UsageError


@pytest.mark.parametrize(
    ("environment", "server"),
    [
        ({}, AdbServer("127.0.0.1", 5037)),
        ({"ANDROID_ADB_SERVER_PORT": "15037"}, AdbServer("127.0.0.1", 15037)),
        (
            {"ANDROID_ADB_SERVER_ADDRESS": "10.0.0.2", "ANDROID_ADB_SERVER_PORT": "1"},
            AdbServer("10.0.0.2", 1),
        ),
        (
            {"ADB_SERVER_SOCKET": "tcp:5038", "ANDROID_ADB_SERVER_PORT": "15037"},
            AdbServer("127.0.0.1", 5038),
        ),
        ({"ADB_SERVER_SOCKET": "tcp:host:5039"}, AdbServer("host", 5039)),
        ({"ADB_SERVER_SOCKET": "tcp:[::1]:5039"}, AdbServer("::1", 5039)),
    ],
)
def test_the_server_is_where_adb_looks_for_it(environment: dict[str, str], server: AdbServer) -> None:
    assert configured_server(environment) == server


@pytest.mark.parametrize(
    "environment",
    [
        {"ADB_SERVER_SOCKET": "localabstract:adb"},
        {"ADB_SERVER_SOCKET": "tcp:"},
        {"ANDROID_ADB_SERVER_PORT": "port"},
        {"ANDROID_ADB_SERVER_PORT": "65536"},
    ],
)
def test_settings_that_cannot_be_read_are_named(environment: dict[str, str]) -> None:
    with pytest.raises(UsageError, match=next(iter(environment))):
        configured_server(environment)


def server_that_says(*answers: bytes) -> AdbServer:
    """An ADB server that takes one request for each of `answers`, and then closes the connection."""
    listener = socket.create_server(("127.0.0.1", 0))

    def serve() -> None:
        connection, _ = listener.accept()
        with listener, connection:
            for answer in answers:
                size = int(connection.recv(4) or b"0", 16)
                connection.recv(size)
                connection.sendall(answer)

    threading.Thread(target=serve, daemon=True).start()
    return AdbServer("127.0.0.1", listener.getsockname()[1])


def test_every_state_of_a_device_is_read() -> None:
    listing = (
        b"R5CT       device usb:1-2 product:p model:Phone_6 device:d transport_id:1\n"
        b"HT47       unauthorized usb:1-3 transport_id:2\n"
        b"HT48       no permissions (missing udev rules?); see [http://developer.android.com] usb:1-4\n"
        b"127.0.0.1:4000 offline\n"
    )
    server = server_that_says(b"OKAY%04x%s" % (len(listing), listing))
    assert server.devices() == [
        ListedDevice(
            "R5CT",
            "device",
            {"usb": "1-2", "product": "p", "model": "Phone_6", "device": "d", "transport_id": "1"},
        ),
        ListedDevice("HT47", "unauthorized", {"usb": "1-3", "transport_id": "2"}),
        ListedDevice("HT48", "no permission", {}),
        ListedDevice("127.0.0.1:4000", "offline", {}),
    ]


@pytest.mark.parametrize("answer", [b"", b"NOPE", b"OKAYzzzz", b"FAIL0005sorry", b"OKAY0010short"])
def test_a_server_that_answers_nonsense_is_an_error(answer: bytes) -> None:
    with pytest.raises(MobileDeployError):
        server_that_says(answer).devices()


def test_a_failure_keeps_the_servers_words() -> None:
    server = server_that_says(b"OKAY", b"FAIL0006closed")
    with pytest.raises(DeviceError, match="S1: closed"):
        server.open("S1", "sync:", deadline_in(10))


def test_a_server_that_is_silent_runs_into_the_deadline() -> None:
    with socket.create_server(("127.0.0.1", 0)) as listener, pytest.raises(TimedOutError):
        AdbServer("127.0.0.1", listener.getsockname()[1]).open("S1", "sync:", deadline_in(0.2))
