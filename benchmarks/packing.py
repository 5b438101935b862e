"""What channels padded with zeros save in instructions on CPU models under QEMU.

    python benchmarks/packing.py BUNDLE… [--on cortex-a76:fp16 …] [--graphs N] [--scale N]

Bundles hold fp32. For each CPU the widths are chosen by the instructions that each layer takes, as it is and without
winograd, whichever is less; N graphs are counted at most. Then four variants are counted: as ncnn runs the graph,
with winograd switched off where that takes fewer, padded, and both. `--scale` chooses the widths on an input that is N
times smaller each way, which is quicker where the network takes one. Needs a qemu-aarch64 that takes plugins.
"""

from __future__ import annotations

import argparse
import tempfile
from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np

from android_bench import build_binary
from mobiledeploy.benchmark.inference import pull_outputs
from mobiledeploy.benchmark.instructions import Counts, parse_marks, prepare_counter
from mobiledeploy.benchmark.journal import Journal, read_journal, whole_lines
from mobiledeploy.bundle import Bundle, open_bundle
from mobiledeploy.cache import cache_dir
from mobiledeploy.device import Device, open_device
from mobiledeploy.phone import VirtualPhone
from ncnn_tools.files import load, save
from ncnn_tools.graph import Graph
from ncnn_tools.half_precision import store_as_fp16
from ncnn_tools.inspect.shapes import measure_blobs
from ncnn_tools.packing import choose_widths, pad_channels
from ncnn_tools.quantization.winograd import mask_winograd, runs_winograd
from ncnn_tools.runtime import input_shapes

DEFAULT = ["cortex-a76:fp16", "cortex-a53:fp32"]
COLUMNS = [
    "network",
    "CPU",
    "ncnn's own (M)",
    "winograd off where less",
    "padded",
    "both",
    "both / ncnn's own",
    "max difference",
    "groups padded",
    "graphs counted",
]


class Emulated:
    """Counts graphs of a bundle on an emulated phone, in fp32 or fp16."""

    def __init__(self, device: Device, bundle: Bundle, precision: str, scale: int) -> None:
        self.device = device
        self.bundle = bundle
        self.fp16 = precision != "fp32"
        self.scale = scale
        self.counter = prepare_counter(device)
        binary = build_binary("arm64-v8a", cache_dir=cache_dir(), layers="lean")
        self.binary = device.store(binary.path, executable=True)

    def layers(self, graph: Graph) -> dict[str, int]:
        """Return the instructions of each layer."""
        journal, counts, _ = self._run(graph, self.scale)
        names = [layer["name"] for layer in journal.networks[0]]
        return dict(zip(names, counts.layers, strict=True))

    def whole(self, graph: Graph) -> tuple[int, dict[str, np.ndarray]]:
        """Return the instructions of an inference at the bundle's size, and its outputs."""
        _, counts, outputs = self._run(graph, 1)
        return counts.inferences[0], outputs

    def price(self, graphs: Sequence[Graph]) -> list[Mapping[str, float]]:
        """Return each layer's instructions, with or without winograd, whichever is less."""
        prices: list[Mapping[str, float]] = []
        for graph in graphs:
            fast, plain = self.layers(graph), self.layers(without_winograd(graph, None))
            prices.append({name: min(count, plain[name]) for name, count in fast.items()})
        return prices

    def better_without_winograd(self, graph: Graph) -> Graph:
        """Return the graph with winograd off for the layers that take fewer instructions so."""
        fast, plain = self.layers(graph), self.layers(without_winograd(graph, None))
        return without_winograd(graph, {name for name, count in fast.items() if plain[name] < count})

    def _run(self, graph: Graph, scale: int) -> tuple[Journal, Counts, dict[str, np.ndarray]]:
        stored = store_as_fp16(graph) if self.fp16 else graph
        with tempfile.TemporaryDirectory() as local, self.device.scratch() as folder:
            param, weights, marks = (Path(local, name) for name in ("m.param", "m.bin", "marks"))
            save(stored, param, weights)
            argv = [self.binary, "--stream", "1", "--dump", folder, "--mark", "1", "--profile", "1"]
            argv += ["--warmup", "0", "--min-runs", "0", "--config", "c0", "--fp16", str(int(self.fp16))]
            argv += ["--param", self.device.store(param, folder=folder)]
            argv += ["--bin", self.device.store(weights, folder=folder)]
            for tensor in self.bundle.inputs:
                sample = Path(local, f"{tensor.name}.npy")
                np.save(sample, np.load(self.bundle.samples()[tensor.name])[:1, :, ::scale, ::scale])
                argv += ["--input", f"{tensor.blob}={self.device.store(sample, folder=folder)}"]
            for tensor in self.bundle.outputs:
                argv += ["--output", tensor.blob]
            done = self.device.run(argv, timeout_s=3600, environment=self.counter.environment(folder))
            if done.exit_code:
                raise SystemExit(done.stderr.decode("utf-8", "replace"))
            journal = read_journal(whole_lines(done.stdout))
            self.device.pull(f"{folder}/instructions", marks)
            counts = parse_marks(marks.read_text())[0]
            same_size = scale == 1
            outputs = (
                pull_outputs(self.bundle.outputs, self.device, folder, journal.loaded[0]) if same_size else {}
            )
        return journal, counts, outputs


def without_winograd(graph: Graph, names: set[str] | None) -> Graph:
    """Return a copy with winograd off for the layers of these names, or for all."""
    result = graph.copy()
    for layer in result.layers:
        if runs_winograd(layer) and (names is None or layer.name in names):
            mask_winograd(layer)
    return result


def with_shapes(graph: Graph, outputs: Sequence[str], scale: int = 1) -> Graph:
    """Return a copy with the shapes that ncnn finds, for an input that is `scale` times smaller each way."""
    result = graph.copy()
    result.outputs = list(outputs)
    for layer in result.layers:
        if layer.type == "Input":
            for axis in ("w", "h"):
                layer.set(axis, layer.integer(axis) // scale)
    sizes = measure_blobs(result, input_shapes(result)).sizes
    result.shapes = {blob: size.shape for blob, size in sizes.items()}
    return result


def row(device: Device, bundle: Bundle, cpu: str, precision: str, graphs: int, scale: int) -> list[str]:
    """Choose widths for a CPU and count the four variants."""
    variant = bundle.variant("fp32")
    blobs = [tensor.blob for tensor in bundle.outputs]
    stored = load(variant.param, variant.bin)
    emulated = Emulated(device, bundle, precision, scale)
    chosen = choose_widths(with_shapes(stored, blobs, scale), emulated.price, graphs)
    plain = with_shapes(stored, blobs)
    padded = pad_channels(plain, chosen.widths)
    full = Emulated(device, bundle, precision, 1)
    variants = [plain, full.better_without_winograd(plain), padded, full.better_without_winograd(padded)]
    found = [full.whole(graph) for graph in variants]
    counts = [count for count, _ in found]
    before, after = found[0][1], found[-1][1]
    difference = max(float(np.abs(after[name] - values).max()) for name, values in before.items())
    return [
        bundle.name,
        f"{cpu} {precision}",
        *(f"{count / 1e6:.1f}" for count in counts),
        f"{counts[-1] / counts[0]:.3f}",
        f"{difference:.1e}",
        str(len(chosen.widths)),
        str(chosen.graphs),
    ]


def main() -> None:
    """Print a Markdown table, a row for each network and CPU."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("bundles", nargs="+", type=Path, metavar="BUNDLE")
    parser.add_argument("--on", nargs="+", default=DEFAULT, metavar="CPU:PRECISION")
    parser.add_argument("--graphs", type=int, default=20)
    parser.add_argument("--scale", type=int, default=1)
    options = parser.parse_args()
    print(f"| {' | '.join(COLUMNS)} |")
    print("|---|---|" + "---:|" * (len(COLUMNS) - 2))
    for place in options.on:
        cpu, _, precision = place.partition(":")
        with VirtualPhone(abi="arm64-v8a", cpu=cpu) as phone, open_device(phone.serial) as device:
            for path in options.bundles:
                cells = row(device, open_bundle(path), cpu, precision, options.graphs, options.scale)
                print(f"| {' | '.join(cells)} |", flush=True)


if __name__ == "__main__":
    main()
