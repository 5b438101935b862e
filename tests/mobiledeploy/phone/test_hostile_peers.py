"""Peers that break the protocol are cut off, and harm nobody else."""

from __future__ import annotations

import os
import socket
import struct
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from adb_shell.adb_device import AdbDeviceTcp
from adb_shell.adb_message import AdbMessage, checksum
from adb_shell.auth.sign_cryptography import CryptographySigner

from mobiledeploy.phone import VirtualPhone
from mobiledeploy.phone.connection import MAX_STREAMS

CNXN = AdbMessage(b"CNXN", 0x01000000, 1 << 20, b"host::test\0")


def send(peer: socket.socket, message: AdbMessage) -> None:
    peer.sendall(message.pack() + message.data)


def receive(peer: socket.socket) -> tuple[bytes, int, int, bytes] | None:
    """Return a packet's command, arguments and payload; None at the connection's end."""
    header = _exactly(peer, 24)
    if header is None:
        return None
    command, arg0, arg1, size, total, _ = struct.unpack("<4s5I", header)
    payload = _exactly(peer, size) or b""
    assert checksum(payload) == total
    return command, arg0, arg1, payload


def _exactly(peer: socket.socket, size: int) -> bytes | None:
    data = b""
    while len(data) < size:
        try:
            piece = peer.recv(size - len(data))
        except ConnectionResetError:
            return None
        if not piece:
            return None
        data += piece
    return data


@pytest.fixture
def peer(phone: VirtualPhone) -> Iterator[socket.socket]:
    with socket.create_connection(("127.0.0.1", phone.port), timeout=10) as peer:
        yield peer


@pytest.fixture
def signer(key_home: Path) -> CryptographySigner:
    return CryptographySigner(str(key_home / ".android/adbkey"))


@pytest.fixture
def trusted_peer(peer: socket.socket, signer: CryptographySigner) -> socket.socket:
    greet(peer, signer)
    return peer


def greet(peer: socket.socket, signer: CryptographySigner) -> None:
    send(peer, CNXN)
    answer = receive(peer)
    assert answer is not None
    assert answer[:2] == (b"AUTH", 1)
    send(peer, AdbMessage(b"AUTH", 2, 0, signer.Sign(answer[3])))
    answer = receive(peer)
    assert answer is not None
    assert answer[0] == b"CNXN"


def is_cut_off(peer: socket.socket) -> bool:
    """Read until the phone ends the connection; a phone that keeps it open makes this time out."""
    while receive(peer) is not None:
        pass
    return True


@contextmanager
def still_serving(phone: VirtualPhone, signer: CryptographySigner) -> Iterator[None]:
    yield
    client = AdbDeviceTcp("127.0.0.1", phone.port)
    client.connect([signer])
    assert client.shell("echo alive") == "alive\n"
    client.close()


def _with(message: AdbMessage, **fields: int) -> bytes:
    """Pack a message's header with some of its fields replaced."""
    names = ("command", "arg0", "arg1", "length", "checksum", "magic")
    values = dict(zip(names, struct.unpack("<6I", message.pack()), strict=True))
    return struct.pack("<6I", *{**values, **fields}.values()) + message.data


@pytest.mark.parametrize(
    "data",
    [
        pytest.param(b"GET / HTTP/1.1\r\nHost: localhost\r\n\r\n", id="a browser"),
        pytest.param(os.urandom(4096), id="noise"),
        pytest.param(_with(CNXN, magic=0), id="wrong magic"),
        pytest.param(_with(CNXN, length=0xFFFFFFFF), id="4 GiB announced"),
        pytest.param(_with(CNXN, length=5000), id="more than an unknown peer may send"),
        pytest.param(_with(CNXN, checksum=1), id="wrong checksum"),
        pytest.param(_with(AdbMessage(b"OPEN", 1, 0, b"shell:id\0")), id="OPEN before CNXN"),
        pytest.param(_with(CNXN) + _with(AdbMessage(b"OPEN", 1, 0, b"shell:id\0")), id="OPEN before AUTH"),
        pytest.param(_with(AdbMessage(b"AUTH", 3, 0, b"key\0")), id="AUTH before CNXN"),
        pytest.param(_with(CNXN) + _with(AdbMessage(b"AUTH", 9, 0, b"")), id="AUTH of no known kind"),
        pytest.param(_with(AdbMessage(b"SYNC", 1, 0, b"")), id="a command nobody uses"),
    ],
)
def test_an_unknown_peer_is_cut_off(
    phone: VirtualPhone, peer: socket.socket, signer: CryptographySigner, data: bytes
) -> None:
    with still_serving(phone, signer):
        peer.sendall(data)
        assert is_cut_off(peer)


@pytest.mark.parametrize("key", [b"", b"not base64!\0", b"AAAA user@host\0", b"A" * 700 + b"\0", bytes(700)])
def test_a_key_that_is_none_is_not_trusted(key: bytes) -> None:
    with (
        VirtualPhone(authorization="any") as phone,
        socket.create_connection(("127.0.0.1", phone.port), timeout=10) as peer,
    ):
        send(peer, CNXN)
        receive(peer)
        send(peer, AdbMessage(b"AUTH", 2, 0, b"x" * 256))
        answer = receive(peer)
        assert answer is not None
        assert answer[0] == b"AUTH"
        send(peer, AdbMessage(b"AUTH", 3, 0, key))
        send(peer, AdbMessage(b"OPEN", 1, 0, b"shell:echo no\0"))
        assert is_cut_off(peer)


def test_a_half_packet_harms_nobody(
    phone: VirtualPhone, peer: socket.socket, signer: CryptographySigner
) -> None:
    with still_serving(phone, signer):
        peer.sendall(CNXN.pack()[:10])
        peer.close()


@pytest.mark.parametrize("command", [b"WRTE", b"OKAY", b"CLSE"])
def test_packets_for_unknown_streams_are_passed_over(trusted_peer: socket.socket, command: bytes) -> None:
    send(trusted_peer, AdbMessage(command, 7, 99, b"x" if command == b"WRTE" else b""))
    send(trusted_peer, AdbMessage(b"OPEN", 8, 0, b"shell:echo yes\0"))
    answer = receive(trusted_peer)
    assert answer is not None
    assert answer[0] == b"OKAY"


@pytest.mark.parametrize(
    "service", [b"", b"reboot:", b"root:", b"tcp:80", b"shell", b"\xff\xfe:\x00", b"a" * 9000]
)
def test_unknown_services_are_refused(trusted_peer: socket.socket, service: bytes) -> None:
    send(trusted_peer, AdbMessage(b"OPEN", 5, 0, service + b"\0"))
    assert receive(trusted_peer) == (b"CLSE", 0, 5, b"")


def test_streams_are_bounded(trusted_peer: socket.socket) -> None:
    for index in range(1, MAX_STREAMS + 2):
        send(trusted_peer, AdbMessage(b"OPEN", index, 0, b"shell:exec sleep 60\0"))
    answers = [receive(trusted_peer) for _ in range(MAX_STREAMS + 1)]
    commands = [answer[0] for answer in answers if answer is not None]
    assert commands == [b"OKAY"] * MAX_STREAMS + [b"CLSE"]


def test_a_peer_that_does_not_wait_for_okay_is_cut_off(trusted_peer: socket.socket) -> None:
    send(trusted_peer, AdbMessage(b"OPEN", 1, 0, b"shell:exec sleep 60\0"))
    answer = receive(trusted_peer)
    assert answer is not None
    for _ in range(64):
        try:
            send(trusted_peer, AdbMessage(b"WRTE", 1, answer[1], bytes(4096)))
        except OSError:
            break
    assert is_cut_off(trusted_peer)


def test_a_peer_that_asks_and_never_reads_is_cut_off(phone: VirtualPhone, signer: CryptographySigner) -> None:
    packet = _with(AdbMessage(b"OPEN", 5, 0, b"none:\0"))
    with socket.socket() as peer:
        peer.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)  # full after few answers
        peer.settimeout(60)
        peer.connect(("127.0.0.1", phone.port))
        greet(peer, signer)

        def ask_for_ever() -> None:
            while True:
                peer.sendall(packet * 1000)

        with pytest.raises(ConnectionError):
            ask_for_ever()


@pytest.mark.parametrize(
    "request_bytes",
    [
        pytest.param(b"STAT" + struct.pack("<I", 0xFFFFFFFF), id="a path of 4 GiB"),
        pytest.param(b"NONE" + struct.pack("<I", 0), id="an unknown request"),
        pytest.param(
            b"SEND" + struct.pack("<I", 21) + b"/data/local/tmp/f,420" + b"DATA" + struct.pack("<I", 1 << 30),
            id="a piece of 1 GiB",
        ),
        pytest.param(b"SEND" + struct.pack("<I", 17) + b"/data/local/tmp/f" + b"DONE\0\0\0\0", id="no mode"),
        pytest.param(b"RECV" + struct.pack("<I", 3) + b"/\0x", id="a NUL in a path"),
    ],
)
def test_bad_file_requests_fail_in_words(
    phone: VirtualPhone, trusted_peer: socket.socket, request_bytes: bytes
) -> None:
    send(trusted_peer, AdbMessage(b"OPEN", 1, 0, b"sync:\0"))
    answer = receive(trusted_peer)
    assert answer is not None
    send(trusted_peer, AdbMessage(b"WRTE", 1, answer[1], request_bytes))
    answers = [receive(trusted_peer), receive(trusted_peer)]
    assert b"FAIL" in b"".join(answer[3] for answer in answers if answer is not None)
    assert list((phone.root / "data/local/tmp").iterdir()) == []
