"""How hot the phone says it is while it is throttled: clocks, temperature and thermal status, as files.

Nothing in it slows anything down; that is done by `programs.py`, for as long as `Heat` says so.
"""

from __future__ import annotations

import contextlib
from pathlib import Path

from mobiledeploy.phone.faults import Throttle
from ncnn_tools.files import write_atomically

COLD_C, HOT_C = 30.0, 85.0
UNKNOWN_MAX_KHZ = 2_000_000  # stands in where this computer doesn't tell its clock
# Android's android.os.PowerManager: THERMAL_STATUS_NONE and THERMAL_STATUS_SEVERE.
STATUS_NONE, STATUS_SEVERE = 0, 3

_ZONE = "sys/class/thermal/thermal_zone0"
_STATUS = "system/state/thermal_status"


class Heat:
    """The temperature of one phone, between cold (0) and hot (1), and the files below `root` that show it."""

    def __init__(self, root: Path) -> None:
        self._files = _StagedFiles(root)
        self._level = 0.0
        self._hot = False
        self._last: tuple[float, bool] | None = None

    @property
    def changing(self) -> bool:
        """Whether the temperature is on its way up or down."""
        return 0.0 < self._level < 1.0

    def step(self, throttle: Throttle | None, now: float, *, busy: bool) -> bool:
        """Go on to the moment `now`, and note whether programs run from then on; return whether it is hot.

        Hot is the phone from when its temperature reaches the top until it is back at the bottom. Without a
        throttle all files are as they were before.
        """
        if throttle is None:
            self._files.restore()
            self._level, self._hot, self._last = 0.0, False, None
            return False
        if self._last is None:
            self._level = 0.0 if throttle.after else 1.0
        else:
            since, was_busy = self._last
            change = _share(now - since, throttle.after) if was_busy else -_share(now - since, throttle.cool)
            self._level = min(1.0, max(0.0, self._level + change))
        self._last = now, busy
        if not self.changing:
            self._hot = self._level == 1.0
        self._show(throttle)
        return self._hot

    def _show(self, throttle: Throttle) -> None:
        share = throttle.to if self._hot else 1.0
        for core in self._files.glob("sys/devices/system/cpu/cpu[0-9]*"):
            top = self._files.read_number(f"{core}/cpufreq/cpuinfo_max_freq")
            if top is None:
                top = UNKNOWN_MAX_KHZ
                self._files.write(f"{core}/cpufreq/cpuinfo_max_freq", f"{top}\n")
            self._files.write(f"{core}/cpufreq/scaling_cur_freq", f"{round(share * top)}\n")
        celsius = COLD_C + self._level * (HOT_C - COLD_C)
        self._files.write(f"{_ZONE}/temp", f"{round(celsius)}000\n")
        self._files.write(_STATUS, f"{STATUS_SEVERE if self._hot else STATUS_NONE}\n")


def _share(passed_s: float, whole_s: float) -> float:
    """Return how much of the way from cold to hot, or back, is gone in some of the time that it takes."""
    return passed_s / whole_s if whole_s else 1.0


class _StagedFiles:
    """Files below `root` that are changed for a while, and then are again what they were."""

    def __init__(self, root: Path) -> None:
        self._root = root
        self._before: dict[Path, bytes | None] = {}
        self._written: dict[Path, str] = {}

    def glob(self, pattern: str) -> list[str]:
        return [str(path.relative_to(self._root)) for path in self._root.glob(pattern)]

    def read_number(self, name: str) -> int | None:
        try:
            return int((self._root / name).read_text())
        except (OSError, ValueError):
            return None

    def write(self, name: str, text: str) -> None:
        path = self._root / name
        if self._written.get(path) == text:
            return
        if path not in self._before:
            self._before[path] = path.read_bytes() if path.exists() else None
            path.parent.mkdir(parents=True, exist_ok=True)
        write_atomically(path, text.encode())
        self._written[path] = text

    def restore(self) -> None:
        for path, content in self._before.items():
            if content is None:
                path.unlink(missing_ok=True)
            else:
                write_atomically(path, content)
            with contextlib.suppress(OSError):  # a folder of our own, if it is empty again
                path.parent.rmdir()
        self._before.clear()
        self._written.clear()
