"""Which faults a phone stages at the moment, and how often each has struck."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from typing import Any, Generic, TypeVar, cast

from mobiledeploy.phone.faults import ALWAYS, Fault

F = TypeVar("F", bound=Fault)


class Injection(Generic[F]):
    """A fault that was injected; as a context manager it is healed at the block's end.

    `since` is the moment of the injection on `time.monotonic`, `healed` is set when it is over.
    """

    def __init__(self, fault: F, changed: Callable[[], None]) -> None:
        self.fault = fault
        self.since = time.monotonic()
        self.healed = threading.Event()
        self._changed = changed
        self._lock = threading.Lock()
        self._struck = 0
        self._taken = 0

    def __enter__(self) -> Injection[F]:
        return self

    def __exit__(self, *_: object) -> None:
        self.heal()

    @property
    def struck(self) -> int:
        """How often it has struck so far, where its kind has a `count`."""
        return self._struck

    @property
    def taken(self) -> int:
        """How much of a limit it has used so far (see `take`)."""
        return self._taken

    def heal(self) -> None:
        """Take the fault back; what it has broken already stays broken, what it stopped goes on."""
        self.healed.set()
        self._changed()

    def strike(self) -> bool:
        """Use the fault once; False where it is healed or has struck `count` times."""
        with self._lock:
            if self.healed.is_set() or self._struck >= getattr(self.fault, "count", ALWAYS):
                return False
            self._struck += 1
            return True

    def take(self, wanted: int, limit: int) -> int:
        """Use up to `wanted` of the `limit` that there is in all; return how much there was."""
        with self._lock:
            given = min(wanted, limit - self._taken)
            self._taken += given
            return given


class Stage:
    """The faults of one phone. `changed` is called after each injection and healing, in the caller's thread."""

    def __init__(self, changed: Callable[[], None]) -> None:
        self._changed = changed
        self._lock = threading.Lock()
        self._injections: list[Injection[Any]] = []

    def inject(self, fault: F) -> Injection[F]:
        """Stage a fault from now on."""
        injection = Injection(fault, self._changed)
        with self._lock:
            self._injections = [*self._unhealed(), injection]
        self._changed()
        return injection

    def heal(self) -> None:
        """Take all faults back."""
        with self._lock:
            injections, self._injections = self._injections, []
        for injection in injections:
            injection.healed.set()
        self._changed()

    def faults(self) -> list[Fault]:
        """Return what is staged and not healed, in the order of injection."""
        with self._lock:
            return [injection.fault for injection in self._unhealed()]

    def active(self, kind: type[F]) -> list[Injection[F]]:
        """Return the injections of one kind that are not healed, in their order."""
        with self._lock:
            return [
                cast("Injection[F]", injection)
                for injection in self._unhealed()
                if isinstance(injection.fault, kind)
            ]

    def strike(self, kind: type[F], where: Callable[[F], bool] = lambda _: True) -> F | None:
        """Use the first fault of a kind that applies; None where there is none."""
        for injection in self.active(kind):
            if where(injection.fault) and injection.strike():
                return injection.fault
        return None

    def _unhealed(self) -> list[Injection[Any]]:
        return [injection for injection in self._injections if not injection.healed.is_set()]
