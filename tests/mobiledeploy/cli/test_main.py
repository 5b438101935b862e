from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import click
import pytest

from mobiledeploy.cli import COMMANDS, cli


def find_command(name: str) -> click.Command:
    found = cli.get_command(click.Context(cli), name)
    assert found is not None
    return found


def test_help_lists_every_command(command) -> None:
    outcome = command("--help")
    assert outcome.code == 0
    for name in COMMANDS:
        assert f"\n  {name} " in outcome.out


@pytest.mark.parametrize("name", COMMANDS)
def test_a_command_starts_its_help_with_its_line_in_the_list(name: str) -> None:
    found = find_command(name)
    assert (found.help or "").splitlines()[0] == COMMANDS[name]


@pytest.mark.parametrize("name", COMMANDS)
def test_every_option_has_help(name: str) -> None:
    for parameter in find_command(name).params:
        if isinstance(parameter, click.Option):
            assert parameter.help, f"{name}: {parameter.opts}"


@pytest.mark.parametrize("name", COMMANDS)
def test_every_command_is_documented(name: str) -> None:
    page = (Path(__file__).resolve().parents[3] / "docs" / "commands.md").read_text()
    assert f"\n## {name}\n\n    mobiledeploy {name}" in page


def test_help_imports_nothing_heavy() -> None:
    program = (
        "import sys\n"
        "from mobiledeploy.cli import cli\n"
        "cli.main(['--help'], standalone_mode=False)\n"
        "heavy = {'torch', 'onnx', 'ncnn', 'numpy', 'rich', 'onnxruntime', 'adb_shell'} & set(sys.modules)\n"
        "sys.exit(f'imported: {heavy}' if heavy else 0)\n"
    )
    result = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True)
    assert result.returncode == 0, result.stderr


def test_an_unknown_command_is_a_usage_error(command) -> None:
    outcome = command("convrt")
    assert outcome.code == 2
    assert "convrt" in outcome.err


def test_an_unforeseen_error_shows_no_traceback(command, monkeypatch: pytest.MonkeyPatch) -> None:
    def fail() -> None:
        raise ZeroDivisionError("oh")

    monkeypatch.setattr("mobiledeploy.doctor.examine", fail)
    outcome = command("doctor")
    assert outcome.code == 70
    assert "ZeroDivisionError: oh" in outcome.err
    assert "Traceback" not in outcome.err
