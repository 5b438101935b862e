"""A stream of bytes within a connection, as a service of the virtual phone sees it.

ADB's flow control is one packet at a time in each direction: after a WRTE its sender waits for an
OKAY. The OKAY for what the peer wrote goes out when the service takes the bytes, so a slow service
slows its peer down and nothing piles up.
"""

from __future__ import annotations

import threading
from collections import deque
from collections.abc import Callable

from mobiledeploy.phone.packets import CLSE, OKAY, WRTE, Packet, ProtocolError


class StreamClosedError(Exception):
    """The peer closed the stream, or its connection ended."""


class Stream:
    """One stream; `read`, `read_exactly`, `write` and `close` are for the service's own threads.

    `send` puts a packet on its way without waiting, `forget` takes the stream out of its
    connection's table. `take`, `acknowledge` and `hang_up` are called by the connection's reader
    and never wait.
    """

    def __init__(
        self,
        local_id: int,
        remote_id: int,
        *,
        max_payload: int,
        send: Callable[[Packet], None],
        forget: Callable[[int], None],
    ) -> None:
        self.local_id = local_id
        self.remote_id = remote_id
        self._on_hang_up: Callable[[], None] = lambda: None
        self._hung_up = False
        self._max_payload = max_payload
        self._send = send
        self._forget = forget
        self._changed = threading.Condition()
        self._writing = threading.Lock()
        self._inbox: deque[bytes] = deque()
        self._rest = b""
        self._may_write = True
        self._closed = False

    def read(self) -> bytes:
        """Wait for the peer's next bytes; empty at the stream's end."""
        if self._rest:
            data, self._rest = self._rest, b""
            return data
        with self._changed:
            self._changed.wait_for(lambda: self._inbox or self._closed)
            if not self._inbox:
                return b""
            data = self._inbox.popleft()
            if not self._closed:
                self._send(Packet(OKAY, self.local_id, self.remote_id))
        return data

    def read_exactly(self, size: int) -> bytes:
        """Wait for `size` bytes; raises StreamClosedError where the stream ends before them."""
        pieces = []
        missing = size
        while missing > 0:
            data = self.read()
            if not data:
                raise StreamClosedError
            pieces.append(data[:missing])
            self._rest = data[missing:]
            missing -= len(pieces[-1])
        return b"".join(pieces)

    def write(self, data: bytes) -> None:
        """Send `data` in packets, each when the one before it was taken; raises StreamClosedError."""
        with self._writing:  # two threads' data may follow each other, but not mix
            for start in range(0, len(data), self._max_payload):
                with self._changed:
                    self._changed.wait_for(lambda: self._may_write or self._closed)
                    if self._closed:
                        raise StreamClosedError
                    self._may_write = False
                    piece = data[start : start + self._max_payload]
                    self._send(Packet(WRTE, self.local_id, self.remote_id, piece))

    def close(self) -> None:
        """End the stream from our side, once."""
        with self._changed:
            if self._closed:
                return
            self._closed = True
            self._changed.notify_all()
            self._send(Packet(CLSE, self.local_id, self.remote_id))
        self._forget(self.local_id)

    def on_hang_up(self, callback: Callable[[], None]) -> None:
        """Call `callback`, which must not wait, once the peer closes the stream; now if it has."""
        with self._changed:
            self._on_hang_up = callback
            hung_up = self._hung_up
        if hung_up:
            callback()

    def take(self, data: bytes) -> None:
        """Put down what the peer wrote; raises ProtocolError where it didn't wait for our OKAY."""
        with self._changed:
            if self._inbox:
                raise ProtocolError("a WRTE before the OKAY to the one before it")
            if data and not self._closed:
                self._inbox.append(data)
                self._changed.notify_all()

    def acknowledge(self) -> None:
        """Note that the peer took our last packet."""
        with self._changed:
            self._may_write = True
            self._changed.notify_all()

    def hang_up(self) -> None:
        """End the stream from the peer's side, and tell the service (see `on_hang_up`)."""
        with self._changed:
            if self._closed:
                return
            self._closed = self._hung_up = True
            self._changed.notify_all()
            on_hang_up = self._on_hang_up
        self._forget(self.local_id)
        on_hang_up()
