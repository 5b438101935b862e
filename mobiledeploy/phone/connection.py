"""One computer's connection to the virtual phone: handshake, authorization, and many streams at once.

A reader thread takes packets and never waits for anything but the next one; a writer thread sends
what is queued; each service runs in a thread of its own. So no slow service or slow peer can hold up
another stream, and the two sides can't wait for each other in a circle.
"""

from __future__ import annotations

import contextlib
import queue
import threading
from collections.abc import Callable

from mobiledeploy.phone.authorization import Authorization
from mobiledeploy.phone.faults import Offline, RefuseKeys, Slow
from mobiledeploy.phone.line import Line
from mobiledeploy.phone.packets import (
    AUTH,
    AUTH_PUBLIC_KEY,
    AUTH_SIGNATURE,
    AUTH_TOKEN,
    CLSE,
    CNXN,
    MAX_PAYLOAD,
    MAX_PAYLOAD_V1,
    OKAY,
    OPEN,
    VERSION_CHECKSUM,
    VERSION_NO_CHECKSUM,
    WRTE,
    Packet,
    ProtocolError,
    receive,
)
from mobiledeploy.phone.stage import Stage
from mobiledeploy.phone.streams import Stream, StreamClosedError

Service = Callable[[Stream], None]
FindService = Callable[[str], Service | None]

MAX_STREAMS = 64
MAX_QUEUED_PACKETS = 1024  # a peer that makes us answer and never reads is cut off
_JOIN_S = 5.0


class Connection:
    """Serves one accepted line until the peer leaves, breaks the protocol, or `stop` is called.

    `banner` is what CNXN carries (system type, properties, features); `find_service` returns what
    serves a name like `shell:ls`, or None where there is no such service; `stage` holds the faults.
    """

    def __init__(
        self,
        line: Line,
        *,
        stage: Stage,
        banner: bytes,
        authorization: Authorization,
        find_service: FindService,
    ) -> None:
        self.line = line
        self._stage = stage
        self._banner = banner
        self._authorization = authorization
        self._find_service = find_service
        self._stopping = threading.Event()
        self._authorized = False
        self._refusing = False
        self._token = b""
        self._version = VERSION_CHECKSUM
        self._max_payload = MAX_PAYLOAD_V1
        self._streams: dict[int, Stream] = {}
        self._services: set[threading.Thread] = set()
        self._streams_lock = threading.Lock()
        self._last_id = 0
        self._outgoing: queue.Queue[Packet | None] = queue.Queue(MAX_QUEUED_PACKETS)

    def serve(self) -> None:
        """Read packets until the connection ends; then end all its streams."""
        writer = threading.Thread(target=self._write_packets, name="adb-writer", daemon=True)
        writer.start()
        try:
            self._read_packets()
        except (OSError, ProtocolError):
            pass  # a connection that breaks simply ends, as adbd's does
        finally:
            self.stop()
            with self._streams_lock:
                streams = list(self._streams.values())
            for stream in streams:
                stream.hang_up()
            writer.join(_JOIN_S)
            self.line.close()  # before the services end, which may hang: the peer learns now that we are gone
            for service in self._services:
                service.join(_JOIN_S)

    def stop(self) -> None:
        """End the connection from our side; may be called from any thread, more than once."""
        self._stopping.set()
        self.line.stop()
        with contextlib.suppress(queue.Full):
            self._outgoing.put_nowait(None)

    def _read_packets(self) -> None:
        handlers = {OPEN: self._open, OKAY: self._okay, WRTE: self._write, CLSE: self._close}
        while not self._stopping.is_set():  # after a shutdown, what a peer goes on sending can still be read
            limit = MAX_PAYLOAD if self._authorized else MAX_PAYLOAD_V1
            checksum = self._version < VERSION_NO_CHECKSUM
            packet = receive(self.line, max_payload=limit, checksum=checksum)
            if packet is None:
                return
            if packet.command == CNXN:
                self._greet(packet)
            elif packet.command == AUTH:
                self._authorize(packet)
            elif self._authorized:
                handlers[packet.command](packet)
            else:
                raise ProtocolError(f"{packet.command!r} before authorization")

    def _write_packets(self) -> None:
        try:
            while (packet := self._outgoing.get()) is not None:
                # Until a peer has seen our CNXN it can't know our version: those carry checksums.
                checksum = packet.command in (AUTH, CNXN) or self._version < VERSION_NO_CHECKSUM
                self._stopping.wait(sum(slow.fault.ms for slow in self._stage.active(Slow)) / 1000)
                self.line.sendall(packet.encode(checksum=checksum))
        except OSError:
            self.stop()

    def _send(self, packet: Packet) -> None:
        try:
            self._outgoing.put_nowait(packet)
        except queue.Full:
            self.stop()

    # Handshake

    def _greet(self, packet: Packet) -> None:
        if self._authorized:
            raise ProtocolError("a second CNXN")
        if self._stage.strike(Offline, lambda fault: fault.stage == "greeting"):
            return
        self._refusing = self._stage.strike(RefuseKeys) is not None
        self._version = min(max(packet.arg0, VERSION_CHECKSUM), VERSION_NO_CHECKSUM)
        self._max_payload = min(max(packet.arg1, MAX_PAYLOAD_V1), MAX_PAYLOAD)
        self._ask_for_signature()

    def _ask_for_signature(self) -> None:
        self._token = self._authorization.new_token()
        self._send(Packet(AUTH, AUTH_TOKEN, 0, self._token))

    def _authorize(self, packet: Packet) -> None:
        """Take a signature or a key; a key that isn't trusted gets no answer, as from adbd."""
        if self._authorized or not self._token:
            raise ProtocolError("an AUTH out of turn")
        if packet.arg0 == AUTH_SIGNATURE:
            if not self._refusing and self._authorization.verify(self._token, packet.payload):
                self._welcome()
            else:
                self._ask_for_signature()  # the peer may have another key
        elif packet.arg0 == AUTH_PUBLIC_KEY:
            if not self._refusing and self._authorization.offer(packet.payload):
                self._welcome()
        else:
            raise ProtocolError(f"an AUTH of kind {packet.arg0}")

    def _welcome(self) -> None:
        self._authorized = True
        self._send(Packet(CNXN, VERSION_NO_CHECKSUM, MAX_PAYLOAD, self._banner))

    # Streams

    def _open(self, packet: Packet) -> None:
        if self._stage.strike(Offline, lambda fault: fault.stage == "open"):
            return
        name = packet.payload.rstrip(b"\0").decode("utf-8", "surrogateescape")
        service = self._find_service(name)
        # Counted by threads: a process may outlive its stream.
        self._services = {thread for thread in self._services if thread.is_alive()}
        if service is None or packet.arg0 == 0 or len(self._services) >= MAX_STREAMS:
            self._send(Packet(CLSE, 0, packet.arg0))
            return
        self._last_id += 1
        stream = Stream(
            self._last_id,
            packet.arg0,
            max_payload=self._max_payload,
            send=self._send,
            forget=self._forget,
        )
        with self._streams_lock:
            self._streams[stream.local_id] = stream
        self._send(Packet(OKAY, stream.local_id, stream.remote_id))
        thread = threading.Thread(target=_run, args=(service, stream), name="adb-service", daemon=True)
        self._services.add(thread)
        thread.start()

    def _forget(self, local_id: int) -> None:
        with self._streams_lock:
            self._streams.pop(local_id, None)

    def _find(self, packet: Packet) -> Stream | None:
        """Return the stream that a packet names; packets for streams that ended are passed over."""
        with self._streams_lock:
            stream = self._streams.get(packet.arg1)
        return stream if stream is not None and packet.arg0 in (0, stream.remote_id) else None

    def _okay(self, packet: Packet) -> None:
        if (stream := self._find(packet)) is not None:
            stream.acknowledge()

    def _write(self, packet: Packet) -> None:
        if (stream := self._find(packet)) is not None:
            stream.take(packet.payload)

    def _close(self, packet: Packet) -> None:
        if (stream := self._find(packet)) is not None:
            stream.hang_up()
            self._send(Packet(CLSE, stream.local_id, stream.remote_id))


def _run(service: Service, stream: Stream) -> None:
    try:
        service(stream)
    except StreamClosedError:
        pass  # the peer left; each service has cleaned up behind itself
    finally:
        stream.close()
