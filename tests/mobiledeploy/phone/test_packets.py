from __future__ import annotations

import socket

import pytest
from adb_shell.adb_message import AdbMessage
from hypothesis import given
from hypothesis import strategies as st

from mobiledeploy.phone.packets import COMMANDS, Packet, ProtocolError, receive

words = st.integers(0, 0xFFFFFFFF)


@given(st.sampled_from(sorted(COMMANDS)), words, words, st.binary(max_size=300))
def test_packets_are_those_of_adb_shell(command: bytes, arg0: int, arg1: int, payload: bytes) -> None:
    theirs = AdbMessage(command, arg0, arg1, payload)
    assert Packet(command, arg0, arg1, payload).encode(checksum=True) == theirs.pack() + payload


@given(st.sampled_from(sorted(COMMANDS)), words, words, st.binary(max_size=300), st.booleans())
def test_what_was_sent_is_received(
    command: bytes, arg0: int, arg1: int, payload: bytes, checksum: bool
) -> None:
    packet = Packet(command, arg0, arg1, payload)
    ours, theirs = socket.socketpair()
    with ours, theirs:
        ours.sendall(packet.encode(checksum=checksum))
        assert receive(theirs, max_payload=300, checksum=checksum) == packet


def test_an_end_between_packets_is_none_and_within_one_an_error() -> None:
    encoded = Packet(b"WRTE", 1, 2, b"payload").encode(checksum=True)
    for sent in range(len(encoded)):
        ours, theirs = socket.socketpair()
        with theirs:
            ours.sendall(encoded[:sent])
            ours.close()
            if sent == 0:
                assert receive(theirs, max_payload=100, checksum=True) is None
            else:
                with pytest.raises(ProtocolError):
                    receive(theirs, max_payload=100, checksum=True)
