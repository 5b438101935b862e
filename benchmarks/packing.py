"""What channels padded with zeros save in instructions on CPU models under QEMU.

    python benchmarks/packing.py BUNDLE… [--on cortex-a76:fp16 …] [--graphs N] [--scale N] [--widths DIR]

Bundles hold fp32. For each CPU the widths are chosen by the instructions that each layer takes, as it is and without
winograd, whichever is less; N graphs are counted at most. Then the graph is counted as it is, padded, and padded with
winograd switched off where that takes fewer. `--scale` chooses the widths on an input that is N times smaller
each way, which is quicker where the network takes one. What was chosen is kept in DIR, and used where it is there.
Needs a qemu-aarch64 that takes plugins.
"""

from __future__ import annotations

import argparse
import json
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
    "padded",
    "ratio",
    "and winograd off where less",
    "ratio",
    "max difference",
    "groups padded",
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
        return _by_name(journal, counts)

    def whole(self, graph: Graph) -> tuple[int, dict[str, int], dict[str, np.ndarray]]:
        """Return the instructions of an inference at the bundle's size, of each layer, and the outputs."""
        journal, counts, outputs = self._run(graph, 1)
        return counts.inferences[0], _by_name(journal, counts), outputs

    def price(self, graphs: Sequence[Graph]) -> list[Mapping[str, float]]:
        """Return each layer's instructions, with or without winograd, whichever is less."""
        prices: list[Mapping[str, float]] = []
        for graph in graphs:
            fast, plain = self.layers(graph), self.layers(without_winograd(graph, None))
            prices.append({name: min(count, plain[name]) for name, count in fast.items()})
        return prices

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


def chosen_widths(emulated: Emulated, graph: Graph, graphs: int, kept: Path | None) -> Mapping[str, int]:
    """Choose widths for a graph, or take those that were kept."""
    if kept is not None and kept.is_file():
        widths: dict[str, int] = json.loads(kept.read_text())
        return widths
    chosen = choose_widths(graph, emulated.price, graphs)
    if kept is not None:
        kept.parent.mkdir(parents=True, exist_ok=True)
        kept.write_text(json.dumps(dict(chosen.widths), indent=1))
    return chosen.widths


def row(emulated: Emulated, cpu: str, precision: str, graphs: int, folder: Path | None) -> list[str]:
    """Choose widths for a CPU and count the variants."""
    bundle = emulated.bundle
    variant = bundle.variant("fp32")
    blobs = [tensor.blob for tensor in bundle.outputs]
    stored = load(variant.param, variant.bin)
    kept = folder / f"{bundle.name}-{cpu}-{precision}.json" if folder else None
    widths = chosen_widths(emulated, with_shapes(stored, blobs, emulated.scale), graphs, kept)
    plain = with_shapes(stored, blobs)
    padded = pad_channels(plain, widths)
    before, _, expected = emulated.whole(plain)
    after, fast, _ = emulated.whole(padded)
    _, direct, _ = emulated.whole(without_winograd(padded, None))
    better = {name for name, count in fast.items() if direct[name] < count}
    both, _, outputs = emulated.whole(without_winograd(padded, better))
    difference = max(float(np.abs(outputs[name] - values).max()) for name, values in expected.items())
    return [
        bundle.name,
        f"{cpu} {precision}",
        f"{before / 1e6:.1f}",
        f"{after / 1e6:.1f}",
        f"{after / before:.3f}",
        f"{both / 1e6:.1f}",
        f"{both / before:.3f}",
        f"{difference:.1e}",
        str(len(widths)),
    ]


def _by_name(journal: Journal, counts: Counts) -> dict[str, int]:
    return dict(zip((layer["name"] for layer in journal.networks[0]), counts.layers, strict=True))


def main() -> None:
    """Print a Markdown table, a row for each network and CPU."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("bundles", nargs="+", type=Path, metavar="BUNDLE")
    parser.add_argument("--on", nargs="+", default=DEFAULT, metavar="CPU:PRECISION")
    parser.add_argument("--graphs", type=int, default=20)
    parser.add_argument("--scale", type=int, default=1)
    parser.add_argument("--widths", type=Path, metavar="DIR")
    options = parser.parse_args()
    print(f"| {' | '.join(COLUMNS)} |")
    print("|---|---|" + "---:|" * (len(COLUMNS) - 2))
    for place in options.on:
        cpu, _, precision = place.partition(":")
        with VirtualPhone(abi="arm64-v8a", cpu=cpu) as phone, open_device(phone.serial) as device:
            for path in options.bundles:
                emulated = Emulated(device, open_bundle(path), precision, options.scale)
                cells = row(emulated, cpu, precision, options.graphs, options.widths)
                print(f"| {' | '.join(cells)} |", flush=True)


if __name__ == "__main__":
    main()
