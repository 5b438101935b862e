"""The whole job on the network that ships with this project."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import models
from mobiledeploy.benchmark import Method, Plan, Run, benchmark, write_run
from mobiledeploy.bundle import Bundle
from mobiledeploy.convert import ConvertRequest, convert
from mobiledeploy.convert.request import PRECISIONS
from mobiledeploy.device import Device
from models.synthetic import write_portraits

Progress = Callable[[str, int, int], None]

NAME = "seg_matting"
CALIBRATION_PORTRAITS = 32
# Far from the seeds that training and its evaluation use (models/train.py), so that calibration sees new pictures.
CALIBRATION_SEED = 7_000_000

# Short enough for a first look; `mobiledeploy benchmark` measures longer.
METHOD = Method.quick()


@dataclass(frozen=True)
class DemoResult:
    """What the demo leaves: a bundle, and a run with the file that it was written to."""

    bundle: Bundle
    run: Run
    run_path: Path


def convert_shipped(folder: Path, progress: Progress) -> Bundle:
    """Convert the shipped checkpoint into FOLDER/seg_matting, calibrated on portraits generated there."""
    networks = Path(models.__file__).parent
    portraits = folder / "portraits"
    progress("drawing portraits to calibrate on", 0, 0)
    _draw_portraits(portraits)
    request = ConvertRequest(
        source=networks / "checkpoints" / f"{NAME}.pth",
        output=folder / NAME,
        name=NAME,
        precisions=PRECISIONS,
        model=f"models.{NAME}:SegMatting",
        calibration=portraits,
    )
    return convert(request.described_by(networks / f"{NAME}.toml"), progress)[0]


def _draw_portraits(folder: Path) -> None:
    """Draw the pictures, unless they are there: the generator is deterministic, and each file is written whole."""
    if len(list(folder.glob("portrait_*.jpg"))) != CALIBRATION_PORTRAITS:
        write_portraits(folder, CALIBRATION_PORTRAITS, seed=CALIBRATION_SEED)


def run_demo(folder: Path, device: Device, progress: Progress) -> DemoResult:
    """Convert, push, run and record; the run goes to FOLDER/run.json."""
    bundle = convert_shipped(folder, progress)
    run = benchmark([bundle], device, Plan(method=METHOD), progress)
    path = folder / "run.json"
    write_run(run, path)
    return DemoResult(bundle, run, path)
