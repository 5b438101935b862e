"""The whole job, as `make demo` does it, on the shipped checkpoint."""

from __future__ import annotations

from pathlib import Path

import pytest

from mobiledeploy.benchmark import Method, read_run
from mobiledeploy.benchmark.accuracy import check_device_parity
from mobiledeploy.demo import ALL, run_demo
from mobiledeploy.device import open_device
from mobiledeploy.phone import VirtualPhone
from mobiledeploy.report.run_notes import footnotes
from mobiledeploy.report.run_table import run_table


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("demo")


@pytest.fixture(scope="module")
def quick():
    """Few inferences: what mixed chooses does not matter here."""
    few = Method(launches=2, warmup_runs=1, max_warmup_ms=0, min_runs=4, min_time_ms=0)
    with pytest.MonkeyPatch.context() as patch:
        for name in ("trial.PRICING", "padding.COARSE", "confirm.METHOD"):
            patch.setattr(f"mobiledeploy.mixed.{name}", few)
        yield


@pytest.fixture(scope="module")
def result(folder: Path, quick):
    with VirtualPhone(folder / "phone") as phone, open_device(phone.serial) as device:
        yield run_demo(folder, device, lambda *_: None)


def test_every_cell_was_measured(result, folder: Path) -> None:
    entries = {entry["precision"]: entry for entry in result.run.benchmarks}
    assert list(entries) == ["fp32", "fp16", "int8", "mixed"]
    for entry in entries.values():
        assert len(entry["times_ms"]) >= 30
        assert entry["accuracy"]["mask_iou"] > 0.9
    assert read_run(folder / "run.json").document == result.run.document


def test_the_targets_for_size_and_parity(result) -> None:
    sizes = {precision: variant.size_bytes for precision, variant in result.bundles[0].variants.items()}
    assert sizes["fp16"] <= 0.52 * sizes["fp32"]
    assert sizes["int8"] <= 0.30 * sizes["fp32"]
    for figures in result.bundles[0].variant("fp32").parity["outputs"].values():
        assert figures["max_abs"] <= 1e-4
    check_device_parity(result.run.benchmarks)


def test_again_nothing_is_converted(result, folder: Path) -> None:
    steps: list[str] = []
    with VirtualPhone(folder / "phone") as phone, open_device(phone.serial) as device:
        run_demo(folder, device, lambda step, *_: steps.append(step))
    assert not [step for step in steps if "writing" in step or "loading" in step]


def test_all_five_networks_in_one_run(
    folder: Path, tmp_path: Path, quick, monkeypatch: pytest.MonkeyPatch
) -> None:
    """One is trained; the others say that they are not, wherever their figures are shown."""
    monkeypatch.setattr("mobiledeploy.demo.METHOD", Method(warmup_runs=0, min_runs=2, min_time_ms=0))
    monkeypatch.setattr("mobiledeploy.demo.CALIBRATION_PORTRAITS", 2)
    with VirtualPhone(folder / "phone") as phone, open_device(phone.serial) as device:
        everything = run_demo(tmp_path, device, lambda *_: None, ALL)
    check_device_parity(everything.run.benchmarks)

    pairs = [(entry["model"], entry["precision"]) for entry in everything.run.benchmarks]
    uniform = [(name, precision) for name in ALL for precision in ("fp32", "fp16", "int8")]
    assert [pair for pair in pairs if pair[1] != "mixed"] == uniform
    assert [pair for pair in pairs if pair[1] == "mixed"] == [("seg_matting", "mixed")]
    for entry in everything.run.benchmarks:
        if entry["precision"] == "fp32":
            assert all(figures["max_abs"] <= 1e-4 for figures in entry["accuracy"]["outputs"].values())
    assert [bundle.untrained for bundle in everything.bundles] == [False, True, True, True, True]

    columns, rows = run_table([everything.run])
    assert columns[:3] == ["model", "weights", "precision"]
    assert {row["model"] for row in rows if "mask IoU vs fp32" in row} == {"seg_matting"}
    assert {row["model"] for row in rows if row["weights"] == "untrained"} == set(ALL[1:])
    assert "Untrained" in " ".join(footnotes([everything.run]))
