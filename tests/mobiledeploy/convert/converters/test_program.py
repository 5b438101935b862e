"""Someone else's program: what it is given, and what becomes of it when it fails."""

from __future__ import annotations

import os
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from mobiledeploy.convert.converters.program import Program, _without_network, run_program
from mobiledeploy.errors import ConversionError

Run = Callable[..., str]


@pytest.fixture
def run(tmp_path: Path) -> Run:
    """Run a shell script as a program called `tool`, in the folder `work`."""

    def run(script: str, *arguments: str, time_limit_s: float = 20) -> str:
        file = tmp_path / "tool"
        file.write_text(f"#!/bin/sh\n{script}\n")
        file.chmod(0o755)
        (tmp_path / "work").mkdir(exist_ok=True)
        return run_program(Program(file, "1"), arguments, tmp_path / "work", time_limit_s=time_limit_s)

    return run


def test_it_runs_in_its_folder_and_what_it_prints_comes_back(run: Run, tmp_path: Path) -> None:
    assert run('echo first; echo >&2; echo "$1" >&2; echo x > left', "a b; c") == "first\na b; c"
    assert (tmp_path / "work" / "left").read_text() == "x\n"


def test_it_gets_nothing_of_the_environment_but_paths(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HTTPS_PROXY", "http://user:secret@proxy")
    names = {line.partition("=")[0] for line in run("env").splitlines()}
    shells_own = {"PWD", "OLDPWD", "SHLVL", "_"}
    assert names - shells_own <= {"PATH", "LD_LIBRARY_PATH", "HOME", "TMPDIR", "LC_ALL"}


def test_it_has_no_network(run: Run) -> None:
    if not _without_network():
        pytest.skip("no network namespaces for this user here")
    interfaces = [line.split(":")[0].strip() for line in run("cat /proc/net/dev").splitlines()[2:]]
    assert interfaces == ["lo"]


@pytest.mark.parametrize(
    ("script", "message"),
    [
        ("echo no such operator; exit 3", "tool failed with exit status 3: no such operator$"),
        ("exit 1", "tool failed with exit status 1$"),
        ("echo halfway; kill -SEGV $$", r"tool was ended by SIGSEGV \(Segmentation fault\): halfway$"),
        ("kill -FPE $$", "tool was ended by SIGFPE"),
    ],
)
def test_failures_say_what_happened(run: Run, script: str, message: str) -> None:
    with pytest.raises(ConversionError, match=message):
        run(script)


@pytest.mark.parametrize("script", ["sleep 600", "sleep 600 &\nwait", "while :; do echo on and on; done"])
def test_a_program_that_does_not_end_is_ended(run: Run, script: str) -> None:
    started = time.monotonic()
    with pytest.raises(ConversionError, match=r"tool took longer than 0\.5 s"):
        run(script, time_limit_s=0.5)
    assert time.monotonic() - started < 60  # far less than 600 s


def test_what_it_leaves_running_ends_with_it(run: Run) -> None:
    child = int(run("sleep 600 > /dev/null 2>&1 &\necho $!"))
    for _ in range(500):
        if not _is_running(child):
            return
        time.sleep(0.01)
    raise AssertionError("the background process still runs")


def _is_running(process: int) -> bool:
    try:
        os.kill(process, 0)
        return Path(f"/proc/{process}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except (FileNotFoundError, ProcessLookupError):
        return False


def test_a_program_that_cannot_be_started(tmp_path: Path) -> None:
    file = tmp_path / "tool"
    file.write_text("not a program")
    with pytest.raises(ConversionError, match="tool"):
        run_program(Program(file, "1"), [], tmp_path, time_limit_s=20)


def test_a_program_on_path_is_known_by_its_content(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    assert Program.on_path("tool") is None
    versions = []
    for content in ("one", "one", "two"):
        (tmp_path / "tool").write_text(content)
        (tmp_path / "tool").chmod(0o755)
        program = Program.on_path("tool")
        assert program is not None
        versions.append(program.version)
    assert versions[0] == versions[1] != versions[2]
