"""What converts: this project's converter and pnnx on the third-party networks, checked with onnxruntime.

    python -m benchmarks.third_party.coverage EXPORTED RESULTS [--converters ours,…] [--networks NAME,…]

EXPORTED is the folder of `export`. Leaves RESULTS/coverage/CONVERTER/NAME.json, and prints a Markdown table of all
that is there. `check` defines the error. The target: at least 46 of the 48 within 1e-4, the others refused, none
wrong, none crashing.
"""

from __future__ import annotations

import argparse
import json
import tempfile
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from benchmarks.third_party.converters import CONVERTERS, Conversion, convert
from benchmarks.third_party.export import onnx_file
from benchmarks.third_party.names import NAMES, THIRD_PARTY, selection
from benchmarks.third_party.outcome import Outcome, WorkerError, call


def cover(name: str, converter: str, exported: Path) -> dict[str, Any]:
    """Convert one network and check the result; returns `outcome`, `message`, `error` and `process_s`."""
    with tempfile.TemporaryDirectory() as temporary:
        param, weights = Path(temporary, "model.param"), Path(temporary, "model.bin")
        conversion = convert(name, converter, exported, param, weights)
        found: dict[str, Any] = {"outcome": conversion.outcome, "message": conversion.message}
        if conversion.outcome is Outcome.OK:
            found.update(checked(onnx_file(exported, name), conversion, param, weights))
    return {**found, "process_s": conversion.process_s}


def checked(model: Path, conversion: Conversion, param: Path, weights: Path) -> dict[str, Any]:
    """Compare a pair of files with onnxruntime; returns `outcome`, and `error` or `message`."""
    try:
        blobs = ",".join(conversion.inputs), ",".join(conversion.outputs)
        return call("check", model, param, weights, *blobs)
    except WorkerError as error:
        return {"outcome": Outcome.CRASHED, "message": f"ncnn: {error}"}


def record(results: Path, converter: str, name: str) -> Path:
    """Return the file of one result."""
    return results / "coverage" / converter / f"{name}.json"


def in_words(found: dict[str, Any] | None) -> str:
    """Say one result in a table's cell."""
    if found is None:
        return ""
    error = f" {found['error']:.1e}" if "error" in found else ""
    message = f": {found['message']}" if found.get("message") else ""
    return f"{found['outcome']}{error}{message}".replace("|", "/")


def table(results: Path) -> Iterator[str]:
    """Yield the lines of a Markdown table of all recorded results, and the counts below it."""
    yield f"| network | {' | '.join(CONVERTERS)} |"
    yield f"|---|{'---|' * len(CONVERTERS)}"
    counts: dict[str, Counter[str]] = {converter: Counter() for converter in CONVERTERS}
    for name in NAMES:
        cells = []
        for converter in CONVERTERS:
            file = record(results, converter, name)
            found = json.loads(file.read_text()) if file.is_file() else None
            cells.append(in_words(found))
            if found and name in THIRD_PARTY:
                counts[converter][found["outcome"]] += 1
        yield f"| {name} | {' | '.join(cells)} |"
    yield ""
    for converter, counted in counts.items():
        words = ", ".join(f"{counted[outcome]} {outcome.value}" for outcome in Outcome if counted[outcome])
        yield f"{converter}: of {counted.total()} third-party networks {words}."


def main() -> None:
    """Convert and check what is asked for, and print a Markdown table."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("exported", type=Path, metavar="EXPORTED")
    parser.add_argument("results", type=Path, metavar="RESULTS")
    parser.add_argument("--converters", default=",".join(CONVERTERS))
    parser.add_argument("--networks", type=selection, default=list(NAMES))
    options = parser.parse_args()
    for name in options.networks:
        for converter in options.converters.split(","):
            if onnx_file(options.exported, name).is_file():
                file = record(options.results, converter, name)
                file.parent.mkdir(parents=True, exist_ok=True)
                file.write_text(json.dumps(cover(name, converter, options.exported), indent=1))
    print("\n".join(table(options.results)))


if __name__ == "__main__":
    main()
