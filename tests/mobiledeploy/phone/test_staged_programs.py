"""Faults of pushed programs: killed, hanging, throttled; and none of it for the phone's own commands."""

from __future__ import annotations

import contextlib
import threading
import time
from collections.abc import Callable
from pathlib import Path
from statistics import median

import pytest

from mobiledeploy.device import Device, open_device
from mobiledeploy.errors import MobileDeployError, TimedOutError
from mobiledeploy.phone import Busy, Fault, Hang, Kill, Throttle, VirtualPhone

Start = Callable[[str], str]


pytestmark = pytest.mark.usefixtures("own_cache")


@pytest.fixture
def push(device: Device, tmp_path: Path) -> Start:
    """Push a script with this text; returns its path on the phone."""

    def push(text: str) -> str:
        script = tmp_path / "program"
        script.write_text(f"#!/bin/sh\n{text}\n")
        return device.store(script, executable=True)

    return push


def eventually(condition: Callable[[], bool]) -> bool:
    deadline = time.monotonic() + 20
    while not condition() and time.monotonic() < deadline:
        time.sleep(0.01)
    return condition()


def state_of(pid: int) -> str:
    """Return a process's state as in /proc, T for one that is stopped; empty where there is none."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0]
    except (FileNotFoundError, ProcessLookupError):
        return ""


def pid_in(path: Path) -> int:
    assert eventually(lambda: path.exists() and path.read_text().endswith("\n"))
    return int(path.read_text())


@pytest.mark.parametrize(("name", "code"), [("KILL", 137), ("SEGV", 139), ("ILL", 132)])
def test_a_program_is_killed_but_no_command(
    phone: VirtualPhone, device: Device, push: Start, name: str, code: int
) -> None:
    program = push("echo begun; exec sleep 300")
    with phone.inject(Kill(name, after=0.1)) as kill:
        completed = device.run([program], timeout_s=20)
        assert (completed.exit_code, completed.stdout) == (code, b"begun\n")
        assert device.run(["sleep", "0.2"], timeout_s=20).exit_code == 0
        assert kill.struck == 1


def test_only_so_many_are_killed(phone: VirtualPhone, device: Device, push: Start) -> None:
    program = push("sleep 0.2; echo done")
    phone.inject(Kill(count=2))
    codes = [device.run([program], timeout_s=20).exit_code for _ in range(3)]
    assert codes == [137, 137, 0]


def test_a_program_that_runs_already_is_killed(phone: VirtualPhone, device: Device, push: Start) -> None:
    program = push("echo $$ > pid; exec sleep 300")
    killer = threading.Thread(target=lambda: (pid_in(phone.root / "pid"), phone.inject(Kill())))
    killer.start()
    assert device.run([program], timeout_s=20).exit_code == 137
    killer.join()


def test_the_shell_around_a_killed_program_goes_on(adb, phone: VirtualPhone, push: Start) -> None:
    program = push("exec sleep 300")
    phone.inject(Kill())
    completed = adb("shell", f"cd /; {program}; echo $?")
    assert completed.stdout == b"137\n"


def test_a_hanging_program_stays_until_it_is_killed(phone: VirtualPhone, device: Device, push: Start) -> None:
    program = push("echo $$ > pid; while :; do :; done")
    with phone.inject(Hang(after=0.1)):
        with pytest.raises(TimedOutError):
            device.run([program], timeout_s=0.6)
        assert device.run(["echo", "fine"], timeout_s=20).stdout == b"fine\n"
    assert eventually(lambda: state_of(pid_in(phone.root / "pid")) in ("", "Z"))


def test_a_hanging_program_goes_on_when_healed(phone: VirtualPhone, device: Device, push: Start) -> None:
    program = push("echo $$ > pid; sleep 0.3; echo done")

    def heal_once_it_hangs() -> None:
        eventually(lambda: state_of(pid_in(phone.root / "pid")) == "T")
        phone.heal()

    phone.inject(Hang(after=0.1))
    healer = threading.Thread(target=heal_once_it_hangs)
    healer.start()
    assert device.run([program], timeout_s=20).stdout == b"done\n"
    healer.join()


@pytest.mark.parametrize("fault", [Hang(), Throttle(0.1), Busy(1), Kill(after=60)])
def test_nothing_is_left_when_the_phone_stops(key_home: Path, fault: Fault) -> None:
    threads, descriptors = set(threading.enumerate()), open_descriptors()
    with VirtualPhone(faults=[fault]) as phone:
        root = phone.root
        program = root / "data/local/tmp/p"
        program.write_text("#!/bin/sh\necho $$ >pid; while :; do :; done\n")
        program.chmod(0o755)
        runner = threading.Thread(target=run_until_lost, args=(phone.serial,))
        runner.start()
        if isinstance(fault, Hang):
            assert eventually(lambda: "T" in states_below(root))
        else:
            pid_in(root / "pid")
    runner.join(20)
    assert not root.exists()
    assert states_below(root) == []
    assert eventually(lambda: set(threading.enumerate()) <= threads)
    assert open_descriptors() == descriptors


def run_until_lost(serial: str) -> None:
    with open_device(serial) as device, contextlib.suppress(MobileDeployError):
        device.run(["/data/local/tmp/p"], timeout_s=60)


def open_descriptors() -> int:
    return len(list(Path("/proc/self/fd").iterdir()))


def states_below(root: Path) -> list[str]:
    """Return the states of all processes that work in the phone's folder, also once that is gone."""
    found = []
    for path in Path("/proc").glob("[0-9]*"):
        with contextlib.suppress(OSError):
            if str(path.joinpath("cwd").readlink()).startswith(str(root)):
                found.append(state_of(int(path.name)))
    return found


def test_a_throttled_program_is_slower(phone: VirtualPhone, device: Device, push: Start) -> None:
    program = push(
        "exec timeout 0.25 sh -c 'n=0; trap \"echo \\$n; exit\" TERM; while :; do n=$((n+1)); done'"
    )

    def work() -> int:
        return int(device.run([program], timeout_s=20).stdout)

    ratios = []
    for _ in range(5):  # in turns, so that other work on this computer hits both alike
        full = work()
        with phone.inject(Throttle(0.25)):
            ratios.append(work() / full)
    assert 0.05 < median(ratios) < 0.6, ratios


def test_heat_shows_and_goes(phone: VirtualPhone, device: Device) -> None:
    cpu, zone = phone.root / "sys/devices/system/cpu/cpu0/cpufreq", "sys/class/thermal/thermal_zone0/temp"
    status = phone.root / "system/state/thermal_status"
    (phone.root / zone).parent.mkdir(parents=True, exist_ok=True)
    (phone.root / zone).write_text("31000\n")
    before = (cpu / "cpuinfo_max_freq").exists()
    with phone.inject(Throttle(0.25)):
        assert eventually(lambda: status.exists() and status.read_text() == "3\n")
        top, current = (int((cpu / name).read_text()) for name in ("cpuinfo_max_freq", "scaling_cur_freq"))
        assert current == round(top / 4)
        assert (phone.root / zone).read_text() == "85000\n"
        assert device.run(["getprop", "ro.mobiledeploy.faults"], timeout_s=20).stdout == b"throttle:to=0.25\n"
    assert eventually(lambda: (phone.root / zone).read_text() == "31000\n")
    assert eventually(lambda: (cpu / "cpuinfo_max_freq").exists() == before)
    assert device.run(["getprop", "ro.mobiledeploy.faults"], timeout_s=20).stdout == b"\n"


def test_it_heats_up_while_programs_run_and_cools_down_after(
    phone: VirtualPhone, device: Device, push: Start
) -> None:
    program = push("sleep 0.5")
    status = phone.root / "system/state/thermal_status"
    zone = phone.root / "sys/class/thermal/thermal_zone0/temp"
    phone.inject(Throttle(0.5, after=0.4, cool=0.4))
    assert eventually(lambda: status.exists() and status.read_text() == "0\n")
    assert zone.read_text() == "30000\n"
    seen: set[int] = set()
    watching = threading.Event()

    def watch() -> None:
        while not watching.is_set():
            seen.add(int(zone.read_text()))
            time.sleep(0.01)

    watcher = threading.Thread(target=watch)
    watcher.start()
    device.run([program], timeout_s=20)
    assert status.read_text() == "3\n"
    assert eventually(lambda: status.read_text() == "0\n" and zone.read_text() == "30000\n")
    watching.set()
    watcher.join()
    assert {30000, 85000} < seen


def test_a_busy_phone_computes(phone: VirtualPhone, device: Device) -> None:
    with phone.inject(Busy(2)):
        assert len(states_below(phone.root)) == 2
        assert device.run(["echo", "still"], timeout_s=20).stdout == b"still\n"
    assert states_below(phone.root) == []
