"""The virtual phone as Google's adb sees it."""

from __future__ import annotations

import hashlib
import os
import subprocess
import threading
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from mobiledeploy.phone import VirtualPhone

RunAdb = Callable[..., "subprocess.CompletedProcess[bytes]"]

AWKWARD_NAMES = [
    "plain.txt",
    "two words.txt",
    'it\'s "quoted".txt',
    "ünïcødé-写真.txt",
    "-leading-dash",
    "semi;colon & $(echo x) `id`",
    "line\nbreak",
    "back\\slash",
]


def test_exit_code_and_stderr_come_back(adb: RunAdb) -> None:
    completed = adb("shell", "echo out; echo err >&2; exit 7")
    assert (completed.returncode, completed.stdout, completed.stderr) == (7, b"out\n", b"err\n")


def test_a_signal_is_128_and_its_number(adb: RunAdb) -> None:
    assert adb("shell", "kill -9 $$").returncode == 137


def test_stdin_reaches_the_command_and_ends(adb: RunAdb) -> None:
    data = os.urandom(3_000_000)
    completed = adb("shell", "sha256sum", stdin=data)
    assert completed.stdout.split()[0].decode() == hashlib.sha256(data).hexdigest()


def test_stdin_that_nobody_reads_holds_nothing_up(adb: RunAdb) -> None:
    assert adb("shell", "echo done", stdin=bytes(5_000_000)).stdout == b"done\n"


@pytest.mark.parametrize("service", ["shell", "exec-out"])
def test_output_is_binary_clean(adb: RunAdb, phone: VirtualPhone, service: str) -> None:
    data = bytes(range(256)) * 5000
    (phone.root / "data/local/tmp/bytes").write_bytes(data)
    assert adb(service, "cat /data/local/tmp/bytes").stdout == data


def test_getprop_says_what_the_phone_is(adb: RunAdb, phone: VirtualPhone) -> None:
    assert adb("shell", "getprop ro.product.model").stdout.decode().strip() == phone.identity.model
    assert adb("shell", "getprop ro.none default").stdout == b"default\n"
    assert b"[ro.mobiledeploy.virtual]: [1]\n" in adb("shell", "getprop").stdout


def test_an_interactive_shell_is_refused_in_words(adb: RunAdb) -> None:
    completed = adb("shell")
    assert completed.returncode == 1
    assert b"no interactive shell" in completed.stderr


def test_push_and_pull_keep_content_and_mode(adb: RunAdb, tmp_path: Path) -> None:
    source, back = tmp_path / "source", tmp_path / "back"
    source.write_bytes(os.urandom(7_654_321))
    source.chmod(0o755)
    assert adb("push", str(source), "/data/local/tmp/new/folder/file").returncode == 0
    assert adb("shell", "[ -x /data/local/tmp/new/folder/file ]").returncode == 0
    assert adb("pull", "/data/local/tmp/new/folder/file", str(back)).returncode == 0
    assert back.read_bytes() == source.read_bytes()


def test_an_empty_file_is_a_file(adb: RunAdb, tmp_path: Path) -> None:
    (tmp_path / "empty").touch()
    assert adb("push", str(tmp_path / "empty"), "/data/local/tmp/empty").returncode == 0
    assert adb("pull", "/data/local/tmp/empty", str(tmp_path / "back")).returncode == 0
    assert (tmp_path / "back").read_bytes() == b""


def test_folders_with_awkward_names_make_the_round_trip(adb: RunAdb, tmp_path: Path) -> None:
    tree = tmp_path / "tree"
    for folder in (tree, tree / "a b", tree / "a b/deeper"):
        folder.mkdir()
        for name in AWKWARD_NAMES:
            (folder / name).write_bytes(os.urandom(100))
    assert adb("push", str(tree), "/data/local/tmp/").returncode == 0
    assert adb("pull", "/data/local/tmp/tree", str(tmp_path / "back")).returncode == 0
    expected = {path.relative_to(tree): path.read_bytes() for path in tree.rglob("*") if path.is_file()}
    back = tmp_path / "back"
    assert {
        path.relative_to(back): path.read_bytes() for path in back.rglob("*") if path.is_file()
    } == expected


def test_listing_shows_sizes_and_names(adb: RunAdb, phone: VirtualPhone) -> None:
    folder = phone.root / "data/local/tmp/listed"
    folder.mkdir()
    (folder / "b c").write_bytes(bytes(0x1234))
    lines = adb("ls", "/data/local/tmp/listed").stdout.decode().splitlines()
    fields = [line.split(maxsplit=3) for line in lines]
    assert [name for *_, name in fields] == [".", "..", "b c"]
    assert int(fields[2][1], 16) == 0x1234


def test_missing_files_are_named(adb: RunAdb, tmp_path: Path) -> None:
    completed = adb("pull", "/data/local/tmp/none", str(tmp_path / "none"))
    assert completed.returncode == 1
    assert b"No such file or directory" in completed.stderr
    assert not (tmp_path / "none").exists()


def test_a_push_to_where_no_file_can_be_gives_the_reason(
    adb: RunAdb, phone: VirtualPhone, tmp_path: Path
) -> None:
    (phone.root / "data/local/tmp/file").touch()
    (tmp_path / "source").write_bytes(bytes(1_000_000))
    completed = adb("push", str(tmp_path / "source"), "/data/local/tmp/file/below")
    assert completed.returncode == 1
    assert b"Not a directory" in completed.stderr


@pytest.mark.parametrize("target", ["/data/local/tmp/../../../../etc/x", "/../x", "/data/local/tmp/out/x"])
def test_files_stay_inside_the_phones_folder(
    adb: RunAdb, phone: VirtualPhone, tmp_path: Path, target: str
) -> None:
    outside = tmp_path / "outside"
    outside.mkdir()
    (outside / "secret").write_text("secret")
    (phone.root / "data/local/tmp/out").symlink_to(outside)
    (tmp_path / "source").write_text("x")
    assert adb("push", str(tmp_path / "source"), target).returncode == 1
    assert sorted(path.name for path in outside.iterdir()) == ["secret"]
    assert adb("pull", "/data/local/tmp/out/secret", str(tmp_path / "leak")).returncode == 1
    assert not (tmp_path / "leak").exists()


def test_streams_run_side_by_side(adb: RunAdb, tmp_path: Path) -> None:
    (tmp_path / "source").write_bytes(os.urandom(2_000_000))
    outcomes: dict[int, bytes] = {}

    def work(index: int) -> None:
        adb("push", str(tmp_path / "source"), f"/data/local/tmp/copy{index}")
        outcomes[index] = adb("shell", f"cat /data/local/tmp/copy{index} | sha256sum; echo {index}").stdout

    threads = [threading.Thread(target=work, args=(index,)) for index in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    digest = hashlib.sha256((tmp_path / "source").read_bytes()).hexdigest()
    assert outcomes == {index: f"{digest}  -\n{index}\n".encode() for index in range(8)}


def test_a_stranger_is_unauthorized(adb_server: RunAdb) -> None:
    with VirtualPhone(authorization="none") as phone:
        adb_server("connect", phone.serial)
        assert f"{phone.serial}\tunauthorized".encode() in adb_server("devices").stdout
        completed = adb_server("-s", phone.serial, "shell", "echo no")
        assert completed.returncode == 1
        assert b"unauthorized" in completed.stderr
        adb_server("disconnect", phone.serial)


def test_a_trusting_phone_accepts_and_remembers(adb_server: RunAdb) -> None:
    with VirtualPhone(authorization="any") as phone:
        adb_server("connect", phone.serial)  # says that it failed: the phone is asked only now
        deadline = time.monotonic() + 20
        while b"\tdevice" not in adb_server("devices").stdout and time.monotonic() < deadline:
            time.sleep(0.05)
        assert adb_server("-s", phone.serial, "shell", "echo yes").stdout == b"yes\n"
        adb_server("disconnect", phone.serial)
        assert adb_server("connect", phone.serial).stdout.startswith(b"connected to")
        adb_server("disconnect", phone.serial)
