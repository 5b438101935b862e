"""The whole job on the networks that ship with this project."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from mobiledeploy.benchmark import Method, Plan, Run, benchmark, write_run
from mobiledeploy.bundle import Bundle
from mobiledeploy.convert import ConvertRequest, convert
from mobiledeploy.device import Device
from mobiledeploy.mixed import DeviceMixer
from mobiledeploy.progress import Progress
from models.networks import CLASSES, FOLDER, description, untrained_checkpoint
from models.synthetic import write_portraits
from ncnn_tools.files import write_atomically

TRAINED = ("seg_matting",)  # those that ship with a checkpoint
ALL = tuple(CLASSES)
CALIBRATION_PORTRAITS = 32
# Far from the seeds that training and its evaluation use (models/train.py), so that calibration sees new pictures.
CALIBRATION_SEED = 7_000_000

# Short enough for a first look; `mobiledeploy benchmark` measures longer.
METHOD = Method.quick()


@dataclass(frozen=True)
class DemoResult:
    """What the demo leaves: bundles, and one run of them all with the file that it was written to."""

    bundles: tuple[Bundle, ...]
    run: Run
    run_path: Path


def run_demo(
    folder: Path, device: Device, progress: Progress, networks: Sequence[str] = TRAINED
) -> DemoResult:
    """Convert, push, run and record; bundles go to FOLDER/NAME, the run to FOLDER/run.json.

    Networks that are trained get a mixed variant for the device too, unless its CPU is emulated: counting instructions
    takes longer than a first look may.
    """
    mixer = DeviceMixer(device) if device.facts.timings_are_latency else None
    bundles = tuple(
        convert_network(name, folder, progress, mixer if name in TRAINED else None) for name in networks
    )
    run = benchmark(bundles, device, Plan(method=METHOD), progress)
    path = folder / "run.json"
    write_run(run, path)
    return DemoResult(bundles, run, path)


def convert_network(name: str, folder: Path, progress: Progress, mixer: DeviceMixer | None = None) -> Bundle:
    """Convert a network of `models` into FOLDER/NAME, calibrated on portraits generated there.

    Those without a checkpoint get random weights, and their bundle says so.
    """
    portraits = folder / "portraits"
    progress("drawing portraits to calibrate on", 0, 0)
    _draw_portraits(portraits)
    request = ConvertRequest(
        source=_checkpoint(name, folder),
        output=folder / name,
        name=name,
        precisions=("fp32", "fp16", "int8", *(["mixed"] if mixer else [])),
        model=f"models.{name}:{CLASSES[name]}",
        calibration=portraits,
        untrained=name not in TRAINED,
    )
    request = request.described_by(description(name))
    return convert(request, lambda step, *at: progress(f"{name}: {step}", *at), mixer)[0]


def _checkpoint(name: str, folder: Path) -> Path:
    if name in TRAINED:
        return FOLDER / "checkpoints" / f"{name}.pth"
    path = folder / f"{name}-untrained.pth"
    write_atomically(path, untrained_checkpoint(name))
    return path


def _draw_portraits(folder: Path) -> None:
    """Draw the pictures, unless they are there: the generator is deterministic, and each file is written whole."""
    if len(list(folder.glob("portrait_*.jpg"))) != CALIBRATION_PORTRAITS:
        write_portraits(folder, CALIBRATION_PORTRAITS, seed=CALIBRATION_SEED)
