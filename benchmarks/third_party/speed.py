"""How fast the graphs are: this project's fp32 graph beside pnnx's from the same ONNX file, one thread, this computer.

    python -m benchmarks.third_party.speed EXPORTED RESULTS [--repeats 7] [--seconds 1] [--networks NAME,…]
        [--peer pnnx-torchscript]

The computer should be idle otherwise. Two nets in one process are not equal (the one loaded last is favoured by 2 to
3 %), so each measurement is a process of its own (`stopwatch`), the networks in an order that changes with each
repeat, the two converters of a network back to back in an order by chance. A process gives its median CPU time; the
ratio is the geometric mean over the repeats, with Student's 95 % interval. Only graphs that `check` finds right.

Leaves the models in RESULTS/models and every measurement in RESULTS/speed-PEER.json. The targets: ratios with a median
of at most 0.97, none above 1.03.
"""

from __future__ import annotations

import argparse
import json
import random
import statistics
from pathlib import Path
from typing import Any

from benchmarks.third_party.converters import OURS, PNNX_ONNX, PNNX_TORCHSCRIPT, convert, input_shapes
from benchmarks.third_party.coverage import checked
from benchmarks.third_party.export import onnx_file
from benchmarks.third_party.names import NAMES, selection
from benchmarks.third_party.outcome import Outcome, call
from mobiledeploy.statistics import Ratio, Samples, paired_ratio

MEDIAN_TARGET, LARGEST_TARGET = 0.97, 1.03


def prepare(name: str, converter: str, exported: Path, results: Path) -> list[object] | None:
    """Convert and check; returns the arguments of `stopwatch` for it, or None where there is no right model."""
    folder = results / "models" / converter
    folder.mkdir(parents=True, exist_ok=True)
    param, weights = folder / f"{name}.param", folder / f"{name}.bin"
    model = onnx_file(exported, name)
    conversion = convert(name, converter, exported, param, weights)
    if conversion.outcome is not Outcome.OK:
        return None
    if checked(model, conversion, param, weights)["outcome"] != Outcome.OK:
        return None
    [(_, *shape)] = input_shapes(model)
    return [param, weights, conversion.inputs[0], "x".join(map(str, shape)), ",".join(conversion.outputs)]


def ratio(samples: dict[str, list[dict[str, float]]], clock: str) -> Ratio:
    """Return the time of our graph over that of pnnx's; the measurements of one repeat belong together."""
    ours, pnnx = ([run[clock] for run in runs] for runs in samples.values())
    return paired_ratio(_as_launches(pnnx), _as_launches(ours))


def _as_launches(times_ms: list[float]) -> Samples:
    count = len(times_ms)
    launches = list(range(count))
    entry = {
        "times_ms": times_ms,
        "started_ms": launches,
        "launch": launches,
        "round": [0] * count,
        "threads": 1,
    }
    return Samples.from_entry(entry)


def measure(
    programs: dict[str, dict[str, list[object]]], repeats: int, seconds: float, file: Path
) -> dict[str, Any]:
    """Time all models in turns; every measurement is in `file` as soon as its repeat is done."""
    chance = random.Random(0)
    samples: dict[str, Any] = {name: {converter: [] for converter in both} for name, both in programs.items()}
    for repeat in range(repeats):
        for name in chance.sample(sorted(programs), len(programs)):
            for converter in chance.sample(sorted(programs[name]), 2):
                samples[name][converter].append(call("stopwatch", *programs[name][converter], seconds))
        file.write_text(json.dumps(samples, indent=1))
        print(f"repeat {repeat + 1} of {repeats}", flush=True)
    return samples


def report(samples: dict[str, Any]) -> None:
    """Print a Markdown table and how the targets are met."""
    print("\n| network | ours (CPU ms) | pnnx (CPU ms) | ratio | 95 % interval | ratio of wall times |")
    print("|---|---:|---:|---:|---|---:|")
    ratios = {}
    for name, found in samples.items():
        judged, wall = ratio(found, "cpu_ms"), ratio(found, "wall_ms")
        ratios[name] = judged.ratio
        cells = [f"{statistics.median(run['cpu_ms'] for run in runs):.2f}" for runs in found.values()]
        interval = f"{judged.interval.low:.3f}–{judged.interval.high:.3f}"
        print(f"| {name} | {' | '.join(cells)} | {judged.ratio:.3f} | {interval} | {wall.ratio:.3f} |")
    if ratios:
        worst = max(ratios, key=lambda name: ratios[name])
        above = sum(value > LARGEST_TARGET for value in ratios.values())
        print(
            f"\nMedian ratio {statistics.median(ratios.values()):.3f} (target {MEDIAN_TARGET}); "
            f"{above} of {len(ratios)} above {LARGEST_TARGET}, the largest {ratios[worst]:.3f} ({worst})."
        )


def main() -> None:
    """Convert, measure, and print a Markdown table."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("exported", type=Path, metavar="EXPORTED")
    parser.add_argument("results", type=Path, metavar="RESULTS")
    parser.add_argument("--repeats", type=int, default=7)
    parser.add_argument("--seconds", type=float, default=1.0, help="measured in each process")
    parser.add_argument("--peer", default=PNNX_ONNX, choices=(PNNX_ONNX, PNNX_TORCHSCRIPT))
    parser.add_argument("--networks", type=selection, default=list(NAMES))
    options = parser.parse_args()
    programs: dict[str, dict[str, list[object]]] = {}
    for name in options.networks:
        if not onnx_file(options.exported, name).is_file():
            continue
        prepared = {c: prepare(name, c, options.exported, options.results) for c in (OURS, options.peer)}
        if missing := [converter for converter, arguments in prepared.items() if arguments is None]:
            print(f"{name}: no right model from {' and '.join(missing)}", flush=True)
        else:
            programs[name] = {c: arguments for c, arguments in prepared.items() if arguments is not None}
    report(
        measure(programs, options.repeats, options.seconds, options.results / f"speed-{options.peer}.json")
    )


if __name__ == "__main__":
    main()
