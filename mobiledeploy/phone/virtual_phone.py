"""The virtual phone: an ADB daemon on loopback that makes this computer a device."""

from __future__ import annotations

import contextlib
import shutil
import tempfile
import threading
from collections.abc import Sequence
from functools import partial
from pathlib import Path

from mobiledeploy.device.keys import load_signers
from mobiledeploy.phone.authorization import Authorization, Policy
from mobiledeploy.phone.connection import Connection
from mobiledeploy.phone.door import HOST, Door
from mobiledeploy.phone.faults import Cut, Fault, format_fault
from mobiledeploy.phone.heat import Heat
from mobiledeploy.phone.identity import make_identity
from mobiledeploy.phone.line import Line
from mobiledeploy.phone.load import Load
from mobiledeploy.phone.processes import Processes
from mobiledeploy.phone.programs import Programs
from mobiledeploy.phone.services import FEATURES, find_service
from mobiledeploy.phone.stage import F, Injection, Stage
from mobiledeploy.phone.system import System

FAULTS_PROPERTY = "ro.mobiledeploy.faults"
MAX_CONNECTIONS = 32
_JOIN_S = 5.0


class VirtualPhone:
    """A phone that lives as long as its `with` block, in threads of this process.

    `root` is its folder, kept afterwards; None makes one that is removed at the end. `abi` and `cpu`
    choose what it emulates (see `identity.EMULATED_CPUS`); None is this computer itself.
    `authorization` is "any", "none" or a list of public keys; None trusts this user's own keys, which
    adb uses too, since any user of this computer can reach the port. `port` 0 takes a free one.
    `faults` are staged from the start; more can be injected, and healed, while it runs.
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
        faults: Sequence[Fault] = (),
    ) -> None:
        self.identity = make_identity(abi, cpu)
        self._root = root
        self._authorization = Authorization(_own_keys() if authorization is None else authorization)
        self._port = port
        self._cleanup = contextlib.ExitStack()
        self._lock = threading.Lock()
        self._connections: dict[Connection, threading.Thread] = {}
        self._refreshing = threading.RLock()
        self._running = False
        self._stage = Stage(self._refresh)
        for fault in faults:
            self._stage.inject(fault)

    def __enter__(self) -> VirtualPhone:
        with contextlib.ExitStack() as stack:
            self._system = System(self._make_root(stack), self.identity)
            self._door = Door(self._port)
            stack.callback(self._door.close)
            self._port = self._door.port
            self._processes = Processes()
            self._load = Load(self._system, self._processes, self._stage)
            heat = Heat(self._system.root)
            self._programs = Programs(self._system.reports, self._processes, self._stage, heat)
            self._running = True
            self._accepting = threading.Thread(target=self._accept, name="adb-accept", daemon=True)
            self._accepting.start()
            stack.callback(self._stop)
            stack.callback(self._stage.heal)  # first of all, so that nothing waits for a fault to end
            self._refresh()
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

    def inject(self, fault: F) -> Injection[F]:
        """Stage a fault from now on, also on what is connected and runs already.

        What is returned says how often it struck and can be healed by itself; in a `with` statement it is
        healed at the block's end.
        """
        return self._stage.inject(fault)

    def heal(self) -> None:
        """Take back all faults."""
        self._stage.heal()

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
        while (accepted := self._door.accept()) is not None:
            connection = Connection(
                Line(accepted, self._stage, self._unplugged),
                stage=self._stage,
                banner=self._banner(),
                authorization=self._authorization,
                find_service=partial(find_service, self._system, self._processes, self._stage),
            )
            thread = threading.Thread(target=self._serve, args=(connection,), name="adb-reader", daemon=True)
            with self._lock:
                refused = not self._running or len(self._connections) >= MAX_CONNECTIONS
                if not refused:
                    self._connections[connection] = thread
                    connection.line.refresh()
                    thread.start()
            if refused:
                connection.line.close()

    def _serve(self, connection: Connection) -> None:
        try:
            connection.serve()
        finally:
            with self._lock:
                del self._connections[connection]

    def _open_connections(self) -> dict[Connection, threading.Thread]:
        with self._lock:
            return dict(self._connections)

    def _unplugged(self, injection: Injection[Cut]) -> None:
        """Where a cut takes the whole phone away, shut the port and cut all other connections too."""
        if injection.fault.down > 0:
            self._door.shut(injection.healed, injection.fault.down)
            for connection in self._open_connections():
                connection.line.unplug(injection.fault.how)

    def _refresh(self) -> None:
        """Make everything look at the stage again, after it has changed."""
        with self._refreshing:
            if not self._running:
                return
            texts = " ".join(format_fault(fault) for fault in self._stage.faults())
            self._system.set_property(FAULTS_PROPERTY, texts)
            self._load.refresh()
            self._programs.refresh()
            for connection in self._open_connections():
                connection.line.refresh()

    def _stop(self) -> None:
        with self._refreshing, self._lock:
            self._running = False
        self._door.close()
        connections = self._open_connections()
        for connection in connections:
            connection.stop()
        self._processes.kill_all()
        self._programs.stop()
        for thread in (self._accepting, *connections.values()):
            thread.join(_JOIN_S)


def _own_keys() -> list[str]:
    return [signer.GetPublicKey().decode() for signer in load_signers()]
