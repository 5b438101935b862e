"""The whole job, as `make demo` does it, on the shipped checkpoint."""

from __future__ import annotations

from pathlib import Path

import pytest

from mobiledeploy.benchmark import read_run
from mobiledeploy.benchmark.accuracy import check_device_parity
from mobiledeploy.demo import run_demo
from mobiledeploy.device import open_device
from mobiledeploy.phone import VirtualPhone


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("demo")


@pytest.fixture(scope="module")
def result(folder: Path):
    with VirtualPhone(folder / "phone") as phone, open_device(phone.serial) as device:
        yield run_demo(folder, device, lambda *_: None)


def test_every_cell_was_measured(result, folder: Path) -> None:
    entries = {entry["precision"]: entry for entry in result.run.benchmarks}
    assert list(entries) == ["fp32", "fp16", "int8"]
    for entry in entries.values():
        assert len(entry["times_ms"]) >= 30
        assert entry["accuracy"]["mask_iou"] > 0.9
    assert read_run(folder / "run.json").document == result.run.document


def test_the_targets_for_size_and_parity(result) -> None:
    sizes = {precision: variant.size_bytes for precision, variant in result.bundle.variants.items()}
    assert sizes["fp16"] <= 0.52 * sizes["fp32"]
    assert sizes["int8"] <= 0.30 * sizes["fp32"]
    for figures in result.bundle.variant("fp32").parity["outputs"].values():
        assert figures["max_abs"] <= 1e-4
    check_device_parity(result.run.benchmarks)


def test_again_nothing_is_converted(result, folder: Path) -> None:
    steps: list[str] = []
    with VirtualPhone(folder / "phone") as phone, open_device(phone.serial) as device:
        run_demo(folder, device, lambda step, *_: steps.append(step))
    assert not [step for step in steps if step.startswith(("loading", "exporting", "writing", "calibrating"))]
