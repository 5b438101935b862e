"""Every way in which a run fails, staged on the virtual phone: its name, its exit code, and the samples kept."""

from __future__ import annotations

import contextlib
import json
import os
import subprocess
import time
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from mobiledeploy.benchmark import Method, Plan, benchmark
from mobiledeploy.benchmark import launch as launch_module
from mobiledeploy.convert import convert
from mobiledeploy.device import Device, open_device
from mobiledeploy.device.lock import device_lock
from mobiledeploy.errors import DeviceError, DeviceRunError, TimedOutError
from mobiledeploy.phone import VirtualPhone
from mobiledeploy.phone.faults import (
    Corrupt,
    Cut,
    Full,
    Hang,
    Kill,
    Offline,
    RefuseKeys,
    Slow,
    Throttle,
    Truncate,
)
from mobiledeploy.preprocessing import Preprocessing
from mobiledeploy.statistics import Kind, Samples, diagnose

# Two launches of a second and a half: long enough to be hit in the middle.
METHOD = Method(launches=2, warmup_runs=1, max_warmup_ms=0, min_runs=2, min_time_ms=3000)
PLAN = Plan(precisions=("fp32",), method=METHOD, timeout_s=30, silence_s=1.5)
SHORT = replace(PLAN, method=replace(METHOD, min_time_ms=0))
FOLDER = "data/local/tmp/mobiledeploy"


@pytest.fixture(scope="module")
def bundle(request_for, tmp_path_factory: pytest.TempPathFactory):
    """The small network on pictures large enough for some milliseconds an inference."""
    shape = (384, 384)
    request = request_for(
        tmp_path_factory.mktemp("large") / "b",
        precisions=("fp32",),
        input_shapes=((1, 3, *shape),),
        preprocessing=Preprocessing(shape),
        calibration=None,
    )
    return convert(request)[0]


@pytest.fixture
def phone(tmp_path: Path) -> Iterator[VirtualPhone]:
    with VirtualPhone(tmp_path / "phone") as phone:
        yield phone


@pytest.fixture
def device(phone: VirtualPhone, bundle, tmp_path: Path) -> Iterator[Device]:
    """A device that has had a run, so that nothing is left to build or to push."""
    with open_device(phone.serial) as device:
        benchmark([bundle], device, SHORT, partial_folder=tmp_path / "first")
        yield device


@pytest.fixture(autouse=True)
def _impatient(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(launch_module, "RECONNECT_S", 1.5)
    monkeypatch.setattr(launch_module, "RECONNECT_EVERY_S", 0.1)
    monkeypatch.setattr("mobiledeploy.device.direct._CONNECT_S", 1.5)


def kept_samples(folder: Path) -> int:
    """How many measured samples a partial run holds."""
    [file] = folder.iterdir()
    lines = [json.loads(line) for line in file.read_text().splitlines() if line.startswith('{"sample"')]
    return sum(line["sample"]["phase"] == "steady" for line in lines)


def left_on(phone: VirtualPhone) -> list[str]:
    """Run folders, and processes of pushed programs, that are still there; a killed one needs a moment to go."""
    deadline = time.monotonic() + 3
    while (left := _left_now(phone)) and time.monotonic() < deadline:
        time.sleep(0.05)
    return left


def _left_now(phone: VirtualPhone) -> list[str]:
    folders = [path.name for path in (phone.root / FOLDER).glob("run-*")]
    programs = []
    for link in Path("/proc").glob("[0-9]*/exe"):
        with contextlib.suppress(OSError):
            if str(link.readlink()).startswith(str(phone.root / FOLDER)):
                programs.append(str(link))
    return folders + programs


@pytest.mark.parametrize("how", ["reset", "silence"])
def test_a_cable_that_is_pulled_and_put_back(phone, device, bundle, tmp_path: Path, how: str) -> None:
    with (
        phone.inject(Cut(seconds=0.7, how=how)),
        pytest.raises((DeviceError, TimedOutError)) as caught,
    ):
        benchmark([bundle], device, PLAN, partial_folder=tmp_path / "p")
    assert caught.value.exit_code in (3, 6)
    assert "samples are kept" in caught.value.hint
    assert kept_samples(tmp_path / "p") > 20
    assert left_on(phone) == []


def test_what_was_measured_is_not_measured_again(phone, device, bundle, tmp_path: Path) -> None:
    """The second launch is cut; the same call takes over the first and does the second again."""

    def pull_the_cable(step: str, done: int, _total: int) -> None:
        if step.startswith("launch 2") and done > 0:
            phone.inject(Cut())

    with pytest.raises((DeviceError, TimedOutError)):
        benchmark([bundle], device, PLAN, pull_the_cable, partial_folder=tmp_path / "p")
    phone.heal()
    [file] = (tmp_path / "p").iterdir()
    lines = [json.loads(line) for line in file.read_text().splitlines()]
    done = [line["done"] for line in lines if "done" in line]
    assert done == [0]
    first = [
        line["sample"]
        for line in lines[: next(i for i, line in enumerate(lines) if "done" in line)]
        if "sample" in line
    ]
    run = benchmark([bundle], device, PLAN, partial_folder=tmp_path / "p")
    [entry] = run.benchmarks
    times = np.array(entry["times_ms"])[np.array(entry["launch"]) == 0]
    assert times.tolist() == [sample["time_ms"] for sample in first if sample["phase"] == "steady"]
    assert list((tmp_path / "p").iterdir()) == []


def test_a_phone_that_does_not_come_back(phone, device, bundle, tmp_path: Path) -> None:
    """What it said before is kept, and what it left behind goes at the next contact."""
    with phone.inject(Cut(seconds=0.7, down=30)), pytest.raises(DeviceError, match="lost") as caught:
        benchmark([bundle], device, PLAN, partial_folder=tmp_path / "p")
    assert "samples are kept" in caught.value.hint
    assert kept_samples(tmp_path / "p") > 10
    phone.heal()
    benchmark([bundle], device, SHORT, partial_folder=tmp_path / "q")
    assert left_on(phone) == []


def test_a_daemon_that_restarts_while_files_are_pushed(phone, bundle, tmp_path: Path) -> None:
    """Pushing again is sound: what has arrived is not sent twice."""
    with open_device(phone.serial) as device:
        _ = device.facts
        phone.inject(Cut(bytes=200_000, direction="in"))
        run = benchmark([bundle], device, SHORT, partial_folder=tmp_path)
    assert len(run.benchmarks[0]["times_ms"]) >= 2


@pytest.mark.parametrize(
    ("signal", "name"), [("KILL", "SIGKILL"), ("SEGV", "SIGSEGV"), ("ILL", "SIGILL"), ("ABRT", "SIGABRT")]
)
def test_a_binary_that_is_killed(phone, device, bundle, tmp_path: Path, signal: str, name: str) -> None:
    with phone.inject(Kill(signal, after=0.7)), pytest.raises(DeviceRunError, match=name) as caught:
        benchmark([bundle], device, PLAN, partial_folder=tmp_path / "p")
    assert kept_samples(tmp_path / "p") > 20
    assert "samples are kept" in caught.value.hint
    assert left_on(phone) == []


def test_a_binary_that_hangs(phone, device, bundle, tmp_path: Path) -> None:
    with phone.inject(Hang(after=0.5)), pytest.raises(TimedOutError, match=r"hung.*1\.5 s") as caught:
        benchmark([bundle], device, PLAN, partial_folder=tmp_path / "p")
    assert kept_samples(tmp_path / "p") > 20
    assert "goes on from there" in caught.value.hint
    assert left_on(phone) == []


def test_garbage_in_the_output_is_read_again_from_the_journal(phone, device, bundle, tmp_path: Path) -> None:
    with phone.inject(Corrupt("output", after=5000)):
        run = benchmark([bundle], device, PLAN, partial_folder=tmp_path / "p")
    assert len(run.benchmarks[0]["times_ms"]) > 20
    rounds = np.array(run.benchmarks[0]["round"])
    assert (np.diff(rounds)[np.diff(rounds) > 0] == 1).all()  # none is missing


@pytest.mark.parametrize("end", ["exit", "close"])
def test_output_that_is_cut_short(phone, device, bundle, tmp_path: Path, end: str) -> None:
    """With an exit code the journal has the rest; without one the connection counts as lost."""
    phone.inject(Truncate(5000, end=end))
    if end == "exit":
        brief = replace(PLAN, method=replace(METHOD, min_time_ms=1000))  # its silence is no hang
        run = benchmark([bundle], device, brief, partial_folder=tmp_path / "p")
        assert len(run.benchmarks[0]["times_ms"]) > 20
    else:
        with pytest.raises(DeviceError) as caught:
            benchmark([bundle], device, PLAN, partial_folder=tmp_path / "p")
        assert "samples are kept" in caught.value.hint
    assert left_on(phone) == []


def test_a_full_disk(phone, bundle, tmp_path: Path) -> None:
    with open_device(phone.serial) as device:
        _ = device.facts
        with phone.inject(Full(after=100_000)), pytest.raises(DeviceError, match="No space left") as caught:
            benchmark([bundle], device, SHORT, partial_folder=tmp_path)
    assert "--clean" in caught.value.hint
    assert left_on(phone) == []


def test_a_disk_that_is_full_when_the_run_writes(phone, device, bundle, tmp_path: Path) -> None:
    with (
        phone.inject(Full(after=0)),
        pytest.raises(DeviceRunError, match=r"can't use a file.*cannot") as caught,
    ):
        benchmark([bundle], device, SHORT, partial_folder=tmp_path / "p")
    assert "--clean" in caught.value.hint


def test_a_push_that_arrives_changed(phone, bundle, tmp_path: Path) -> None:
    with open_device(phone.serial) as device:
        _ = device.facts
        with phone.inject(Corrupt("pushes")), pytest.raises(DeviceRunError, match="arrived changed"):
            benchmark([bundle], device, SHORT, partial_folder=tmp_path)


def test_a_program_for_another_cpu(phone, device, bundle, tmp_path: Path) -> None:
    """Its ELF header says so, as that of an armeabi-v7a binary does on a phone with 64 bits only."""
    [stored] = (phone.root / FOLDER).glob("*-android_bench")
    content = bytearray(stored.read_bytes())
    content[18:20] = (0x28).to_bytes(2, "little")  # e_machine: EM_ARM
    stored.chmod(0o755)
    stored.write_bytes(content)
    with pytest.MonkeyPatch.context() as patch, pytest.raises(DeviceRunError, match="wrong ABI"):
        # The changed file is taken for what was pushed.
        patch.setattr(device, "_hash_of", lambda remote: remote.rsplit("/", 1)[1][:16])
        patch.setattr("mobiledeploy.device.device._sha256", _first_digits)
        benchmark([bundle], device, SHORT, partial_folder=tmp_path / "p")


def _first_digits(file) -> str:
    import hashlib

    return hashlib.sha256(file.read()).hexdigest()[:16]


def test_a_device_that_is_busy(device, bundle) -> None:
    with (
        device_lock(device.facts.serial),
        pytest.raises(DeviceError, match=f"is busy: process {os.getpid()}"),
    ):
        benchmark([bundle], device, SHORT)


@pytest.mark.parametrize(
    ("fault", "message"), [(RefuseKeys(), "not authorized|authoriz"), (Offline(), "answer|greeting|time")]
)
def test_a_phone_that_cannot_be_used(phone, fault, message: str) -> None:
    with phone.inject(fault), pytest.raises((DeviceError, TimedOutError), match=message):
        open_device(phone.serial, authorization_timeout_s=0.5)


def test_a_phone_that_answers_slowly_is_only_slow(phone, bundle, tmp_path: Path) -> None:
    with open_device(phone.serial) as device:
        benchmark([bundle], device, SHORT, partial_folder=tmp_path)
        with phone.inject(Slow(20)):
            run = benchmark([bundle], device, SHORT, partial_folder=tmp_path)
    assert len(run.benchmarks[0]["times_ms"]) >= 2


def test_a_clock_that_jumps_back(device, bundle, tmp_path: Path) -> None:
    """No phone can be made to do that without root, so its lines are changed on their way."""
    original = device.run

    def run(argv, *, on_output=None, **options):
        seen = 0

        def changed(name: str, data: bytes) -> None:
            nonlocal seen
            seen += data.count(b'"phase": "steady"')
            on_output(name, data.replace(b'"started_ms": ', b'"started_ms": -') if seen > 20 else data)

        return original(argv, on_output=changed if on_output else None, **options)

    with (
        pytest.MonkeyPatch.context() as patch,
        pytest.raises(DeviceRunError, match="clock went back") as caught,
    ):
        patch.setattr(device, "run", run)
        benchmark([bundle], device, PLAN, partial_folder=tmp_path / "p")
    assert "samples are kept" in caught.value.hint


def test_an_interrupt_leaves_nothing_on_the_device(phone, device, bundle, tmp_path: Path) -> None:
    def stop(step: str, done: int, _total: int) -> None:
        if step.startswith("launch 2") and done > 0:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        benchmark([bundle], device, PLAN, stop, partial_folder=tmp_path / "p")
    assert left_on(phone) == []
    assert kept_samples(tmp_path / "p") > 20


def test_a_killed_host_leaves_what_the_next_contact_removes(phone, device, bundle, tmp_path: Path) -> None:
    """Its process on the phone ends by itself when nobody reads; its folder goes when the next run begins."""
    (phone.root / FOLDER / "run-0123456789abcdef").mkdir()
    program = next((phone.root / FOLDER).glob("*-android_bench"))
    endless = phone.root / FOLDER / "endless"
    endless.write_bytes(Path("/bin/sleep").read_bytes())
    endless.chmod(0o755)
    with subprocess.Popen([str(endless), "60"]) as process:
        time.sleep(0.1)
        benchmark([bundle], device, SHORT, partial_folder=tmp_path / "p")
        assert process.wait(timeout=5) == -9
    assert left_on(phone) == []
    assert program.exists()


def test_a_phone_that_throttles_is_told_by_its_clock(phone, device, bundle, tmp_path: Path) -> None:
    """The binary really runs slower, and reads the clock that falls meanwhile."""
    sustained = replace(PLAN, method=METHOD.sustained(4), mode="sustained", silence_s=10)
    with phone.inject(Throttle(0.3, after=1.5)):
        [entry] = benchmark([bundle], device, sustained, partial_folder=tmp_path / "p").benchmarks
    clocks = np.array(entry["clocks"])
    assert clocks[0, 1] == 2_000_000  # what the phone claims where this computer tells no clock
    assert clocks[-1, 1] == 600_000
    tenth = len(entry["times_ms"]) // 10
    assert np.median(entry["times_ms"][-tenth:]) > 1.5 * np.median(entry["times_ms"][:tenth])
    assert Kind.THROTTLING in {finding.kind for finding in diagnose(Samples.from_entry(entry))}
