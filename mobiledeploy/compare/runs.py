"""Two runs, or two rows of one, beside each other."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from mobiledeploy.benchmark import Run, read_run
from mobiledeploy.compare.context import count_differences, timing_differences
from mobiledeploy.compare.counts import CountedComparison, compare_counts
from mobiledeploy.compare.rows import Named, Source, find_row, listed, matching_rows
from mobiledeploy.compare.timings import Comparison, advice_on, compare_times, warnings_of
from mobiledeploy.errors import UsageError


def compare(
    a: Source, b: Source, *, margin: float, ignore_context: bool = False
) -> Comparison | CountedComparison:
    """Compare B with A: the rows that both runs have, or the two that are named.

    Two rows of one file were measured in the same launches and rounds, and are compared so. Runs that both counted
    instructions are compared by these. Raises UsageError where the runs can't be read, share no row, or differ in
    what matters (`ignore_context`: told only).
    """
    if (a.row is None) != (b.row is None):
        raise UsageError(
            "name a row of both runs, or of neither", hint="Such as A.json:fp32-1t B.json:int8-1t."
        )
    run_a, run_b = read_run(a.path), read_run(b.path)
    same_file = a.path.resolve() == b.path.resolve()
    counted = _counted(run_a) and _counted(run_b)
    for source, run in ((a, run_a), (b, run_b)):
        if not counted:
            _check_timed(source.path, run)
    if a.row is None or b.row is None:
        if same_file:
            raise UsageError(f"{a.path}: is both A and B", hint=f"Name two of its rows: {listed(run_a)}.")
        pairs, notes = matching_rows(run_a, run_b)
    else:
        pairs, notes = [(find_row(a.path, run_a, a.row), find_row(b.path, run_b, b.row))], []
    if counted:
        told = count_differences(run_a, run_b, pairs, ignore_context)
        notes += [f"Differs: {text}." for text in told]
        return CountedComparison(tuple(compare_counts(*pair, margin) for pair in pairs), tuple(notes), margin)
    if not same_file:
        notes += _notes_on_two_runs(run_a, run_b, pairs, ignore_context)
    rows = tuple(compare_times(*pair, margin=margin, same_file=same_file) for pair in pairs)
    return Comparison(rows, (*notes, *advice_on(rows, margin)), margin)


def _notes_on_two_runs(
    run_a: Run, run_b: Run, pairs: Sequence[tuple[Named, Named]], ignore_context: bool
) -> list[str]:
    """Return what a reader must know of two runs that were not interleaved."""
    return [
        *(f"Differs: {text}." for text in timing_differences(run_a, run_b, pairs, ignore_context)),
        *warnings_of("A", [row for row, _ in pairs]),
        *warnings_of("B", [row for _, row in pairs]),
        "Two runs, not interleaved: what changed on the device between them is in the ratio too.",
    ]


def _counted(run: Run) -> bool:
    return all("instructions" in entry for entry in run.benchmarks)


def _check_timed(path: Path, run: Run) -> None:
    if not run.document["parameters"]["timed"] or not all(entry["times_ms"] for entry in run.benchmarks):
        raise UsageError(
            f"{path}: has no timings",
            hint="Runs on an emulated device record sizes and accuracy only, and with --count-instructions "
            "instructions; two such runs are compared by these.",
        )
