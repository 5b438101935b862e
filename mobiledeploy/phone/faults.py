"""What can go wrong on a virtual phone: plain descriptions, and their text form for the command line.

The text form is `KIND[:NAME=VALUE,…]`, such as `cut:bytes=4096,down=2`; a value without a name belongs to the
kind's first field, as in `slow:200`. Who stages a fault is the matter of the other modules (see `stage.py`).
"""

from __future__ import annotations

import math
from dataclasses import dataclass, fields
from signal import Signals
from typing import Any, Literal, TypeAlias, get_args, get_type_hints

from mobiledeploy.errors import UsageError

ALWAYS = math.inf  # as a count: as often as there is an occasion, until it is healed
MAX_DURATION = 1e6  # what every way to wait can wait for, in seconds and in milliseconds


@dataclass(frozen=True)
class Cut:
    """The connection ends within a packet, as when the cable is pulled or the Wi-Fi goes.

    It happens once `bytes` have passed in `direction` (`in` is towards the phone) or `seconds` have, counted
    from the connection's start, or from the injection on one that is open already; with neither, at once. A
    peer that connects and sends nothing is not cut by bytes. `reset` tells the peer by a TCP reset; `silence`
    tells it nothing: no byte comes or goes any more. `down`: the seconds for which the port then refuses
    connections, `inf` for good; then all connections are cut together, as by an unplugged phone or a daemon
    that restarts. `count` connections suffer.
    """

    bytes: int | None = None
    seconds: float | None = None
    direction: Literal["both", "in", "out"] = "both"
    how: Literal["reset", "silence"] = "reset"
    down: float = 0.0
    count: float = 1

    def __post_init__(self) -> None:
        _size(self, "bytes")
        _duration(self, "seconds")
        _duration(self, "down", endless=True)
        _countable(self)


@dataclass(frozen=True)
class Offline:
    """The phone takes connections and then doesn't answer: no greeting, or nothing to `open` a service."""

    stage: Literal["greeting", "open"] = "greeting"
    count: float = ALWAYS

    def __post_init__(self) -> None:
        _countable(self)


@dataclass(frozen=True)
class RefuseKeys:
    """Nobody taps "allow": no key is trusted, also none that was before. `count` connections suffer."""

    count: float = ALWAYS

    def __post_init__(self) -> None:
        _countable(self)


@dataclass(frozen=True)
class Slow:
    """Every packet that the phone sends goes out `ms` milliseconds late, one after the other."""

    ms: float = 200.0

    def __post_init__(self) -> None:
        _duration(self, "ms")


@dataclass(frozen=True)
class Full:
    """Once `after` bytes were pushed, nothing can be written any more: "No space left on device".

    Commands that start from then on can't let a file grow beyond what is left; their error is "File too
    large", because a limit on processes stands in for the full disk.
    """

    after: int = 0

    def __post_init__(self) -> None:
        _size(self, "after")


@dataclass(frozen=True)
class Kill:
    """A pushed program gets a signal `after` seconds: KILL as from the out-of-memory killer, SEGV, ILL, …"""

    signal: Literal["KILL", "SEGV", "ILL", "ABRT", "BUS"] = "KILL"
    after: float = 0.0
    count: float = ALWAYS

    def __post_init__(self) -> None:
        _duration(self, "after")
        _countable(self)

    @property
    def number(self) -> Signals:
        """The signal itself."""
        return Signals[f"SIG{self.signal}"]


@dataclass(frozen=True)
class Hang:
    """A pushed program stops for good after `after` seconds and stays, deaf to all but SIGKILL."""

    after: float = 0.0
    count: float = ALWAYS

    def __post_init__(self) -> None:
        _duration(self, "after")
        _countable(self)


@dataclass(frozen=True)
class Throttle:
    """The phone is hot: pushed programs get the share `to` of their time, clocks and temperature follow.

    It heats up over `after` seconds in which programs run, and, unless `cool` is `inf`, cools down again over
    `cool` seconds in which none runs. Programs are stopped and continued once every `period_ms`.
    """

    to: float = 0.5
    after: float = 0.0
    cool: float = math.inf
    period_ms: float = 10.0

    def __post_init__(self) -> None:
        _duration(self, "after")
        _duration(self, "cool", endless=True)
        if not 0.01 <= self.to < 1:
            raise ValueError("to is a share from 0.01 to below 1")
        if not 1 <= self.period_ms <= 1000:
            raise ValueError("period_ms is 1 to 1000")


@dataclass(frozen=True)
class Busy:
    """Other work goes on: so many processes compute without end; None is one a core."""

    processes: int | None = None

    def __post_init__(self) -> None:
        if self.processes is not None and not 1 <= self.processes <= 1024:
            raise ValueError("processes is 1 to 1024")


@dataclass(frozen=True)
class Corrupt:
    """A bit flips in each pushed file, or noise stands in a pushed program's stdout, behind `after` bytes.

    What is shorter stays as it is. `count` files or outputs suffer.
    """

    what: Literal["pushes", "output"] = "pushes"
    after: int = 0
    count: float = ALWAYS

    def __post_init__(self) -> None:
        _size(self, "after")
        _countable(self)


@dataclass(frozen=True)
class Truncate:
    """A pushed program's stdout ends after `bytes`, though the program does not.

    `end`: the exit code still comes (`exit`), or the phone closes the stream without one (`close`).
    """

    bytes: int = 0
    end: Literal["exit", "close"] = "exit"
    count: float = ALWAYS

    def __post_init__(self) -> None:
        _size(self, "bytes")
        _countable(self)


Fault: TypeAlias = (
    Cut | Offline | RefuseKeys | Slow | Full | Kill | Hang | Throttle | Busy | Corrupt | Truncate
)

KINDS: dict[str, type[Fault]] = {
    "cut": Cut,
    "offline": Offline,
    "refuse-keys": RefuseKeys,
    "slow": Slow,
    "full": Full,
    "kill": Kill,
    "hang": Hang,
    "throttle": Throttle,
    "busy": Busy,
    "corrupt": Corrupt,
    "truncate": Truncate,
}


def parse_fault(text: str) -> Fault:
    """Read a fault's text form. Raises UsageError that names what there is."""
    kind, _, arguments = text.partition(":")
    if kind not in KINDS:
        raise UsageError(f"no fault {kind!r}", hint="Known: " + ", ".join(KINDS))
    chosen = KINDS[kind]
    names = [field.name for field in fields(chosen)]
    values: dict[str, Any] = {}
    try:
        for position, argument in enumerate(arguments.split(",") if arguments else []):
            name, equals, value = argument.partition("=")
            if not equals and position == 0:
                name, value = names[0], name
            if name not in names or name in values:
                raise ValueError(f"{argument!r} is none of its fields, or stands twice")
            values[name] = _read(get_type_hints(chosen)[name], name, value)
        return chosen(**values)
    except ValueError as error:
        raise UsageError(
            f"not a fault: {text!r}: {error}", hint=f"{kind} takes {', '.join(names)}"
        ) from error


def format_fault(fault: Fault) -> str:
    """Return the text that `parse_fault` reads as this fault; fields with their default value are left out."""
    kind = next(kind for kind, chosen in KINDS.items() if isinstance(fault, chosen))
    given = [
        f"{field.name}={_write(getattr(fault, field.name))}"
        for field in fields(fault)
        if getattr(fault, field.name) != field.default
    ]
    return f"{kind}:{','.join(given)}" if given else kind


def _write(value: str | float) -> str:
    return str(int(value) if isinstance(value, float) and value.is_integer() else value)


def _read(hint: Any, name: str, text: str) -> object:
    """Return a value of a field's type: a word out of a Literal, an int, or a float."""
    options = get_args(hint)
    if options and isinstance(options[0], str):
        if text not in options:
            raise ValueError(f"{name} is one of {', '.join(options)}, not {text!r}")
        return text
    number: type[int] | type[float] = options[0] if options else hint
    try:
        return number(text)
    except ValueError:
        raise ValueError(f"{name} is a number, not {text!r}") from None


def _size(fault: object, name: str) -> None:
    value = getattr(fault, name)
    if value is not None and value < 0:
        raise ValueError(f"{name} is 0 or more, not {value}")


def _duration(fault: object, name: str, *, endless: bool = False) -> None:
    value = getattr(fault, name)
    if value is None or 0 <= value <= MAX_DURATION or (endless and value == math.inf):
        return
    raise ValueError(f"{name} is from 0 to {MAX_DURATION:g}{' or inf' if endless else ''}, not {value}")


def _countable(fault: object) -> None:
    count: float = vars(fault)["count"]
    if not (count >= 1 and (math.isinf(count) or count == int(count))):
        raise ValueError(f"count is a whole number from 1 on or inf, not {count}")
