"""How often `compare` is right: identical configurations (A/A), and one with a true slowdown of 5 % (A/B).

    python benchmarks/verdicts.py BUNDLE [--same 200] [--slowed 100] [--seconds 10] [-o verdicts.jsonl]

Runs pairs of fp32 with one thread on a virtual phone, on one core of a computer that should be idle otherwise; in
every second A/A pair a busy process has the other core. Each pair is one run, of default length unless --seconds says
less, and one line of the output file; the same command again goes on where it was stopped, and prints the tables.

Beside each verdict stands what people conclude today from the minimum or the average of four loops, with the same
margin.
"""

from __future__ import annotations

import argparse
import json
import math
import os
import subprocess
import sys
from collections import Counter
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from mobiledeploy.benchmark import Method, Plan, benchmark
from mobiledeploy.bundle import Bundle, open_bundle
from mobiledeploy.device import Device
from mobiledeploy.phone.fallback import phone_or_virtual
from mobiledeploy.statistics import DEFAULT_MARGIN, Samples, Verdict, paired_ratio, upstream_figures

SLOWDOWN_PERCENT = 5
BENCH_CORE, OTHER_CORE = 0, 1
BUSY = f"import os; os.sched_setaffinity(0, {{{OTHER_CORE}}})\nwhile True: pass"
WRONG_AT_MOST, FOUND_AT_LEAST = 0.05, 0.90


def plan(study: str, seed: int, seconds: float) -> Plan:
    """Two configurations: the same, or the second slowed down by a known share."""
    method = Method(seed=seed, min_time_ms=round(seconds * 1000))
    if study == "A/A":
        return Plan(precisions=("fp32",), method=method, copies=2)
    return Plan(precisions=("fp32",), method=method, spin_percents=(0, SLOWDOWN_PERCENT))


@contextmanager
def busy(wanted: bool) -> Iterator[None]:
    """Keep the other core busy meanwhile."""
    if not wanted:
        yield
        return
    child = subprocess.Popen([sys.executable, "-c", BUSY])
    try:
        yield
    finally:
        child.kill()
        child.wait()


def naive(a_ms: float, b_ms: float) -> str:
    """The verdict of someone who looks at two numbers."""
    if b_ms > a_ms * (1 + DEFAULT_MARGIN):
        return Verdict.SLOWER.value
    return Verdict.FASTER.value if a_ms > b_ms * (1 + DEFAULT_MARGIN) else Verdict.SAME.value


def judge(entry_a: Mapping[str, Any], entry_b: Mapping[str, Any]) -> dict[str, Any]:
    """The verdicts on two entries of one run."""
    a, b = Samples.from_entry(entry_a), Samples.from_entry(entry_b)
    ratio = paired_ratio(a, b)
    four_a, four_b = upstream_figures(a), upstream_figures(b)
    return {
        "ratio": ratio.ratio,
        "interval": [ratio.interval.low, ratio.interval.high],
        "launches": ratio.launches,
        "compare": ratio.verdict().value,
        "min of 4 loops": naive(four_a.min_ms, four_b.min_ms),
        "average of 4 loops": naive(four_a.average_ms, four_b.average_ms),
    }


def wilson(hits: int, count: int) -> tuple[float, float]:
    """The 95 % interval of a share (Wilson, JASA 22, 1927)."""
    z = 1.959964
    centre = (hits + z * z / 2) / (count + z * z)
    half = z * math.sqrt(hits * (count - hits) / count + z * z / 4) / (count + z * z)
    return centre - half, centre + half


def table(lines: list[dict[str, Any]]) -> str:
    """The counts as Markdown."""
    rows = [
        "| study | other core | judged by | pairs | faster | same | slower | inconclusive | right | 95 % |"
    ]
    rows += ["|---|---|---|---:|---:|---:|---:|---:|---:|---|"]
    for study in ("A/A", "A/B"):
        for load in (False, True):
            chosen = [line for line in lines if (line["study"], line["loaded"]) == (study, load)]
            for judged in ("compare", "min of 4 loops", "average of 4 loops") if chosen else ():
                rows.append(row(study, load, judged, Counter(line[judged] for line in chosen)))
    return "\n".join(rows)


def row(study: str, load: bool, judged: str, counts: Counter[str]) -> str:
    """One line of the table. In A/A right is not to say faster or slower, in A/B to say slower."""
    total = counts.total()
    wrong = counts["faster"] + counts["slower"]
    right = total - wrong if study == "A/A" else counts["slower"]
    low, high = wilson(right, total)
    cells = [study, "busy" if load else "idle", judged, total]
    cells += [counts[verdict.value] for verdict in (Verdict.FASTER, Verdict.SAME, Verdict.SLOWER)]
    cells += [counts[Verdict.INCONCLUSIVE.value], f"{right / total:.1%}", f"{low:.1%}–{high:.1%}"]
    return f"| {' | '.join(str(cell) for cell in cells)} |"


def targets(lines: list[dict[str, Any]]) -> str:
    """The two figures that are promised."""
    same = [line["compare"] for line in lines if line["study"] == "A/A"]
    wrong = sum(verdict in ("faster", "slower") for verdict in same)
    slowed = [line["compare"] for line in lines if line["study"] == "A/B" and not line["loaded"]]
    found = slowed.count("slower")
    return (
        f"A/A: faster or slower in {wrong} of {len(same)} (at most {WRONG_AT_MOST:.0%}). "
        f"A/B, other core idle: slower in {found} of {len(slowed)} (at least {FOUND_AT_LEAST:.0%})."
    )


def measure(bundle: Bundle, device: Device, study: str, pairs: int, seconds: float, output: Path) -> None:
    """Run what the output file lacks of the pairs of a study."""
    done = {(line["study"], line["pair"]) for line in read(output)}
    for pair in range(pairs):
        if (study, pair) not in done:
            loaded = study == "A/A" and pair % 2 == 1
            with busy(loaded):
                run = benchmark([bundle], device, plan(study, pair + 1, seconds))
            line = {"study": study, "pair": pair, "loaded": loaded, **judge(*run.benchmarks)}
            with output.open("a") as file:
                file.write(json.dumps(line) + "\n")
            print(f"{study} {pair + 1}/{pairs}: {line['compare']} ({line['ratio']:.3f})", file=sys.stderr)


def read(output: Path) -> list[dict[str, Any]]:
    """Read the lines of earlier pairs."""
    return [json.loads(line) for line in output.read_text().splitlines()] if output.exists() else []


def main() -> None:
    """Measure, and print Markdown tables."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("bundle", type=Path)
    parser.add_argument("--same", type=int, default=200, help="A/A pairs")
    parser.add_argument("--slowed", type=int, default=100, help="A/B pairs")
    parser.add_argument("--seconds", type=float, default=10.0, help="measured for each configuration")
    parser.add_argument("-o", "--output", type=Path, default=Path("verdicts.jsonl"))
    arguments = parser.parse_args()
    # The virtual phone's processes are children of this one, and stay on its core.
    os.sched_setaffinity(0, {BENCH_CORE})
    with phone_or_virtual(None) as device:
        bundle = open_bundle(arguments.bundle)
        measure(bundle, device, "A/A", arguments.same, arguments.seconds, arguments.output)
        measure(bundle, device, "A/B", arguments.slowed, arguments.seconds, arguments.output)
    lines = read(arguments.output)
    print(table(lines))
    print()
    print(targets(lines))


if __name__ == "__main__":
    main()
