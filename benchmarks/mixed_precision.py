"""Mixed precision against the uniform variants: time on the device, error on pictures that chose nothing, size.

    python benchmarks/mixed_precision.py BUNDLE… --calibration DIR --held-out DIR [--max-mae 0.002] [-s SERIAL]

For each bundle (of `convert`, with fp32) three variants are made on the device: int8, mixed, and `tuned`, which is
fp32 with algorithms chosen by layer. Then all of them and ncnn's own fp32 and fp16 run interleaved in ten fresh
processes with shuffled loading orders, one thread. Ratios are to ncnn's fp32 in the same rounds, of wall and of CPU
time, with the 95 % interval of the wall time's. Errors are against fp32 on the held-out files. On an emulated phone
instructions are counted instead of times.
"""

from __future__ import annotations

import argparse
import dataclasses
import tempfile
import time
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import numpy as np

from mobiledeploy.benchmark import Method, Plan
from mobiledeploy.bundle import Bundle, open_bundle
from mobiledeploy.convert import QuantizeRequest, quantize_bundle
from mobiledeploy.convert.int8_options import Int8Options
from mobiledeploy.convert.samples import input_data
from mobiledeploy.convert.variants import load_variant, make_variant, write_variant
from mobiledeploy.mixed import Bound, DeviceMixer
from mobiledeploy.mixed.judge import Judge
from mobiledeploy.mixed.trial import TrialBench, whole_price
from mobiledeploy.phone.fallback import phone_or_virtual
from mobiledeploy.source.reference import TensorSpec
from mobiledeploy.statistics import Samples, paired_ratio
from ncnn_tools.graph import Graph

METHOD = Method(launches=10, warmup_runs=3, max_warmup_ms=500, min_runs=200, min_time_ms=0, max_time_ms=0)
BASE = "fp32"


def main() -> None:
    """Make, measure and print, one bundle after the other."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("bundles", nargs="+", type=Path)
    parser.add_argument("--calibration", type=Path, required=True)
    parser.add_argument("--held-out", type=Path, required=True)
    for name in ("max-mae", "min-iou", "min-cosine", "min-top1"):
        parser.add_argument(f"--{name}", type=float)
    parser.add_argument(
        "--weights", default=Int8Options.weights, help="For these see `mobiledeploy quantize`."
    )
    parser.add_argument("--rounding", action="store_true")
    parser.add_argument("--equalize", action="store_true")
    parser.add_argument("-s", "--serial")
    arguments = parser.parse_args()
    limits = {field.name: getattr(arguments, field.name) for field in dataclasses.fields(Bound)}
    int8 = Int8Options(weights=arguments.weights, rounding=arguments.rounding, equalize=arguments.equalize)
    bound = Bound(**limits) if any(limit is not None for limit in limits.values()) else None
    print(
        "| network | variant | size (M) | of fp32 | time | ratio | interval | CPU ratio | held-out error | search (s) |"
    )
    print("|---|---|---:|---:|---:|---:|---:|---:|---|---:|")
    with phone_or_virtual(arguments.serial) as device, tempfile.TemporaryDirectory() as folder:
        for path in arguments.bundles:
            bundle = open_bundle(path)
            workshop = Workshop(bundle, arguments.calibration, Path(folder, path.name), bound, int8)
            for row in rows(workshop, device, arguments.held_out):
                print(f"| {' | '.join(row)} |", flush=True)


@dataclasses.dataclass
class Workshop:
    """A bundle, and what is made of it."""

    bundle: Bundle
    calibration: Path
    folder: Path
    bound: Bound | None
    int8: Int8Options

    def made(self, name: str, mixer: DeviceMixer) -> tuple[Bundle, float]:
        """Make int8 and a mixed variant in a bundle of its own; returns it and the seconds that took."""
        start = time.perf_counter()
        request = QuantizeRequest(self.bundle.path, self.folder / name, self.calibration, self.int8, mixer)
        return quantize_bundle(request)[0], time.perf_counter() - start


def rows(workshop: Workshop, device: Any, held_out: Path) -> Iterator[list[str]]:
    """Yield a row for each variant."""
    mixed, took = workshop.made("mixed", DeviceMixer(device, workshop.bound))
    variants = {name: (mixed, name) for name in (BASE, "int8", "mixed")}
    seconds = {"mixed": took}
    if device.facts.timings_are_latency:
        tuned, seconds["tuned"] = workshop.made(
            "tuned", DeviceMixer(device, Bound(min_cosine=0.99), "fp32", int8=False)
        )
        variants["tuned"] = (tuned, "mixed")
    graphs = {name: load_variant(*variant) for name, variant in variants.items()}
    graphs["fp16"] = make_variant(graphs[BASE], "fp16")
    sizes = {name: size_bytes(graph) for name, graph in graphs.items()}
    bench = TrialBench(device, mixed.path, mixed.manifest, workshop.folder / "bench", 1, lambda *_: None)
    entries = measured(bench, graphs)
    errors = errors_of(workshop.bundle, graphs, held_out)
    for name in graphs:
        yield [
            workshop.folder.name,
            name,
            f"{sizes[name] / 1e6:.2f}",
            f"{sizes[name] / sizes[BASE]:.3f}",
            f"{whole_price(entries[name]):.2f}",
            *ratios(entries[BASE], entries[name]),
            errors[name],
            f"{seconds[name]:.0f}" if name in seconds else "",
        ]


def size_bytes(graph: Graph) -> int:
    """Return how long a graph's two files are together."""
    with tempfile.TemporaryDirectory() as folder:
        return int(write_variant(graph, Path(folder), "variant")["size_bytes"])


def measured(bench: TrialBench, graphs: Mapping[str, Graph]) -> dict[str, Mapping[str, Any]]:
    """Run all graphs beside each other; returns each one's entry of the run."""
    plan = Plan(method=METHOD, count_instructions=not bench.timed)
    return {entry["precision"]: entry for entry in bench.run(graphs, plan).benchmarks}


def ratios(base: Mapping[str, Any], entry: Mapping[str, Any]) -> list[str]:
    """Return the ratio of wall times with its interval, and of CPU times; of counts the first alone."""
    if "instructions" in base:
        return [f"{whole_price(entry) / whole_price(base):.3f}", "", ""]
    samples = Samples.from_entry(base), Samples.from_entry(entry)
    wall = paired_ratio(*samples)
    cpu = paired_ratio(
        *(dataclasses.replace(each, times_ms=each.cpu_ms) for each in samples if each.cpu_ms is not None)
    )
    interval = f"{wall.interval.low:.3f}–{wall.interval.high:.3f}"
    return [f"{wall.ratio:.3f}", interval, f"{cpu.ratio:.3f}"]


def errors_of(bundle: Bundle, graphs: Mapping[str, Graph], held_out: Path) -> dict[str, str]:
    """Return in words how far each graph is from fp32 on the held-out files."""
    specs = [TensorSpec(tensor.name, tensor.shape) for tensor in bundle.inputs]
    data = input_data(specs, bundle.preprocessing, held_out)
    blob = bundle.inputs[0].blob
    samples = [{blob: next(iter(sample.values()))[0]} for sample in data.load()]
    outputs = {tensor.name: (tensor.blob, tensor.shape) for tensor in bundle.outputs}
    masked = bundle.matte is not None and not bundle.untrained
    bound = Bound(max_mae=1, min_iou=0) if masked else Bound(min_cosine=0, min_top1=0)
    judge = Judge(graphs[BASE], samples, outputs, bound, bundle.matte)
    names = {"max_mae": "MAE", "min_iou": "IoU", "min_cosine": "cosine", "min_top1": "top-1"}
    return {
        name: ", ".join(
            f"{names[key]} {np.mean(values):.5f}" for key, values in judge.figures(graph).values.items()
        )
        for name, graph in graphs.items()
    }


if __name__ == "__main__":
    main()
