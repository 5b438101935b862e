"""Runs on a virtual phone: the real binary, over the real protocol."""

from __future__ import annotations

import dataclasses
import json
import shutil
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest

from android_bench import Binary
from mobiledeploy.benchmark import Method, Plan, benchmark
from mobiledeploy.benchmark.accuracy import DEVICE_FP32_TOLERANCE, check_device_parity
from mobiledeploy.benchmark.execute import prepare_binary
from mobiledeploy.bundle import open_bundle
from mobiledeploy.convert import convert
from mobiledeploy.device import Device, open_device
from mobiledeploy.errors import CheckFailedError, DeviceRunError, TimedOutError
from mobiledeploy.phone import VirtualPhone

QUICK = Method(launches=2, warmup_runs=1, max_warmup_ms=0, min_runs=10, min_time_ms=0)


@pytest.fixture(scope="module")
def device(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Device]:
    with VirtualPhone(tmp_path_factory.mktemp("phone")) as phone, open_device(phone.serial) as device:
        yield device


@pytest.fixture(scope="module")
def run(tiny_bundle, device: Device):
    return benchmark([tiny_bundle], device, Plan(threads=(1, 2), method=QUICK))


def test_one_entry_a_configuration_with_every_sample(run) -> None:
    assert [(entry["precision"], entry["threads"]) for entry in run.benchmarks] == [
        (precision, threads) for precision in ("fp32", "fp16", "int8") for threads in (1, 2)
    ]
    for entry in run.benchmarks:
        lengths = {len(entry[key]) for key in ("times_ms", "started_ms", "launch", "round", "cpu_ms")}
        assert lengths == {10}
        assert all(time > 0 for time in entry["times_ms"])
        assert entry["launch"] == [0] * 5 + [1] * 5
        assert len(entry["launches"]) == 2
        for launch in entry["launches"]:
            assert launch["load_ms"] > 0
            assert launch["first_ms"] > 0
            assert launch["process_ms"] > 0
            assert len(launch["warmup_ms"]) == 1


def test_configurations_are_interleaved(run) -> None:
    starts = [entry["started_ms"] for entry in run.benchmarks]
    for round_number in range(9):
        assert max(start[round_number] for start in starts) < min(start[round_number + 1] for start in starts)


def test_launches_load_in_orders_of_their_own(run) -> None:
    orders = [[entry["launches"][launch]["position"] for entry in run.benchmarks] for launch in (0, 1)]
    assert sorted(orders[0]) == sorted(orders[1]) == list(range(6))
    assert orders[0] != orders[1]


def test_several_bundles_are_interleaved_too(
    tiny_bundle, request_for, device: Device, tmp_path: Path
) -> None:
    other, _ = convert(request_for(tmp_path / "other", name="other", precisions=("fp32",), calibration=None))
    run = benchmark([tiny_bundle, other], device, Plan(precisions=("fp32",), method=QUICK))
    first, second = run.benchmarks
    assert (first["model"], second["model"]) == ("tiny", "other")
    pairs = zip(first["started_ms"], second["started_ms"], strict=True)
    order = [one < another for one, another in pairs]
    assert 0 < sum(order) < len(order)
    # Samples of their own: calibration pictures here, noise there.
    assert first["accuracy"]["samples"]["source"] != second["accuracy"]["samples"]["source"]
    check_device_parity(run.benchmarks)


def test_a_pace_is_measured_beside_the_steady_state(tiny_bundle, device: Device) -> None:
    method = dataclasses.replace(QUICK, launches=1, min_runs=5, pace_hz=200)
    run = benchmark([tiny_bundle], device, Plan(precisions=("fp32",), method=method, mode="paced"))
    paced = run.benchmarks[0]["paced"]
    assert len(paced["times_ms"]) == len(paced["due_ms"]) == 5
    assert all(start >= due for start, due in zip(paced["started_ms"], paced["due_ms"], strict=True))


def test_sustained_load_lasts_as_long_as_asked(tiny_bundle, device: Device) -> None:
    method = QUICK.sustained(0.3)
    run = benchmark([tiny_bundle], device, Plan(precisions=("fp32",), method=method, mode="sustained"))
    [entry] = run.benchmarks
    assert sum(entry["times_ms"]) >= 300 > sum(entry["times_ms"][:-1])
    assert set(entry["launch"]) == {0}


def test_outputs_on_the_device_are_those_of_the_host(run) -> None:
    for entry in run.benchmarks:
        if entry["precision"] == "fp32":
            assert max(entry["accuracy"]["host_max_abs"].values()) <= DEVICE_FP32_TOLERANCE
        assert entry["accuracy"]["mask_iou"] > 0.9
    check_device_parity(run.benchmarks)


def test_the_run_knows_its_context(run, tiny_bundle) -> None:
    document = json.loads(json.dumps(run.document))
    assert document["context"]["device"]["kind"] == "virtual"
    assert document["context"]["binary"]["ncnn"].startswith("1.0.")
    assert document["parameters"]["timed"] is True
    assert document["benchmarks"][0]["size_bytes"] == tiny_bundle.variant("fp32").size_bytes


def test_a_wrong_output_fails_the_check(run) -> None:
    broken = json.loads(json.dumps(run.benchmarks))
    broken[0]["accuracy"]["host_max_abs"]["alpha"] = 0.5
    with pytest.raises(CheckFailedError, match="alpha"):
        check_device_parity(broken)


def test_nothing_is_left_on_the_device_but_what_was_stored(run, tiny_bundle, device: Device) -> None:
    listing = device.run(["ls", "-A", "/data/local/tmp/mobiledeploy"], timeout_s=10).stdout.decode().split()
    benchmark([tiny_bundle], device, Plan(precisions=("fp32",), method=QUICK))
    assert (
        device.run(["ls", "-A", "/data/local/tmp/mobiledeploy"], timeout_s=10).stdout.decode().split()
        == listing
    )


def test_a_run_that_takes_too_long(tiny_bundle, device: Device) -> None:
    long = Method(launches=1, warmup_runs=0, min_runs=5, max_runs=0, min_time_ms=60_000)
    with pytest.raises(TimedOutError, match="did not end") as caught:
        benchmark([tiny_bundle], device, Plan(precisions=("fp32",), method=long, timeout_s=1))
    assert "samples are kept" in caught.value.hint


def test_a_model_that_the_binary_refuses(tiny_bundle, device: Device, tmp_path: Path) -> None:
    """The bundle is whole, but its input does not fit the network: the binary's own message is passed on."""
    copy = Path(shutil.copytree(tiny_bundle.path, tmp_path / "b"))
    bundle = open_bundle(copy)
    param = copy / "fp32.param"
    param.write_text(param.read_text().replace("Pooling", "Nothing").replace("BinaryOp", "Nothing"))
    with pytest.raises(DeviceRunError) as caught:
        benchmark([bundle], device, Plan(precisions=("fp32",), method=QUICK))
    assert "has no such layer" in caught.value.message
    assert "Nothing" in caught.value.message


def test_a_layer_that_no_binary_has_is_noticed_before_the_run(device: Device) -> None:
    with pytest.raises(DeviceRunError, match="NoSuchLayer"):
        _ = prepare_without_building(device)


def prepare_without_building(device: Device) -> Binary:
    """Ask for a layer that neither the lean nor the full build has; the full one is not really built."""
    import mobiledeploy.benchmark.execute as execute

    lean = execute.build_binary

    def build(abi: str, *, layers: str, **options) -> Binary:
        return lean(abi, layers="lean", **options)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(execute, "build_binary", build)
        return prepare_binary(device, ["Convolution", "NoSuchLayer"], lambda *_: None)


def test_samples_are_run_one_by_one(run, tiny_bundle) -> None:
    count = len(np.load(tiny_bundle.samples()["picture"]))
    assert run.benchmarks[0]["accuracy"]["samples"] == {"source": "calibration", "images": 6, "count": count}
