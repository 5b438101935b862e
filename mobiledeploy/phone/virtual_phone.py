"""The virtual phone: an ADB daemon on loopback that makes this computer a device."""

from __future__ import annotations

import contextlib
import shutil
import socket
import tempfile
import threading
from functools import partial
from pathlib import Path

from mobiledeploy.device.keys import load_signers
from mobiledeploy.errors import DeviceError, UsageError
from mobiledeploy.phone.authorization import Authorization, Policy
from mobiledeploy.phone.connection import Connection
from mobiledeploy.phone.identity import make_identity
from mobiledeploy.phone.processes import Processes
from mobiledeploy.phone.services import FEATURES, find_service
from mobiledeploy.phone.system import System

HOST = "127.0.0.1"
MAX_CONNECTIONS = 32
# An adb server takes whatever listens on these ports for an emulator and connects by itself.
EMULATOR_PORTS = range(5555, 5586)
_JOIN_S = 5.0


class VirtualPhone:
    """A phone that lives as long as its `with` block, in threads of this process.

    `root` is its folder, kept afterwards; None makes one that is removed at the end. `abi` and `cpu`
    choose what it emulates (see `identity.EMULATED_CPUS`); None is this computer itself.
    `authorization` is "any", "none" or a list of public keys; None trusts this user's own keys, which
    adb uses too, since any user of this computer can reach the port. `port` 0 takes a free one.
    Entering raises DeviceError where the phone can't run here or its port is taken, and UsageError
    for a port that adb servers take for an emulator's.
    """

    def __init__(
        self,
        root: Path | None = None,
        *,
        abi: str | None = None,
        cpu: str | None = None,
        authorization: Policy | None = None,
        port: int = 0,
    ) -> None:
        self.identity = make_identity(abi, cpu)
        self._root = root
        self._authorization = Authorization(_own_keys() if authorization is None else authorization)
        self._port = port
        self._cleanup = contextlib.ExitStack()
        self._lock = threading.Lock()
        self._connections: dict[Connection, threading.Thread] = {}
        self._stopped = False

    def __enter__(self) -> VirtualPhone:
        with contextlib.ExitStack() as stack:
            self._system = System(self._make_root(stack), self.identity)
            self._listener = stack.enter_context(_listen(self._port))
            self._port = self._listener.getsockname()[1]
            self._processes = Processes()
            stack.callback(self._stop)
            accepting = threading.Thread(target=self._accept, name="adb-accept", daemon=True)
            accepting.start()
            self._cleanup = stack.pop_all()
        return self

    def __exit__(self, *_: object) -> None:
        self._cleanup.close()

    @property
    def port(self) -> int:
        """The port on 127.0.0.1 that the phone listens on, once it was entered."""
        return self._port

    @property
    def serial(self) -> str:
        """The name by which ADB clients reach the phone."""
        return f"{HOST}:{self.port}"

    @property
    def root(self) -> Path:
        """The folder that holds the phone's files."""
        return self._system.root

    def _make_root(self, stack: contextlib.ExitStack) -> Path:
        if self._root is not None:
            self._root.mkdir(parents=True, exist_ok=True)
            return self._root
        root = Path(tempfile.mkdtemp(prefix="mobiledeploy-phone-"))
        stack.callback(shutil.rmtree, root, ignore_errors=True)
        return root

    def _banner(self) -> bytes:
        names = ("ro.product.name", "ro.product.model", "ro.product.device")
        fields = [f"{name}={self.identity.properties[name]}" for name in names]
        return f"device::{';'.join(fields)};features={','.join(FEATURES)}".encode()

    def _accept(self) -> None:
        while True:
            try:
                accepted, _ = self._listener.accept()
            except OSError:
                return  # the listener was closed
            accepted.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            connection = Connection(
                accepted,
                banner=self._banner(),
                authorization=self._authorization,
                find_service=partial(find_service, self._system, self._processes),
            )
            thread = threading.Thread(target=self._serve, args=(connection,), name="adb-reader", daemon=True)
            with self._lock:
                refused = self._stopped or len(self._connections) >= MAX_CONNECTIONS
                if not refused:
                    self._connections[connection] = thread
                    thread.start()
            if refused:
                accepted.close()

    def _serve(self, connection: Connection) -> None:
        try:
            connection.serve()
        finally:
            with self._lock:
                del self._connections[connection]

    def _stop(self) -> None:
        with self._lock:
            self._stopped = True
            connections = dict(self._connections)
        with contextlib.suppress(OSError):
            self._listener.shutdown(socket.SHUT_RDWR)  # wakes `accept`
        for connection in connections:
            connection.stop()
        self._processes.kill_all()
        for thread in connections.values():
            thread.join(_JOIN_S)


def _own_keys() -> list[str]:
    return [signer.GetPublicKey().decode() for signer in load_signers()]


def _listen(port: int) -> socket.socket:
    """Return a socket that listens on loopback; 0 is any free port but those of emulators."""
    if port in EMULATOR_PORTS:
        raise UsageError(
            f"port {port} is one that adb servers take for an emulator's",
            hint=f"Choose one outside {EMULATOR_PORTS[0]}-{EMULATOR_PORTS[-1]}.",
        )
    while True:
        try:
            listener = socket.create_server((HOST, port))
        except (OSError, OverflowError) as error:
            raise DeviceError(f"the virtual phone can't listen on {HOST}:{port}: {error}") from error
        if listener.getsockname()[1] not in EMULATOR_PORTS:
            return listener
        listener.close()
