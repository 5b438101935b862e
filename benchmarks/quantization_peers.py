"""This project's uniform int8 beside onnxruntime's static int8: the same network, the same pictures to calibrate on.

    python -m benchmarks.quantization_peers BUNDLE… [--photos DIR] [--calibrate N] [--test N] [--repeats N]
        [--seconds S] [--calibrators NAME…]

Bundles are those of `mobiledeploy convert`, with preprocessing. Ours is what `convert --precision fp32,int8` makes of a
bundle's ONNX reference. onnxruntime's is what `quantize_static` makes of the same file: the QDQ format, weights per
channel, activations in uint8 (U8S8) or int8 (S8S8, with a zero point, as is its default), once with the weighted
operators alone in int8 (that is what ncnn has int8 for), and each of its calibrators: entropy with its default of 128
bins, percentile with its default and a lower one. Both are calibrated on portraits that models.synthetic draws, and
judged on others, drawn with another seed, and on the photos of a folder: outputs against onnxruntime's run of the
float model. SNR is of all outputs together, the mean over pictures; alpha MAE and mask IoU are given where the bundle
has a mask and trained weights, top-1 agreement where the only output is a vector of classes.

With --repeats both are timed, on a computer that should be idle otherwise: one thread, pinned, each measurement a
process of its own (`third_party.stopwatch` and `third_party.stopwatch_onnxruntime`), in an order by chance. What a
calibrator finds does not change the time, so it is measured for one of them.
"""

from __future__ import annotations

import argparse
import contextlib
import logging
import random
import statistics
import sys
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from onnxruntime.quantization import (
    CalibrationDataReader,
    CalibrationMethod,
    QuantFormat,
    QuantType,
    quantize_static,
)

from benchmarks.quantization_ablation import CALIBRATION_SEED, TEST_SEED, Array, signal_to_noise_db
from benchmarks.third_party.outcome import call
from benchmarks.third_party.speed import ratio
from mobiledeploy.bundle import Bundle, open_bundle
from mobiledeploy.convert import ConvertRequest, convert
from mobiledeploy.convert.variants import ncnn_outputs, reference_outputs
from mobiledeploy.errors import MobileDeployError
from mobiledeploy.metrics import mask_iou, mean_abs
from mobiledeploy.preprocessing import Preprocessing, list_images
from models.synthetic import write_portraits
from ncnn_tools.runtime import Runtime

OURS = "mobiledeploy"
# Activations in which type, and which operators; none named are all that onnxruntime has kernels for.
TYPES: Mapping[str, tuple[QuantType, list[str]]] = {
    "U8S8": (QuantType.QUInt8, []),
    "S8S8": (QuantType.QInt8, []),
    "U8S8 weighted": (QuantType.QUInt8, ["Conv", "Gemm", "MatMul"]),
}
CALIBRATORS: Mapping[str, tuple[CalibrationMethod, dict[str, float]]] = {
    "MinMax": (CalibrationMethod.MinMax, {}),
    "Entropy": (CalibrationMethod.Entropy, {}),
    "Percentile 99.999": (CalibrationMethod.Percentile, {}),  # its default
    "Percentile 99.99": (CalibrationMethod.Percentile, {"CalibPercentile": 99.99}),
}
AT_ONCE = 4  # pictures whose activations onnxruntime's calibrators hold in memory together


class Reader(CalibrationDataReader):
    """Gives a range of pictures to onnxruntime's quantizer."""

    def __init__(self, name: str, pictures: Array) -> None:
        self._name, self._pictures = name, pictures
        self.set_range(0, len(pictures))

    def __len__(self) -> int:
        return len(self._pictures)

    def set_range(self, start_index: int, end_index: int) -> None:
        """Begin anew, with these pictures."""
        self._left = iter(range(start_index, end_index))

    def get_next(self) -> dict[str, Array] | None:
        """Return the next picture, None after the last."""
        place = next(self._left, None)
        return None if place is None else {self._name: self._pictures[place : place + 1]}


@dataclass(frozen=True)
class Judge:
    """A network, the pictures that it is judged on by their source, and what its float model gives for them."""

    bundle: Bundle
    tests: Mapping[str, Array]
    expected: Mapping[str, Mapping[str, Array]]

    def all_cells(self, outputs: Mapping[str, Mapping[str, Array]]) -> list[str]:
        """Return the cells of outputs by source, one source after the other."""
        return [cell for source, values in outputs.items() for cell in self.cells(source, values)]

    def cells(self, source: str, outputs: Mapping[str, Array]) -> list[str]:
        """Return SNR, alpha MAE, mask IoU and top-1 agreement of outputs, empty where a network has no such thing."""
        expected, matte = self.expected[source], self.bundle.matte
        cells = [f"{signal_to_noise_db(outputs, expected):.2f}", "", "", ""]
        if matte is not None and not self.bundle.untrained:
            alphas = [matte.alpha(values) for values in (outputs, expected)]
            ious = [mask_iou(one[None], other[None]) for one, other in zip(*alphas, strict=True)]
            cells[1:3] = [f"{mean_abs(*alphas):.5f}", f"{np.mean(ious):.4f}"]
        ((name, values), *others) = expected.items()
        if not others and values.ndim == 2:
            same = outputs[name].argmax(axis=1) == values.argmax(axis=1)
            cells[3] = f"{same.mean():.2f}"
        return cells


def load_pictures(folder: Path, preprocessing: Preprocessing) -> Array:
    """Read a folder through a network's preprocessing, (N, 3, H, W)."""
    return np.concatenate([preprocessing.load(file) for file in list_images(folder)])


def quantize_onnx(model: Path, target: Path, pictures: Array, kind: str, calibrator: str) -> None:
    """Write what onnxruntime's quantizer makes of a model with one input."""
    (method, more), (activations, operators) = CALIBRATORS[calibrator], TYPES[kind]
    import onnx

    name = onnx.load(model, load_external_data=False).graph.input[0].name
    with contextlib.redirect_stdout(sys.stderr):  # calibrators print what they do
        quantize_static(
            model,
            target,
            Reader(name, pictures),
            quant_format=QuantFormat.QDQ,
            per_channel=True,
            op_types_to_quantize=operators,
            activation_type=activations,
            weight_type=QuantType.QInt8,
            calibrate_method=method,
            extra_options={"CalibStridedMinMax": AT_ONCE, **more},
        )


def ours(bundle: Bundle, calibration: Path, folder: Path) -> Bundle:
    """Convert a bundle's ONNX reference to fp32 and int8."""
    request = ConvertRequest(
        source=bundle.onnx,
        output=folder / "ours",
        name=bundle.name,
        precisions=("fp32", "int8"),
        preprocessing=bundle.preprocessing,
        calibration=calibration,
    )
    return convert(request)[0]


def outputs_of(bundle: Bundle, precision: str, pictures: Array) -> dict[str, Array]:
    """Run a variant of a bundle on pictures, by ncnn; returns (N, …) for each output."""
    variant = bundle.variant(precision)
    return ncnn_outputs(
        Runtime(variant.param, variant.bin),
        {tensor.name: tensor.blob for tensor in bundle.inputs},
        {tensor.name: (tensor.blob, tensor.shape) for tensor in bundle.outputs},
        {bundle.inputs[0].name: pictures},
    )


def judged(judge: Judge, calibration: Path, calibrators: Sequence[str], folder: Path) -> Iterator[list[str]]:
    """Yield a row for ours and for each of onnxruntime's; the models stay in `folder`."""
    bundle = judge.bundle
    made = ours(bundle, calibration, folder)
    found = {source: outputs_of(made, "int8", tests) for source, tests in judge.tests.items()}
    yield [OURS, *judge.all_cells(found), _megabytes(made.variant("int8").size_bytes)]
    assert bundle.preprocessing is not None  # main has seen to it
    pictures = load_pictures(calibration, bundle.preprocessing)
    for kind in TYPES:
        for calibrator in calibrators:
            target = folder / f"{kind}-{calibrator}.onnx"
            quantize_onnx(bundle.onnx, target, pictures, kind, calibrator)
            found = {
                source: reference_outputs(target, {bundle.inputs[0].name: tests})
                for source, tests in judge.tests.items()
            }
            yield [
                f"onnxruntime {kind} {calibrator}",
                *judge.all_cells(found),
                _megabytes(target.stat().st_size),
            ]


def _megabytes(size: int) -> str:
    return f"{size / 1e6:.2f}"


def timed(bundle: Bundle, folder: Path, repeats: int, seconds: float, chance: random.Random) -> list[str]:
    """Time ours and onnxruntime's; returns medians of CPU ms, and the ratios of ours to theirs with 95 % intervals."""
    made = open_bundle(folder / "ours")
    shape = "x".join(map(str, bundle.inputs[0].shape[1:]))
    variant = made.variant("int8")
    outputs = ",".join(tensor.blob for tensor in made.outputs)
    programs: dict[str, tuple[Any, ...]] = {
        OURS: ("stopwatch", variant.param, variant.bin, made.inputs[0].blob, shape, outputs, seconds),
        **{
            kind: ("stopwatch_onnxruntime", next(folder.glob(f"{kind}-*.onnx")), f"1x{shape}", seconds)
            for kind in TYPES
        },
    }
    samples: dict[str, list[dict[str, float]]] = {name: [] for name in programs}
    for _ in range(repeats):
        for name in chance.sample(sorted(programs), len(programs)):
            samples[name].append(call(*programs[name]))
    medians = [f"{statistics.median(run['cpu_ms'] for run in runs):.2f}" for runs in samples.values()]
    ratios = []
    for kind in TYPES:
        found = ratio({OURS: samples[OURS], kind: samples[kind]}, "cpu_ms")
        ratios.append(f"{found.ratio:.2f} ({found.interval.low:.2f}–{found.interval.high:.2f})")
    return [*medians, *ratios]


def print_table(columns: Sequence[str], rows: Iterator[list[str]]) -> None:
    """Print a Markdown table, each row as it comes."""
    print(f"\n| {' | '.join(columns)} |\n|{'---|' * len(columns)}", flush=True)
    for row in rows:
        print(f"| {' | '.join(row)} |", flush=True)


def main() -> None:
    """Print a table of errors and sizes, and one of times where they are asked for."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("bundles", nargs="+", type=Path, metavar="BUNDLE")
    parser.add_argument("--photos", type=Path, metavar="DIR", help="pictures to judge by as well")
    parser.add_argument(
        "--calibrate", type=int, default=16, metavar="N", help=f"a multiple of {AT_ONCE} (16)"
    )
    parser.add_argument("--test", type=int, default=16, metavar="N", help="drawn pictures to judge by (16)")
    parser.add_argument("--calibrators", nargs="+", choices=list(CALIBRATORS), default=list(CALIBRATORS))
    parser.add_argument("--repeats", type=int, default=0, metavar="N", help="time each model N times (0)")
    parser.add_argument("--seconds", type=float, default=1.0, metavar="S", help="of a measurement (1)")
    options = parser.parse_args()
    logging.disable(logging.WARNING)  # onnxruntime advises a preprocessing that the simplifier has done
    try:
        bundles = [open_bundle(path) for path in options.bundles]
    except MobileDeployError as error:
        parser.error(error.message)
    if lacking := [bundle.name for bundle in bundles if bundle.preprocessing is None]:
        parser.error(f"no preprocessing: {', '.join(lacking)}")
    with tempfile.TemporaryDirectory() as temporary:
        folder = Path(temporary)
        write_portraits(folder / "calibration", options.calibrate, seed=CALIBRATION_SEED)
        write_portraits(folder / "drawn", options.test, seed=TEST_SEED)
        sources = {"drawn": folder / "drawn", **({"photos": options.photos} if options.photos else {})}
        figures = ("SNR (dB)", "alpha MAE", "mask IoU", "top-1")
        columns = [f"{figure}, {source}" for source in sources for figure in figures]
        print_table(
            ["network", "int8 by", *columns, "size (MB)"],
            _error_rows(bundles, sources, options.calibrators, folder),
        )
        if options.repeats:
            chance = random.Random(0)
            names = [OURS, *TYPES]
            columns = [f"{name} (CPU ms)" for name in names] + [f"ratio to {kind} (95 %)" for kind in TYPES]
            print_table(
                ["network", *columns],
                (
                    [
                        bundle.name,
                        *timed(bundle, folder / bundle.name, options.repeats, options.seconds, chance),
                    ]
                    for bundle in bundles
                ),
            )


def _error_rows(
    bundles: Sequence[Bundle], sources: Mapping[str, Path], calibrators: Sequence[str], folder: Path
) -> Iterator[list[str]]:
    for bundle in bundles:
        assert bundle.preprocessing is not None  # main has seen to it
        tests = {source: load_pictures(path, bundle.preprocessing) for source, path in sources.items()}
        name = bundle.inputs[0].name
        expected = {
            source: reference_outputs(bundle.onnx, {name: pictures}) for source, pictures in tests.items()
        }
        place = folder / bundle.name
        place.mkdir()
        for row in judged(Judge(bundle, tests, expected), folder / "calibration", calibrators, place):
            yield [bundle.name, *row]


if __name__ == "__main__":
    main()
