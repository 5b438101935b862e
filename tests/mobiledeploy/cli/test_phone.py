"""`mobiledeploy phone`, as a process of its own."""

from __future__ import annotations

import os
import re
import signal
import socket
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from mobiledeploy.cli import COMMANDS, phone
from mobiledeploy.device import list_devices, open_device


@pytest.fixture(autouse=True)
def _environment(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """Keep the user's own keys, devices, servers and caches out of the tests."""
    for name in ("ANDROID_SERIAL", "ADB_SERVER_SOCKET", "ADB_VENDOR_KEYS"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("HOME", str(tmp_path / "home"))
    monkeypatch.setenv("MOBILEDEPLOY_CACHE", str(tmp_path / "cache"))
    monkeypatch.setenv("ANDROID_ADB_SERVER_PORT", "1")
    monkeypatch.setenv("TMPDIR", str(tmp_path))


Start = Callable[..., "subprocess.Popen[str]"]
Command = Callable[..., tuple[int, str, str]]


@pytest.fixture
def start() -> Iterator[Start]:
    started = []

    def start(*arguments: str) -> subprocess.Popen[str]:
        program = "import signal; signal.signal(signal.SIGINT, signal.default_int_handler)\n"
        program += "from mobiledeploy.cli import main; main()"
        process = subprocess.Popen(
            [sys.executable, "-u", "-c", program, "phone", *arguments],
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )
        started.append(process)
        return process

    yield start
    for process in started:
        process.kill()
        process.communicate()


def serial_of(process: subprocess.Popen[str]) -> str:
    """Read what the phone prints until it says that it is ready."""
    assert process.stdout is not None
    lines = []
    for line in process.stdout:
        lines.append(line)
        if "Ctrl-C" in line:
            break
    match = re.search(r"adb connect (\S+)", "".join(lines))
    assert match, (lines, process.communicate())
    return match[1]


def test_help_starts_with_the_line_in_the_list() -> None:
    assert (phone.command.help or "").splitlines()[0] == COMMANDS["phone"]


@pytest.mark.parametrize("stop", [signal.SIGINT, signal.SIGTERM])
def test_it_is_found_serves_and_leaves_nothing(start: Start, stop: signal.Signals, tmp_path: Path) -> None:
    process = start()
    serial = serial_of(process)
    assert [summary.serial for summary in list_devices()] == [serial]
    with open_device() as device:
        assert device.run(["echo", "hello"], timeout_s=20).stdout == b"hello\n"
    process.send_signal(stop)
    _, err = process.communicate(timeout=20)
    assert (process.returncode, err) == (0, "stopped\n")
    assert list_devices() == []
    assert list(Path(os.environ["MOBILEDEPLOY_CACHE"], "phones").iterdir()) == []
    assert not list(tmp_path.glob("mobiledeploy-phone-*"))


def test_one_that_was_killed_is_forgotten(start: Start) -> None:
    process = start()
    serial_of(process)
    process.kill()
    process.communicate()
    assert list_devices() == []


def test_it_stages_faults(start: Start) -> None:
    process = start("--fault", "kill:ABRT,count=1", "--fault", "slow:ms=1")
    with open_device(serial_of(process)) as device:
        assert device.run(["getprop", "ro.mobiledeploy.faults"], timeout_s=20).stdout == (
            b"kill:signal=ABRT,count=1 slow:ms=1\n"
        )
        device.run(
            ["sh", "-c", "echo 'sleep 9' >/data/local/tmp/p; chmod 755 /data/local/tmp/p"], timeout_s=20
        )
        assert device.run(["/data/local/tmp/p"], timeout_s=20).exit_code == 134


def test_its_folder_is_kept(start: Start, tmp_path: Path) -> None:
    process = start("--root", str(tmp_path / "phone"))
    with open_device(serial_of(process)) as device:
        device.run(["mkdir", "/data/local/tmp/kept"], timeout_s=20)
    process.send_signal(signal.SIGTERM)
    process.communicate(timeout=20)
    assert (tmp_path / "phone/data/local/tmp/kept").is_dir()


@pytest.mark.parametrize(
    ("arguments", "code", "words"),
    [
        (["--cpu", "cortex-z1"], 3, "no emulated CPU 'cortex-z1'"),
        (["--abi", "mips"], 2, "mips"),
        (["--port", "5560"], 2, "emulator"),
        (["--port", "70000"], 2, "70000"),
        (["--root", "/a b"], 2, "can't live in"),
        (["--fault", "boom"], 2, "no fault 'boom'"),
        (["--fault", "cut:bytes=x"], 2, "bytes is a number"),
    ],
)
def test_what_cannot_be_is_said(
    arguments: list[str], code: int, words: str, command: Command, tmp_path: Path
) -> None:
    outcome = command("phone", *(argument.replace("/a b", f"{tmp_path}/a b") for argument in arguments))
    assert outcome[0] == code
    assert words in outcome[2]


def test_a_port_that_is_taken(command: Command) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        code, _, err = command("phone", "--port", str(taken.getsockname()[1]))
    assert code == 3
    assert "can't listen" in err
