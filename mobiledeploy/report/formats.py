"""One table in four forms. Every command that prints a table prints it through `render`."""

from __future__ import annotations

import csv
import io
import json
from collections.abc import Callable, Mapping, Sequence

FORMATS = ("table", "markdown", "csv", "json")

Row = Mapping[str, object]
# Columns, and one row each.
Table = tuple[list[str], list[dict[str, object]]]


def render(columns: Sequence[str], rows: Sequence[Row], form: str, document: object = None) -> str:
    """Return a table as text in one of FORMATS, without a final newline.

    A row maps columns to values; a missing value or None is shown as nothing. `document` is what `json` prints
    instead of the rows themselves.
    """
    if form == "json":
        return json.dumps(list(rows) if document is None else document, indent=2)
    texts = [[_text(row.get(column)) for column in columns] for row in rows]
    numeric = [_is_numeric(rows, column) for column in columns]
    return _RENDERERS[form](list(columns), texts, numeric)


def _text(value: object) -> str:
    if value is None:
        return ""
    if isinstance(value, float):
        return f"{value:.4g}"
    return str(value)


def _is_numeric(rows: Sequence[Row], column: str) -> bool:
    values = [value for row in rows if (value := row.get(column)) not in (None, "")]
    return bool(values) and all(_looks_numeric(value) for value in values)


def _looks_numeric(value: object) -> bool:
    try:
        float(str(value))
    except ValueError:
        return False
    return True


def _markdown(columns: list[str], texts: list[list[str]], numeric: list[bool]) -> str:
    lines = [_pipe_row(columns), _pipe_row(["---:" if right else "---" for right in numeric])]
    return "\n".join(lines + [_pipe_row([markdown_text(text) for text in row]) for row in texts])


def _pipe_row(cells: list[str]) -> str:
    return f"| {' | '.join(cells)} |"


def markdown_text(text: str) -> str:
    """Keep a cell a cell, and text from being read as HTML, as a link or as a picture."""
    for character, entity in (("&", "&amp;"), ("<", "&lt;"), (">", "&gt;")):
        text = text.replace(character, entity)
    for character in "\\[]|":
        text = text.replace(character, f"\\{character}")
    return printable(" ".join(text.split()))


def printable(text: str) -> str:
    """Write what a terminal would act on, control characters and changes of direction, as escapes."""
    return "".join(c if c.isprintable() else c.encode("unicode_escape").decode() for c in text)


def _csv(columns: list[str], texts: list[list[str]], _numeric: list[bool]) -> str:
    buffer = io.StringIO()
    writer = csv.writer(buffer, lineterminator="\n")
    writer.writerow(columns)
    writer.writerows(texts)
    return buffer.getvalue().rstrip("\n")


def _table(columns: list[str], texts: list[list[str]], numeric: list[bool]) -> str:
    from rich import box
    from rich.console import Console
    from rich.table import Table

    table = Table(box=box.SIMPLE_HEAD, show_edge=False, pad_edge=False)
    for column, right in zip(columns, numeric, strict=True):
        table.add_column(column, justify="right" if right else "left", no_wrap=True)
    for row in texts:
        table.add_row(*map(printable, row))
    buffer = io.StringIO()
    # Wide enough for any table: a terminal wraps it, a file keeps it.
    Console(file=buffer, width=1000, markup=False, highlight=False, emoji=False).print(table, end="")
    return "\n".join(line.rstrip() for line in buffer.getvalue().rstrip("\n").splitlines())


_RENDERERS: dict[str, Callable[[list[str], list[list[str]], list[bool]], str]] = {
    "markdown": _markdown,
    "csv": _csv,
    "table": _table,
}
