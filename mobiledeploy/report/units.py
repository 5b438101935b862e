"""How numbers are written in tables."""

from __future__ import annotations


def megabytes(size_bytes: int) -> str:
    """Write a size in M (10^6 bytes), as model sizes are usually given."""
    return f"{size_bytes / 1e6:.2f}"


def size(size_bytes: int) -> str:
    """Write a size in a sentence: in MB (10^6 bytes), or in KB where it is small."""
    return f"{size_bytes / 1e6:.2f} MB" if size_bytes >= 1e5 else f"{size_bytes / 1e3:.1f} KB"


def milliseconds(value: float) -> str:
    """Write a duration in ms with three significant digits, or the whole milliseconds where it is long."""
    if value >= 100:
        return f"{value:.0f}"
    return f"{value:.1f}" if value >= 10 else f"{value:.2f}"


def millions(count: int) -> str:
    """Write a count in M (10^6)."""
    return f"{count / 1e6:.2f}"
