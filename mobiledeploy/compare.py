"""Two runs, or two rows of one, beside each other: what may be compared, and what came of it."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, ClassVar, Literal

from mobiledeploy.benchmark import Run, read_run
from mobiledeploy.errors import UsageError
from mobiledeploy.statistics import (
    Kind,
    Ratio,
    Samples,
    Verdict,
    diagnose,
    in_words,
    paired_ratio,
    summarize,
    unpaired_ratio,
)

Entry = Mapping[str, Any]
# An entry with the name of its row.
Named = tuple[str, Entry]

# What must be the same in both runs, or a difference in time may be another thing's than the network's.
_RUN_MUST_AGREE = {
    "device": ("context", "device", "model"),
    "build fingerprint": ("context", "device", "fingerprint"),
    "host": ("context", "device", "host"),
    "ABI": ("context", "binary", "abi"),
    "ncnn": ("context", "binary", "ncnn"),
    "benchmark binary": ("context", "binary", "sha256"),
    "power": ("context", "power"),
    "mode": ("parameters", "mode"),
    "pace": ("parameters", "pace_hz"),
}
# What differs often and is only told.
_RUN_MAY_DIFFER = {
    "serial": ("context", "device", "serial"),
    "mobiledeploy": ("mobiledeploy",),
    "seed": ("parameters", "seed"),
    "warm-up": ("parameters", "warmup_runs"),
    "least samples": ("parameters", "min_runs"),
    "least time": ("parameters", "min_time_ms"),
}
_ROW_MUST_AGREE = {"affinity": ("affinity",)}
# The same for instructions, which depend on no computer and no clock.
_COUNTED_MUST_AGREE = {
    "ABI": ("context", "binary", "abi"),
    "ncnn": ("context", "binary", "ncnn"),
    "compiler": ("context", "binary", "toolchain"),
}
_COUNTED_MAY_DIFFER = {
    "benchmark binary": ("context", "binary", "sha256"),
    "mobiledeploy": ("mobiledeploy",),
}
_COUNTED_ROW_MUST_AGREE = {"CPU": ("instructions", "cpu")}
_COUNTED_ROW_MAY_DIFFER = {"emulator": ("instructions", "emulator")}


@dataclass(frozen=True)
class Source:
    """A run's file, and a row in it by name, or None for all."""

    path: Path
    row: str | None = None

    @classmethod
    def parse(cls, text: str) -> Source:
        """Read FILE or FILE:ROW."""
        if ":" not in text or Path(text).exists():
            return cls(Path(text))
        path, _, row = text.rpartition(":")
        return cls(Path(path), row)


@dataclass(frozen=True)
class RowComparison:
    """One row of A beside one of B, by their names."""

    model: str
    a: str
    b: str
    a_ms: float
    b_ms: float
    ratio: Ratio
    verdict: Verdict

    @property
    def at_least(self) -> float:
        """By how much B is slower, at least: 0.05 for 5 %."""
        return self.ratio.interval.low - 1


@dataclass(frozen=True)
class Comparison:
    """What `compare` found: a row for each pair, and notes on what a reader must know."""

    rows: tuple[RowComparison, ...]
    notes: tuple[str, ...]
    margin: float
    worse: ClassVar[str] = "slower"

    def regressions(self, allowed: float) -> list[RowComparison]:
        """Return the rows that are slower by more than `allowed` (0.05 for 5 %), with the whole interval."""
        return [row for row in self.rows if row.ratio.launches > 1 and row.ratio.interval.low > 1 + allowed]

    def to_json(self) -> dict[str, Any]:
        """Return it for a JSON document."""
        rows = [{**asdict(row), "verdict": row.verdict.value} for row in self.rows]
        return {"kind": "comparison", "margin": self.margin, "rows": rows, "notes": list(self.notes)}


@dataclass(frozen=True)
class CountedRow:
    """One row of A beside one of B, by their names, in instructions an inference."""

    model: str
    a: str
    b: str
    a_instructions: int
    b_instructions: int
    verdict: Literal["more", "fewer", "the same"]

    @property
    def at_least(self) -> float:
        """By how much B has more: 0.05 for 5 %. A count repeats, so that there is no interval."""
        return self.b_instructions / self.a_instructions - 1


@dataclass(frozen=True)
class CountedComparison:
    """What `compare` found in runs that counted instructions."""

    rows: tuple[CountedRow, ...]
    notes: tuple[str, ...]
    margin: float
    worse: ClassVar[str] = "more instructions"

    def regressions(self, allowed: float) -> list[CountedRow]:
        """Return the rows with more instructions by more than `allowed` (0.01 for 1 %)."""
        return [row for row in self.rows if row.at_least > allowed]

    def to_json(self) -> dict[str, Any]:
        """Return it for a JSON document."""
        return {"kind": "comparison", **asdict(self)}


def row_names(entries: Sequence[Entry]) -> list[str]:
    """Return the entries' names, MODEL/ before them where there are several models.

    The second of one name (two bundles of one model) gets .2, and so on.
    """
    several = len({entry["model"] for entry in entries}) > 1
    seen: Counter[str] = Counter()
    names = []
    for entry in entries:
        name = f"{entry['model']}/{entry['name']}" if several else entry["name"]
        seen[name] += 1
        names.append(name if seen[name] == 1 else f"{name}.{seen[name]}")
    return names


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
            raise UsageError(f"{a.path}: is both A and B", hint=f"Name two of its rows: {_listed(run_a)}.")
        pairs, notes = _matching(run_a, run_b)
    else:
        pairs, notes = [(_find(a.path, run_a, a.row), _find(b.path, run_b, b.row))], []
    if counted:
        notes += _counted_notes(run_a, run_b, pairs, ignore_context)
        return CountedComparison(tuple(_count_row(*pair, margin) for pair in pairs), tuple(notes), margin)
    if not same_file:
        notes += _context_notes(run_a, run_b, pairs, ignore_context)
    rows = tuple(_compare_rows(*pair, margin=margin, same_file=same_file) for pair in pairs)
    return Comparison(rows, (*notes, *_advice(rows, margin)), margin)


def _context_notes(
    run_a: Run, run_b: Run, pairs: Sequence[tuple[Named, Named]], ignore_context: bool
) -> list[str]:
    """Return notes on how two runs differ; UsageError where that matters, unless it is to be ignored."""
    matters = _all_differences(run_a, run_b, pairs, _RUN_MUST_AGREE, _ROW_MUST_AGREE)
    _refuse(matters, ignore_context)
    told = matters + _differences(run_a.document, run_b.document, _RUN_MAY_DIFFER)
    return [
        *(f"Differs: {text}." for text in told),
        *_warnings("A", [row for row, _ in pairs]),
        *_warnings("B", [row for _, row in pairs]),
        "Two runs, not interleaved: what changed on the device between them is in the ratio too.",
    ]


def _counted_notes(
    run_a: Run, run_b: Run, pairs: Sequence[tuple[Named, Named]], ignore_context: bool
) -> list[str]:
    """Do the same for runs that counted instructions."""
    matters = _all_differences(run_a, run_b, pairs, _COUNTED_MUST_AGREE, _COUNTED_ROW_MUST_AGREE)
    _refuse(matters, ignore_context)
    told = _all_differences(run_a, run_b, pairs, _COUNTED_MAY_DIFFER, _COUNTED_ROW_MAY_DIFFER)
    return [f"Differs: {text}." for text in matters + told]


def _all_differences(
    run_a: Run,
    run_b: Run,
    pairs: Sequence[tuple[Named, Named]],
    of_run: Mapping[str, Sequence[str]],
    of_row: Mapping[str, Sequence[str]],
) -> list[str]:
    found = _differences(run_a.document, run_b.document, of_run)
    for (_, entry_a), (_, entry_b) in pairs:
        found += _differences(entry_a, entry_b, of_row)
    return list(dict.fromkeys(found))


def _refuse(matters: Sequence[str], ignore_context: bool) -> None:
    if matters and not ignore_context:
        raise UsageError(
            f"the runs differ in what matters: {'; '.join(matters)}",
            hint="Measure both in the same way, or compare them all the same with --ignore-context.",
        )


def _counted(run: Run) -> bool:
    return all("instructions" in entry for entry in run.benchmarks)


def _check_timed(path: Path, run: Run) -> None:
    if not run.document["parameters"]["timed"] or not all(entry["times_ms"] for entry in run.benchmarks):
        raise UsageError(
            f"{path}: has no timings",
            hint="Runs on an emulated device record sizes and accuracy only, and with --count-instructions "
            "instructions; two such runs are compared by these.",
        )


def _listed(run: Run) -> str:
    return ", ".join(row_names(run.benchmarks))


def _find(path: Path, run: Run, row: str) -> Named:
    for name, entry in zip(row_names(run.benchmarks), run.benchmarks, strict=True):
        if name == row:
            return name, entry
    raise UsageError(f"{path}: has no row {row!r}", hint=f"It has {_listed(run)}.")


def _matching(run_a: Run, run_b: Run) -> tuple[list[tuple[Named, Named]], list[str]]:
    """Return the pairs of rows of the same model, precision, threads, cores and options, and notes on the rest."""
    rows_a, rows_b = _keyed(run_a), _keyed(run_b)
    pairs = [(row, rows_b[key]) for key, row in rows_a.items() if key in rows_b]
    if not pairs:
        raise UsageError(
            "the runs have no row of the same model, precision, threads, cores and options",
            hint=f"A has {_listed(run_a)}; B has {_listed(run_b)}. Name one of each as FILE:ROW.",
        )
    notes = [f"Only in A: {name}." for key, (name, _) in rows_a.items() if key not in rows_b]
    return pairs, notes + [f"Only in B: {name}." for key, (name, _) in rows_b.items() if key not in rows_a]


def _keyed(run: Run) -> dict[tuple[object, ...], Named]:
    """Return the rows by what makes them the same in another run, repeated ones counted."""
    rows: dict[tuple[object, ...], Named] = {}
    seen: Counter[tuple[object, ...]] = Counter()
    for name, entry in zip(row_names(run.benchmarks), run.benchmarks, strict=True):
        cores = (entry.get("affinity") or {}).get("requested")
        options = json.dumps(entry.get("options"), sort_keys=True)
        row = (entry["model"], entry["precision"], entry["threads"], cores, options)
        seen[row] += 1
        key = (*row, seen[row])
        rows[key] = (name, entry)
    return rows


def _differences(a: Mapping[str, Any], b: Mapping[str, Any], paths: Mapping[str, Sequence[str]]) -> list[str]:
    found = []
    for name, path in paths.items():
        value_a, value_b = _at(a, path), _at(b, path)
        if value_a != value_b:
            found.append(f"{name} {_brief(value_a)} and {_brief(value_b)}")
    return found


def _at(document: Mapping[str, Any], path: Sequence[str]) -> object:
    value: object = document
    for key in path:
        value = value.get(key) if isinstance(value, Mapping) else None
    return value


def _brief(value: object) -> str:
    """Write a value for a message; hashes and fingerprints are long, and their beginning tells them apart."""
    text = "unknown" if value is None else str(value)
    return text if len(text) <= 60 else text[:57] + "…"


def _compare_rows(a: Named, b: Named, *, margin: float, same_file: bool) -> RowComparison:
    (name_a, entry_a), (name_b, entry_b) = a, b
    samples_a, samples_b = Samples.from_entry(entry_a), Samples.from_entry(entry_b)
    ratio = (paired_ratio if same_file else unpaired_ratio)(samples_a, samples_b)
    return RowComparison(
        model=entry_a["model"],
        a=name_a,
        b=name_b,
        a_ms=summarize(samples_a).median_ms,
        b_ms=summarize(samples_b).median_ms,
        ratio=ratio,
        verdict=ratio.verdict(margin),
    )


def _count_row(a: Named, b: Named, margin: float) -> CountedRow:
    (name_a, entry_a), (name_b, entry_b) = a, b
    count_a, count_b = entry_a["instructions"]["median"], entry_b["instructions"]["median"]
    within = 1 / (1 + margin) <= count_b / count_a <= 1 + margin
    verdict: Literal["more", "fewer", "the same"] = (
        "the same" if within else "more" if count_b > count_a else "fewer"
    )
    return CountedRow(entry_a["model"], name_a, name_b, count_a, count_b, verdict)


def _warnings(side: str, rows: Sequence[Named]) -> list[str]:
    """Return what the samples warn of that shifts one run and not the other; the interval tells of too few samples."""
    return in_words(
        [
            (f"{side} {name}", finding)
            for name, entry in rows
            for finding in diagnose(Samples.from_entry(entry))
            if finding.kind not in (Kind.TOO_FEW, Kind.OUTLIERS)
        ]
    )


def _advice(rows: Sequence[RowComparison], margin: float) -> list[str]:
    """Return what would settle the rows that are inconclusive."""
    open_rows = [row for row in rows if row.verdict is Verdict.INCONCLUSIVE]
    if not open_rows:
        return []
    if any(row.ratio.launches < 2 for row in open_rows):
        return [
            "Inconclusive: one launch can't tell a network from its placement in memory; raise --launches."
        ]
    needed = [row.ratio.launches_to_settle(margin) for row in open_rows]
    if None in needed:
        return [
            "Inconclusive: too much noise for more launches to help; run both in one `mobiledeploy benchmark`."
        ]
    return [f"Inconclusive: about --launches {max(filter(None, needed))} would settle it."]
