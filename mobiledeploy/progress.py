"""How a long step says where it is: its name, how much is done, and of how much; a total of 0 is not known."""

from __future__ import annotations

from collections.abc import Callable

Progress = Callable[[str, int, int], None]
