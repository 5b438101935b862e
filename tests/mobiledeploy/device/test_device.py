"""A device in use, directly and through an adb server."""

from __future__ import annotations

import hashlib
import json
import os
import resource
import time
from pathlib import Path

import pytest

from mobiledeploy.device import Device, open_device, shell
from mobiledeploy.device.device import FOLDER
from mobiledeploy.errors import DeviceError, DeviceRunError, TimedOutError, UsageError
from mobiledeploy.phone import VirtualPhone

AWKWARD = [
    "a b",
    "it's",
    '"',
    "$HOME `id` $(id)",
    "ünïcødé 写真",
    "-n",
    "--",
    "new\nline",
    "",
    "*",
    "\\n",
    "a;b&c|d>e",
]


def local_folder(phone: VirtualPhone) -> Path:
    return phone.root / FOLDER.lstrip("/")


def is_gone(pid: int) -> bool:
    """Wait until a process has ended."""
    deadline = time.monotonic() + 20
    while time.monotonic() < deadline:
        try:
            if Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] == "Z":
                return True
        except (FileNotFoundError, ProcessLookupError):
            return True
        time.sleep(0.01)
    return False


class TestRun:
    def test_exit_code_and_both_outputs_come_back(self, device: Device) -> None:
        completed = device.run(["sh", "-c", "echo out; echo err >&2; exit 7"], timeout_s=20)
        assert (completed.exit_code, completed.stdout, completed.stderr) == (7, b"out\n", b"err\n")

    def test_arguments_arrive_as_they_are(self, device: Device) -> None:
        completed = device.run(["printf", r"%s\0", *AWKWARD], timeout_s=20)
        assert completed.stdout.decode().split("\0")[:-1] == AWKWARD

    def test_variables_arrive_as_they_are(self, device: Device) -> None:
        environment = {f"AWKWARD{number}": text for number, text in enumerate(AWKWARD)}
        program = ["sh", "-c", 'printf "%s\\0" ' + " ".join(f'"${name}"' for name in environment)]
        completed = device.run(program, timeout_s=20, environment=environment)
        assert completed.stdout.decode().split("\0")[:-1] == AWKWARD

    def test_output_is_binary_clean(self, device: Device, phone: VirtualPhone) -> None:
        data = bytes(range(256)) * 20_000
        (phone.root / "data/local/tmp/bytes").write_bytes(data)
        assert device.run(["cat", "/data/local/tmp/bytes"], timeout_s=20).stdout == data

    def test_it_runs_in_the_given_folder(self, device: Device, phone: VirtualPhone) -> None:
        (phone.root / "data/local/tmp/a b").mkdir()
        completed = device.run(["pwd"], timeout_s=20, cwd="/data/local/tmp/a b")
        assert completed.stdout.decode().strip().endswith("/data/local/tmp/a b")

    def test_a_missing_program_or_folder_is_the_shells_error(self, device: Device) -> None:
        assert device.run(["no-such-program"], timeout_s=20).exit_code == 127
        completed = device.run(["echo", "no"], timeout_s=20, cwd="/data/local/tmp/none")
        assert completed.exit_code != 0
        assert completed.stdout == b""
        assert b"none" in completed.stderr

    def test_a_killed_program_has_its_signal(self, device: Device) -> None:
        assert device.run(["sh", "-c", "kill -SEGV $$"], timeout_s=20).exit_code == 139

    def test_output_is_passed_on_as_it_comes(self, device: Device) -> None:
        seen: list[tuple[str, bytes]] = []
        text = "echo one; sleep 0.3; echo two >&2; sleep 0.3; echo three"
        device.run(["sh", "-c", text], timeout_s=20, on_output=lambda name, data: seen.append((name, data)))
        assert seen == [("stdout", b"one\n"), ("stderr", b"two\n"), ("stdout", b"three\n")]

    def test_a_command_that_takes_too_long_is_killed(self, device: Device) -> None:
        pids: list[int] = []
        stubborn = "trap '' HUP TERM; echo $$; while :; do sleep 0.1; done"
        with pytest.raises(TimedOutError, match=r"sh did not end within 1 s") as raised:
            device.run(["sh", "-c", stubborn], timeout_s=1, on_output=lambda _, data: pids.append(int(data)))
        assert raised.value.exit_code == 6
        assert is_gone(pids[0])
        assert device.run(["echo", "usable"], timeout_s=20).stdout == b"usable\n"

    def test_an_interrupt_kills_the_command(self, device: Device) -> None:
        pids: list[int] = []

        def interrupt(_: str, data: bytes) -> None:
            pids.append(int(data))
            raise KeyboardInterrupt

        stubborn = "trap '' HUP TERM; echo $$; while :; do sleep 0.1; done"
        with pytest.raises(KeyboardInterrupt):
            device.run(["sh", "-c", stubborn], timeout_s=60, on_output=interrupt)
        assert is_gone(pids[0])

    def test_endless_output_is_stopped(self, device: Device, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(shell, "MAX_OUTPUT_BYTES", 1_000_000)
        with pytest.raises(DeviceRunError, match="more than 1000000 bytes"):
            device.run(["yes"], timeout_s=60)
        assert device.run(["echo", "usable"], timeout_s=20).stdout == b"usable\n"

    @pytest.mark.parametrize("argv", [[], ["echo", "a\0b"], ["echo", "a" * 100_000]])
    def test_what_cannot_be_a_command_is_refused(self, device: Device, argv: list[str]) -> None:
        with pytest.raises(UsageError):
            device.run(argv, timeout_s=20)


class TestStore:
    @pytest.fixture
    def source(self, tmp_path: Path) -> Path:
        source = tmp_path / "model.bin"
        source.write_bytes(os.urandom(3_000_000))
        return source

    def test_the_content_arrives_once(self, device: Device, phone: VirtualPhone, source: Path) -> None:
        steps: list[tuple[int, int]] = []
        remote = device.store(source, progress=lambda done, total: steps.append((done, total)))
        stored = phone.root / remote.lstrip("/")
        assert remote.startswith(f"{FOLDER}/{hashlib.sha256(source.read_bytes()).hexdigest()[:16]}")
        assert stored.read_bytes() == source.read_bytes()
        assert steps == sorted(steps)
        assert steps[-1] == (3_000_000, 3_000_000)
        inode, steps = stored.stat().st_ino, []
        assert device.store(source, progress=lambda *_: steps.append((0, 0))) == remote
        assert (stored.stat().st_ino, steps) == (inode, [])

    def test_what_was_damaged_is_pushed_again(
        self, device: Device, phone: VirtualPhone, source: Path
    ) -> None:
        stored = phone.root / device.store(source).lstrip("/")
        stored.write_bytes(source.read_bytes()[:-1] + b"x")
        device.store(source)
        assert stored.read_bytes() == source.read_bytes()

    def test_programs_can_be_run(self, device: Device, tmp_path: Path) -> None:
        script = tmp_path / "script"
        script.write_text("#!/bin/sh\necho ran\n")
        device.store(script)
        assert device.run([device.store(script, executable=True)], timeout_s=20).stdout == b"ran\n"

    @pytest.mark.parametrize("name", ["a b", "it's", "ünïcødé", "-dash", "new\nline", "x" * 200, "$(id)"])
    def test_awkward_names(self, device: Device, tmp_path: Path, name: str) -> None:
        (tmp_path / name).write_text("content")
        assert device.run(["cat", device.store(tmp_path / name)], timeout_s=20).stdout == b"content"

    def test_an_empty_file(self, device: Device, tmp_path: Path) -> None:
        (tmp_path / "empty").touch()
        assert device.run(["cat", device.store(tmp_path / "empty")], timeout_s=20).stdout == b""

    def test_a_local_file_that_cannot_be_read(self, device: Device, tmp_path: Path) -> None:
        with pytest.raises(UsageError, match="No such file"):
            device.store(tmp_path / "none")
        with pytest.raises(UsageError, match="Is a directory"):
            device.store(tmp_path)

    def test_a_device_that_takes_no_file_says_why(
        self, device: Device, phone: VirtualPhone, source: Path
    ) -> None:
        local_folder(phone).touch()  # a file stands where the folder would be
        with pytest.raises(
            DeviceError, match=r"can't push to .*: couldn't create file: (Not a dir|File exists)"
        ):
            device.store(source)

    def test_a_write_that_fails_half_way_leaves_nothing(
        self, device: Device, phone: VirtualPhone, source: Path
    ) -> None:
        soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
        resource.setrlimit(resource.RLIMIT_FSIZE, (1_000_000, hard))  # the phone lives in this process
        try:
            with pytest.raises(DeviceError, match="write failed: File too large"):
                device.store(source)
        finally:
            resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
        assert list(local_folder(phone).iterdir()) == []
        device.store(source)

    def test_without_sha256sum_the_file_is_read_back(
        self, device: Device, phone: VirtualPhone, source: Path
    ) -> None:
        missing = phone.root / "system/bin/sha256sum"
        missing.write_text("#!/bin/sh\nexit 127\n")
        missing.chmod(0o755)
        remote = device.store(source)
        assert (phone.root / remote.lstrip("/")).read_bytes() == source.read_bytes()
        assert device.store(source, progress=lambda *_: pytest.fail("pushed twice")) == remote


class TestFiles:
    def test_pull(self, device: Device, phone: VirtualPhone, tmp_path: Path) -> None:
        data = os.urandom(3_000_000)
        (phone.root / "data/local/tmp/a b").write_bytes(data)
        device.pull("/data/local/tmp/a b", tmp_path / "back")
        assert (tmp_path / "back").read_bytes() == data

    def test_a_failed_pull_leaves_what_was_there(self, device: Device, tmp_path: Path) -> None:
        (tmp_path / "back").write_text("before")
        with pytest.raises(DeviceError, match="No such file or directory"):
            device.pull("/data/local/tmp/none", tmp_path / "back")
        with pytest.raises(DeviceError, match="directory"):
            device.pull("/data/local/tmp", tmp_path / "back")
        assert [path.name for path in tmp_path.iterdir()] == ["back"]
        assert (tmp_path / "back").read_text() == "before"

    @pytest.mark.parametrize("remote", ["/data/\0x", "/" + "x" * 2000])
    def test_paths_that_cannot_be_sent(self, device: Device, tmp_path: Path, remote: str) -> None:
        with pytest.raises(UsageError, match="not a usable path"):
            device.pull(remote, tmp_path / "back")

    def test_a_scratch_folder_is_fresh_and_goes_away(self, device: Device, phone: VirtualPhone) -> None:
        with device.scratch() as first, device.scratch() as second:
            assert first != second
            device.run(["touch", f"{first}/a b"], timeout_s=20)
            assert (phone.root / first.lstrip("/") / "a b").exists()
        assert list(local_folder(phone).iterdir()) == []

    def test_a_scratch_folder_goes_away_after_a_failure(self, device: Device, phone: VirtualPhone) -> None:
        with pytest.raises(TimedOutError), device.scratch() as folder:
            device.run(["sleep", "60"], timeout_s=0.5, cwd=folder)
        assert list(local_folder(phone).iterdir()) == []

    def test_clean_removes_everything(self, device: Device, phone: VirtualPhone, tmp_path: Path) -> None:
        (tmp_path / "source").write_bytes(os.urandom(2_000_000))
        device.store(tmp_path / "source")
        assert 2_000_000 <= device.clean() < 2_100_000
        assert not local_folder(phone).exists()
        assert device.clean() == 0


def test_facts_are_the_phones(device: Device, phone: VirtualPhone) -> None:
    facts = device.facts
    assert (facts.kind, facts.serial, facts.model) == ("virtual", phone.serial, phone.identity.model)
    assert facts.label == phone.identity.model
    assert facts.abis == (phone.identity.abi,)
    assert facts.primary_abi == phone.identity.abi
    assert len(facts.cores) == os.cpu_count()
    assert facts.memory_bytes == os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    assert facts.timings_are_latency
    assert json.loads(json.dumps(facts.to_json()))["timings_are_latency"] is True


def test_a_command_may_be_silent_for_longer_than_adb_shell_waits(phone: VirtualPhone) -> None:
    with open_device(phone.serial) as device:
        assert device.run(["sleep", "10.5"], timeout_s=60).exit_code == 0
