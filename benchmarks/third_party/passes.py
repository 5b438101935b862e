"""What each graph pass gives: how often it applies, and what the graphs cost without it.

    python -m benchmarks.third_party.passes EXPORTED RESULTS [--repeats 0] [--seconds 1] [--networks NAME,…]

Each pass is left out alone, the others stay. Layers, multiply-adds and bytes moved are those of `ncnn_tools.cost`, and
where --repeats says so, single-thread CPU times, in processes of their own (see `speed`). Ratios are the graph without
the pass over the whole one: above 1 is what the pass saves. Leaves RESULTS/passes/NAME.json and prints a Markdown table
of geometric means over the networks on which a pass applies; the last column is the largest ratio of CPU times, or
else of bytes.
"""

from __future__ import annotations

import argparse
import json
import math
import random
import sys
import tempfile
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import onnx

from benchmarks.third_party.export import onnx_file
from benchmarks.third_party.names import NAMES, selection
from benchmarks.third_party.outcome import WorkerError, call
from ncnn_tools.cost import BlobSize, layer_cost
from ncnn_tools.files import save
from ncnn_tools.graph import Graph
from ncnn_tools.onnx2ncnn import convert_onnx
from ncnn_tools.passes import PASSES, apply_passes
from ncnn_tools.runtime import Runtime

WHOLE = "whole"


def optimized(graph: Graph, without: str) -> tuple[Graph, Counter[str]]:
    """Apply every pass but one, as `optimize` does; returns the graph and how often each applied."""
    result = graph.copy()
    counts = apply_passes(result, [apply for apply in PASSES if apply.__name__ != without])
    result.forget_missing_blobs()
    result.check()
    return result, counts


def cost(graph: Graph, model: onnx.ModelProto) -> dict[str, float]:
    """Return layers, multiply-adds and bytes; the blobs' sizes are those that ncnn gives."""
    shapes = [[axis.dim_value for axis in value.type.tensor_type.shape.dim] for value in model.graph.input]
    given = {blob: np.zeros(shape[1:], np.float32) for blob, shape in zip(graph.inputs, shapes, strict=True)}
    sizes = {
        blob: BlobSize(array.shape)
        for blob, array in Runtime.from_graph(graph).run(given, graph.blobs()).items()
    }
    costs = [
        layer_cost(layer, [sizes[blob] for blob in layer.inputs], [sizes[blob] for blob in layer.outputs])
        for layer in graph.layers
    ]
    return {
        "layers": len(graph.layers),
        "macs": sum(one.macs for one in costs),
        "bytes": sum(one.bytes for one in costs),
    }


def measure(model: onnx.ModelProto, repeats: int, seconds: float) -> dict[str, Any]:
    """Return how often each pass applied, and the cost of the whole graph and without each of these passes."""
    raw = convert_onnx(model)
    whole, counts = optimized(raw, "")
    graphs = {WHOLE: whole}
    for name, count in counts.items():
        if count and name != PASSES[-1].__name__:  # ncnn can't do without Splits
            graphs[name] = optimized(raw, name)[0]
    found = {name: cost(graph, model) for name, graph in graphs.items()}
    if repeats:
        for name, cpu_ms in times(graphs, model, repeats, seconds).items():
            found[name]["cpu_ms"] = cpu_ms
    return {"counts": counts, "costs": found}


def times(graphs: dict[str, Graph], model: onnx.ModelProto, repeats: int, seconds: float) -> dict[str, float]:
    """Time the graphs in turns; returns for each the median over its processes."""
    chance = random.Random(0)
    shape = "x".join(str(axis.dim_value) for axis in model.graph.input[0].type.tensor_type.shape.dim[1:])
    samples: dict[str, list[float]] = {name: [] for name in graphs}
    with tempfile.TemporaryDirectory() as temporary:
        for name, graph in graphs.items():
            save(graph, Path(temporary, f"{name}.param"), Path(temporary, f"{name}.bin"))
        for _ in range(repeats):
            for name in chance.sample(sorted(graphs), len(graphs)):
                files = Path(temporary, f"{name}.param"), Path(temporary, f"{name}.bin")
                blobs = graphs[name].inputs[0], shape, ",".join(graphs[name].outputs)
                samples[name].append(call("stopwatch", *files, *blobs, seconds)["cpu_ms"])
    return {name: float(np.median(values)) for name, values in samples.items()}


def table(results: dict[str, dict[str, Any]]) -> Iterator[str]:
    """Yield the lines of a Markdown table: a row a pass."""
    yield "| pass | networks | times | layers | multiply-adds | bytes moved | CPU time | largest, and where |"
    yield "|---|---:|---:|---:|---:|---:|---:|---|"
    for name in dict.fromkeys(apply.__name__ for apply in PASSES):
        applied = [network for network, found in results.items() if found["counts"].get(name)]
        times_applied = sum(results[network]["counts"][name] for network in applied)
        cells = [name, str(len(applied)), str(times_applied)]
        for quantity in ("layers", "macs", "bytes", "cpu_ms"):
            ratios = _ratios(results, applied, name, quantity)
            cells.append(f"{math.exp(np.mean(np.log(list(ratios.values())))):.3f}" if ratios else "")
        quantity = "cpu_ms" if cells[-1] else "bytes"
        ratios = _ratios(results, applied, name, quantity)
        best = max(ratios, key=lambda network: ratios[network]) if ratios else ""
        cells.append(f"{ratios[best]:.3f} {best}" if best else "")
        yield f"| {' | '.join(cells)} |"


def _ratios(
    results: dict[str, dict[str, Any]], networks: list[str], name: str, quantity: str
) -> dict[str, float]:
    costs = {network: results[network]["costs"] for network in networks}
    return {
        network: found[name][quantity] / found[WHOLE][quantity]
        for network, found in costs.items()
        if name in found and quantity in found[name]
    }


def main() -> None:
    """Measure each network in a process of its own, and print a Markdown table."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("exported", type=Path, metavar="EXPORTED")
    parser.add_argument("results", type=Path, metavar="RESULTS")
    parser.add_argument("--repeats", type=int, default=0, help="processes to time each graph in")
    parser.add_argument("--seconds", type=float, default=1.0, help="measured in each process")
    parser.add_argument("--networks", type=selection, default=list(NAMES))
    parser.add_argument("--here", action="store_true", help="measure in this process, and print JSON")
    options = parser.parse_args()
    names = [name for name in options.networks if onnx_file(options.exported, name).is_file()]
    if options.here:
        [name] = names
        print(
            json.dumps(
                measure(onnx.load(onnx_file(options.exported, name)), options.repeats, options.seconds)
            )
        )
        return
    results: dict[str, dict[str, Any]] = {}
    folder = options.results / "passes"
    folder.mkdir(parents=True, exist_ok=True)
    for name in names:
        settings = ["--repeats", options.repeats, "--seconds", options.seconds, "--networks", name, "--here"]
        try:
            results[name] = call("passes", options.exported, options.results, *settings)
        except WorkerError as error:
            print(f"{name}: {error}", file=sys.stderr)
            continue
        (folder / f"{name}.json").write_text(json.dumps(results[name], indent=1))
    print("\n".join(table(results)))


if __name__ == "__main__":
    main()
