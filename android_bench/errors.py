"""What can go wrong in the build."""

from __future__ import annotations


class BuildError(Exception):
    """The binary could not be built.

    `hint` is the next step, or empty; `log_tail` the last lines of the tool that failed, or empty.
    """

    def __init__(self, message: str, *, hint: str = "", log_tail: str = "") -> None:
        super().__init__(message)
        self.message = message
        self.hint = hint
        self.log_tail = log_tail
