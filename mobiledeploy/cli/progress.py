"""Progress of long steps, on stderr: a moving line in a terminal, one line a step elsewhere."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager

from mobiledeploy.progress import Progress


@contextmanager
def step_progress() -> Iterator[Progress]:
    """Give a callback (step, done, total) that shows where a job is; a total of 0 is not known."""
    from rich.console import Console
    from rich.progress import BarColumn, MofNCompleteColumn, SpinnerColumn, TextColumn, TimeElapsedColumn
    from rich.progress import Progress as Bars

    console = Console(stderr=True)
    if not console.is_terminal:
        yield _plain(console.print)
        return
    columns = (
        SpinnerColumn(),
        TextColumn("{task.description}"),
        BarColumn(),
        MofNCompleteColumn(),
        TimeElapsedColumn(),
    )
    with Bars(*columns, console=console, transient=True) as bars:
        task = bars.add_task("", total=None)
        current = ""

        def tell(step: str, done: int, total: int) -> None:
            nonlocal current
            if step != current:
                bars.reset(task)
                current = step
            bars.update(task, description=step, completed=done, total=total or None)

        yield tell


def _plain(write: Callable[[str], None]) -> Progress:
    seen: list[str] = []

    def tell(step: str, _done: int, _total: int) -> None:
        if not seen or seen[-1] != step:
            seen.append(step)
            write(step)

    return tell
