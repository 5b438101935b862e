"""What stabilizing did to a device, and what became of it: plain records (see `stabilize`)."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import Literal


@dataclass(frozen=True)
class Change:
    """A setting, what it was (None where a device can't tell) and what was asked of it.

    `outcome` "already" means that nothing had to be done, "unsupported" that the device refused, as `detail` says.
    """

    setting: str
    before: str | None
    value: str
    outcome: Literal["changed", "already", "unsupported"]
    detail: str = ""


@dataclass(frozen=True)
class Restored:
    """What became of a setting afterwards; "left alone" where it was no longer what we had made it."""

    setting: str
    outcome: Literal["restored", "left alone", "failed"]
    detail: str

    def __str__(self) -> str:
        return f"{self.setting} {self.outcome}: {self.detail}"


@dataclass
class Stabilization:
    """What was changed on a device, and, once the block has ended, what became of it.

    `pending` says why nothing could be restored yet; the next opening of the device does it then.
    """

    changes: tuple[Change, ...] = ()
    restored: tuple[Restored, ...] = ()
    pending: str | None = None

    def to_json(self) -> dict[str, object]:
        """Return it for the run's record."""
        return {
            "changes": [asdict(change) for change in self.changes],
            "restored": [asdict(restored) for restored in self.restored],
            "pending": self.pending,
        }
