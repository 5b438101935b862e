from __future__ import annotations

import subprocess
from pathlib import Path

import pytest

from mobiledeploy.errors import UsageError
from mobiledeploy.phone.identity import make_identity
from mobiledeploy.phone.system import System


@pytest.fixture
def system(tmp_path: Path) -> System:
    return System(tmp_path / "phone", make_identity(None, None))


@pytest.mark.parametrize(
    ("text", "rewritten"),
    [
        ("ls /data/local/tmp", "ls R/data/local/tmp"),
        ("ls /data/local/tmp/", "ls R/data/local/tmp/"),
        ("cat '/data/local/tmp/a b' >/data/local/tmp/c", "cat 'R/data/local/tmp/a b' >R/data/local/tmp/c"),
        ("x --out=/data/local/tmp/o", "x --out=R/data/local/tmp/o"),
        ("cat /proc/cpuinfo", "cat R/proc/cpuinfo"),
        ("ls /sys/devices/system/cpu/cpu0", "ls R/sys/devices/system/cpu/cpu0"),
        ("cat /sys/class/thermal/thermal_zone*/temp", "cat R/sys/class/thermal/thermal_zone*/temp"),
        # Other paths, and paths of which one of ours is only a part
        ("ls /data/local/tmpfs /data/local", "ls /data/local/tmpfs /data/local"),
        ("ls /mnt/data/local/tmp ./data/local/tmp", "ls /mnt/data/local/tmp ./data/local/tmp"),
        ("ls R/data/local/tmp", "ls R/data/local/tmp"),
        # Programs in command position are started by the shim
        ("/data/local/tmp/p a", "S R/data/local/tmp/p a"),
        ("cd /data/local/tmp && ./p a", "cd R/data/local/tmp && S ./p a"),
        ("echo $$; exec /data/local/tmp/p", "echo $$; exec S R/data/local/tmp/p"),
        ("'/data/local/tmp/a p' x", "S 'R/data/local/tmp/a p' x"),
        ("LD_LIBRARY_PATH=/data/local/tmp ./p", "LD_LIBRARY_PATH=R/data/local/tmp S ./p"),
        ("(./a | ./b)&./c;./d\n./e", "(S ./a | S ./b)&S ./c;S ./d\nS ./e"),
        ("cat ./p", "cat ./p"),
        ("execute /data/local/tmp/p", "execute R/data/local/tmp/p"),
    ],
)
def test_commands_are_rewritten(system: System, text: str, rewritten: str) -> None:
    root = str(system.root)
    expected = rewritten.replace("S ", f"{root}/system/bin/start ").replace("R/", f"{root}/")
    assert system.rewrite(text.replace("R/", f"{root}/")) == expected


def run(system: System, text: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        ["/bin/sh", "-c", system.rewrite(text)],
        cwd=system.root,
        env=system.environment,
        capture_output=True,
        text=True,
        check=False,
    )


def test_pushed_scripts_and_programs_start(system: System) -> None:
    folder = system.root / "data/local/tmp"
    (folder / "script").write_text('#!/bin/sh\necho "$@"\n')
    (folder / "script").chmod(0o755)
    (folder / "program").symlink_to("/bin/echo")
    assert run(system, "/data/local/tmp/script 'a  b' c").stdout == "a  b c\n"
    assert run(system, "cd /data/local/tmp; ./program 'a  b' c").stdout == "a  b c\n"


def test_a_program_for_another_cpu_is_refused_as_on_a_phone(system: System) -> None:
    header = bytearray(Path("/bin/sh").resolve().read_bytes()[:64])
    header[18:20] = b"\x16\x00"  # EM_S390, which no phone has
    program = system.root / "data/local/tmp/p"
    program.write_bytes(header)
    program.chmod(0o755)
    completed = run(system, "/data/local/tmp/p")
    assert completed.returncode == 126
    assert "not executable: ELF file for another CPU" in completed.stderr


def test_missing_and_unexecutable_programs_get_the_shells_codes(system: System) -> None:
    (system.root / "data/local/tmp/p").touch(mode=0o644)
    assert run(system, "/data/local/tmp/none").returncode == 127
    assert run(system, "/data/local/tmp/p").returncode == 126


@pytest.mark.parametrize("path", ["..", "/..", "/data/../..", "/a/../../b", "/data/local/tmp/link", "/x\0y"])
@pytest.mark.parametrize("follow", [True, False])
def test_paths_do_not_leave_the_folder(system: System, tmp_path: Path, path: str, follow: bool) -> None:
    (system.root / "data/local/tmp/link").symlink_to(tmp_path)
    if path.endswith("link") and not follow:
        assert system.locate(path, follow=False).is_symlink()  # the link itself is inside
        path += "/below"
    with pytest.raises(PermissionError):
        system.locate(path, follow=follow)


def test_paths_inside_are_found(system: System) -> None:
    inside = system.root / "data/local/tmp"
    (inside / "link").symlink_to(inside / "target")
    for path in ("/data/local/tmp/x", "data/local/tmp/x", "//data//local/./tmp/x"):
        assert system.locate(path) == inside / "x"
    assert system.locate("/data/local/tmp/link") == inside / "link"
    assert system.locate("/", follow=False) == system.root


def test_a_folder_that_would_need_quoting_is_refused(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="can't live in"):
        System(tmp_path / "a b", make_identity(None, None))


def test_a_kept_folder_keeps_what_was_pushed(tmp_path: Path) -> None:
    first = System(tmp_path, make_identity(None, None))
    (first.root / "data/local/tmp/kept").write_text("kept")
    System(tmp_path, make_identity(None, None))
    assert (tmp_path / "data/local/tmp/kept").read_text() == "kept"
