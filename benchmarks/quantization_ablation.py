"""What each method of int8 does for accuracy, alone and together, on pictures that were not used to calibrate.

    python benchmarks/quantization_ablation.py BUNDLE… [--photos DIR] [--calibrate N] [--test N]

Bundles are those of `mobiledeploy convert`, with fp32. Pictures to calibrate on and to test on are drawn by
models.synthetic, with other seeds; the photos of a folder can be tested on as well. Every row differs from the row
"mse thresholds" by what it names. How much of a difference is chance shows the row "other pictures": the same
method, calibrated on as many pictures that were drawn with other seeds. SNR is of all outputs of
the network together, int8 against fp32, the mean over pictures; alpha MAE and mask IoU are given where the bundle
has a mask and its weights are trained.
"""

from __future__ import annotations

import argparse
import tempfile
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

import numpy as np
import numpy.typing as npt

from mobiledeploy.bundle import Bundle, open_bundle
from mobiledeploy.matte import Matte
from mobiledeploy.metrics import mask_iou, mean_abs
from mobiledeploy.preprocessing import Preprocessing, list_images
from models.synthetic import write_portraits
from ncnn_tools.calibration import LEVELS
from ncnn_tools.files import load
from ncnn_tools.graph import Graph
from ncnn_tools.quantization import (
    CENTERED_LEVELS,
    InputStatistics,
    QuantizeOptions,
    center,
    centered_thresholds,
    centering_offsets,
    collect_input_statistics,
    collect_ranges,
    equalize,
    noise_to_signal,
    quantizable_layers,
    quantize,
)
from ncnn_tools.runtime import Runtime

Array = npt.NDArray[np.float32]
Pictures = Sequence[Array]

CALIBRATION_SEED, TEST_SEED = 8_000_000, 900
VALUES_A_PICTURE = 20_000  # of each activation, to choose its threshold by
STATISTICS_SAMPLES = (
    8  # for bias correction and rounding, which look at windows, of which a picture has thousands
)

EVERYTHING = QuantizeOptions(weight_thresholds="mse", rounding=True, bias_correction=True, chains=True)
METHODS: Mapping[str, QuantizeOptions] = {
    "mse thresholds": QuantizeOptions(),
    "+ mse weight thresholds": QuantizeOptions(weight_thresholds="mse"),
    "+ bias correction": QuantizeOptions(bias_correction=True),
    "+ rounding by second moments": QuantizeOptions(rounding=True),
    "+ chains": QuantizeOptions(chains=True),
    "+ winograd kept by narrow weights": QuantizeOptions(prefer="speed"),
    "+ bias correction, rounding": QuantizeOptions(rounding=True, bias_correction=True),
    "+ all but equalization": EVERYTHING,
}


def mse_threshold(values: Array, levels: int = LEVELS) -> float:
    """Return the threshold of the least squared error on these values."""
    sizes = np.abs(values)
    candidates = sizes.max() * np.linspace(0.2, 1, 81, dtype=np.float32)
    if not sizes.any():
        return 0.0
    errors = []
    for step in candidates / levels:
        errors.append(np.square(np.minimum(np.round(sizes / step), levels) * step - sizes).mean())
    return float(candidates[int(np.argmin(errors))])


@dataclass
class Network:
    """A float graph, what it is calibrated on, and what depends on the two."""

    graph: Graph
    samples: Sequence[Mapping[str, Array]]

    @cached_property
    def activations(self) -> dict[str, Array]:
        """Some values of each activation that is to be quantized, the largest of each picture among them."""
        runtime = Runtime.from_graph(self.graph)
        found: dict[str, list[Array]] = {layer.inputs[0]: [] for layer in quantizable_layers(self.graph)}
        generator = np.random.default_rng(0)
        for sample in self.samples:
            for blob, values in runtime.run(sample, found).items():
                some = generator.choice(values.reshape(-1), min(values.size, VALUES_A_PICTURE), replace=False)
                found[blob] += [some, values.reshape(-1)[[int(np.abs(values).argmax())]]]
        return {blob: np.concatenate(parts) for blob, parts in found.items()}

    @cached_property
    def thresholds(self) -> dict[str, float]:
        """The thresholds of least squared error."""
        return {blob: mse_threshold(values) for blob, values in self.activations.items()}

    @property
    def absmax(self) -> dict[str, float]:
        """The thresholds that clip nothing."""
        return {blob: float(np.abs(values).max()) for blob, values in self.activations.items()}

    @cached_property
    def statistics(self) -> dict[str, InputStatistics]:
        """What rounding and bias correction need."""
        return collect_input_statistics(self.graph, self.samples[:STATISTICS_SAMPLES], self.thresholds)

    @cached_property
    def equalized(self) -> Network:
        """The same function with more even channels."""
        graph = self.graph.copy()
        return Network(equalize(graph, collect_ranges(graph, self.samples)), self.samples)

    def centered(self) -> Graph:
        """Quantize with what is never negative centered, and biases corrected, which that needs."""
        graph = self.graph.copy()
        collect_ranges(graph, self.samples[:1])  # gives it shapes
        wide = {blob: mse_threshold(values, CENTERED_LEVELS) for blob, values in self.activations.items()}
        offsets = centering_offsets(graph, wide)
        graph, thresholds = center(graph, offsets), centered_thresholds(self.thresholds, offsets)
        samples = self.samples[:STATISTICS_SAMPLES]
        seen = collect_input_statistics(graph, samples, thresholds, moments=False)
        return quantize(graph, thresholds, QuantizeOptions(bias_correction=True), seen)

    def quantized(self, options: QuantizeOptions) -> Graph:
        """Quantize by some methods, with thresholds of least squared error."""
        needed = options.rounding or options.bias_correction
        return quantize(self.graph, self.thresholds, options, self.statistics if needed else None)


def variants(network: Network, other: Network) -> Iterable[tuple[str, Callable[[], Graph]]]:
    """Yield each row's name and what makes its graph; `other` is the network calibrated on other pictures."""
    yield "absmax thresholds", lambda: quantize(network.graph, network.absmax)
    yield "mse thresholds, other pictures", lambda: other.quantized(QuantizeOptions())
    for name, options in METHODS.items():
        yield name, lambda options=options: network.quantized(options)  # type: ignore[misc]
    yield "+ bias correction, centering", network.centered
    yield "+ equalization", lambda: network.equalized.quantized(QuantizeOptions())
    yield "+ everything", lambda: network.equalized.quantized(EVERYTHING)


def outputs_of(graph: Graph, pictures: Pictures) -> dict[str, Array]:
    """Run a graph on each picture; returns (N, …) for each output."""
    runtime = Runtime.from_graph(graph)
    runs = [runtime.run({graph.inputs[0]: picture}) for picture in pictures]
    return {blob: np.stack([run[blob] for run in runs]) for blob in graph.outputs}


def signal_to_noise_db(outputs: Mapping[str, Array], reference: Mapping[str, Array]) -> float:
    """Return the mean over pictures of 10·log10(signal power / error power), each output scaled to power 1."""
    count = len(next(iter(reference.values())))
    noise = [
        noise_to_signal(
            *({blob: values[i] for blob, values in side.items()} for side in (outputs, reference))
        )
        for i in range(count)
    ]
    return float((-10 * np.log10(noise)).mean())


def cells(outputs: Mapping[str, Array], reference: Mapping[str, Array], matte: Matte | None) -> list[str]:
    """Return SNR, alpha MAE and mask IoU as cells."""
    snr = f"{signal_to_noise_db(outputs, reference):.2f}"
    if matte is None:
        return [snr, "", ""]
    alpha, expected = (matte.alpha(values) for values in (outputs, reference))
    ious = [mask_iou(one[None], other[None]) for one, other in zip(alpha, expected, strict=True)]
    return [snr, f"{mean_abs(alpha, expected):.5f}", f"{np.mean(ious):.4f}"]


def network_of(bundle: Bundle, calibration: Pictures) -> Network:
    """Load a bundle's fp32 graph."""
    variant = bundle.variant("fp32")
    graph = load(variant.param, variant.bin)
    graph.outputs = [entry["blob"] for entry in bundle.manifest["outputs"]]
    return Network(graph, [{graph.inputs[0]: picture} for picture in calibration])


def load_pictures(folder: Path, preprocessing: Preprocessing) -> Pictures:
    """Read a folder through a network's preprocessing."""
    return [preprocessing.load(file)[0] for file in list_images(folder)]


def print_rows(bundle: Bundle, folders: Mapping[str, Path]) -> None:
    """Print a network's rows."""
    preprocessing = Preprocessing.from_json(bundle.manifest["preprocessing"])
    pictures = {name: load_pictures(folder, preprocessing) for name, folder in folders.items()}
    network, other = (network_of(bundle, pictures.pop(name)) for name in ("calibration", "others"))
    mask = None if bundle.untrained else bundle.manifest["mask"]
    blob_of = {entry["name"]: entry["blob"] for entry in bundle.manifest["outputs"]}
    matte = Matte(blob_of[mask], bundle.manifest["mask_activation"] or "none") if mask else None
    references = {name: outputs_of(network.graph, tests) for name, tests in pictures.items()}
    for name, make in variants(network, other):
        started = time.process_time()
        graph = make()
        seconds = time.process_time() - started
        row = [bundle.name, name]
        for source, tests in pictures.items():
            row += cells(outputs_of(graph, tests), references[source], matte)
        print(f"| {' | '.join([*row, f'{seconds:.1f}'])} |", flush=True)


def main() -> None:
    """Print a Markdown table."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("bundles", nargs="+", type=Path, metavar="BUNDLE")
    parser.add_argument("--photos", type=Path, help="a folder of pictures to test on as well")
    parser.add_argument(
        "--calibrate", type=int, default=16, metavar="N", help="pictures to calibrate on (16)"
    )
    parser.add_argument("--test", type=int, default=16, metavar="N", help="drawn pictures to test on (16)")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as temporary:
        folders = {name: Path(temporary, name) for name in ("calibration", "others", "drawn")}
        write_portraits(folders["calibration"], options.calibrate, seed=CALIBRATION_SEED)
        write_portraits(folders["others"], options.calibrate, seed=CALIBRATION_SEED + 1000)
        write_portraits(folders["drawn"], options.test, seed=TEST_SEED)
        if options.photos:
            folders["photos"] = options.photos
        tested = [name for name in folders if name not in ("calibration", "others")]
        columns = [f"{figure}, {name}" for name in tested for figure in ("SNR (dB)", "alpha MAE", "mask IoU")]
        print(f"| network | int8 by | {' | '.join(columns)} | CPU s |")
        print(f"|---|---|{'---:|' * (len(columns) + 1)}")
        for path in options.bundles:
            print_rows(open_bundle(path), folders)


if __name__ == "__main__":
    main()
