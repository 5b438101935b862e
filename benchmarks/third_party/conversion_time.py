"""How long a conversion takes: this project's converter beside pnnx, from the same ONNX file, in turns.

    python -m benchmarks.third_party.conversion_time EXPORTED RESULTS [--repeats 5] [--networks NAME,…]

From the ONNX file on disk to .param and .bin written, without any check of the result. The whole process is what
pnnx's program takes too; "inside" leaves out the start of Python and its imports. Medians, seconds of wall time; only
networks that both convert. Leaves RESULTS/conversion_time.json. The target: at most half of pnnx's.
"""

from __future__ import annotations

import argparse
import json
import statistics
import tempfile
from pathlib import Path

from benchmarks.third_party.converters import OURS, PNNX_ONNX, Conversion, convert
from benchmarks.third_party.export import onnx_file
from benchmarks.third_party.names import NAMES, selection
from benchmarks.third_party.outcome import Outcome

TARGET = 0.5


def measure(name: str, exported: Path, repeats: int) -> dict[str, float] | None:
    """Convert one network so often with each; None where one of them can't."""
    found: dict[str, list[Conversion]] = {OURS: [], PNNX_ONNX: []}
    with tempfile.TemporaryDirectory() as temporary:
        files = Path(temporary, "model.param"), Path(temporary, "model.bin")
        for repeat in range(repeats):
            for converter in (OURS, PNNX_ONNX) if repeat % 2 else (PNNX_ONNX, OURS):
                conversion = convert(name, converter, exported, *files)
                if conversion.outcome is not Outcome.OK:
                    return None
                found[converter].append(conversion)
    return {
        "ours_s": statistics.median(conversion.process_s for conversion in found[OURS]),
        "inside_s": statistics.median(conversion.inside_s for conversion in found[OURS]),
        "pnnx_s": statistics.median(conversion.process_s for conversion in found[PNNX_ONNX]),
    }


def main() -> None:
    """Measure and print a Markdown table."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("exported", type=Path, metavar="EXPORTED")
    parser.add_argument("results", type=Path, metavar="RESULTS")
    parser.add_argument("--repeats", type=int, default=5)
    parser.add_argument("--networks", type=selection, default=list(NAMES))
    options = parser.parse_args()
    results: dict[str, dict[str, float]] = {}
    print("| network | ours, whole process (s) | ours, inside (s) | pnnx (s) | ratio | inside ratio |")
    print("|---|---:|---:|---:|---:|---:|")
    for name in options.networks:
        if not onnx_file(options.exported, name).is_file():
            continue
        found = measure(name, options.exported, options.repeats)
        if found is None:
            print(f"| {name} | | | | | |", flush=True)
            continue
        results[name] = found
        ours, inside, pnnx = found["ours_s"], found["inside_s"], found["pnnx_s"]
        cells = [f"{ours:.2f}", f"{inside:.2f}", f"{pnnx:.2f}", f"{ours / pnnx:.2f}", f"{inside / pnnx:.2f}"]
        print(f"| {name} | {' | '.join(cells)} |", flush=True)
    options.results.mkdir(parents=True, exist_ok=True)
    (options.results / "conversion_time.json").write_text(json.dumps(results, indent=1))
    if results:
        for what, key in (("whole process", "ours_s"), ("inside", "inside_s")):
            ratios = [found[key] / found["pnnx_s"] for found in results.values()]
            print(
                f"\n{what}: median ratio {statistics.median(ratios):.2f}, largest {max(ratios):.2f}", end=""
            )
        print(f" (target {TARGET}).")


if __name__ == "__main__":
    main()
