from __future__ import annotations

import csv
import io
import json
from pathlib import Path

import pytest

QUICK = ("--runs", "5", "--min-time", "0", "--warmup", "1")


def test_benchmark_then_report(command, tiny_bundle, chosen_phone, tmp_path: Path) -> None:
    file = tmp_path / "run.json"
    outcome = command("benchmark", tiny_bundle.path, *QUICK, "-o", file, "--format", "json")
    assert outcome.code == 0, outcome.err
    assert json.loads(outcome.out) == json.loads(file.read_text())

    table = command("report", file, "--format", "csv")
    rows = list(csv.DictReader(io.StringIO(table.out)))
    assert [row["precision"] for row in rows] == ["fp32", "fp16", "int8"]
    assert all(float(row["time (ms)"]) <= float(row["p90 (ms)"]) for row in rows)
    assert float(rows[0]["mask IoU vs fp32"]) > 0.999

    markdown = command("report", file, file, "--format", "markdown").out.splitlines()
    assert markdown[0].startswith("| model | precision | model size (M) | time (ms) | p90 (ms) |")
    assert len([line for line in markdown if line.startswith("| tiny")]) == 6
    assert "virtual phone" in "\n".join(markdown)


@pytest.mark.parametrize(
    ("arguments", "code", "message"),
    [
        (["benchmark", "nowhere"], 2, "not a bundle"),
        (["benchmark"], 2, "BUNDLES"),
        (["report", "nowhere.json"], 2, "nowhere.json"),
        (["report"], 2, "RUNS"),
    ],
)
def test_bad_requests(command, arguments: list[str], code: int, message: str) -> None:
    outcome = command(*arguments)
    assert outcome.code == code
    assert message in outcome.err


def test_bad_options(command, tiny_bundle, chosen_phone) -> None:
    for option in (["--threads", "0"], ["--threads", "two"], ["--precision", "mixed"], ["--runs", "0"]):
        assert command("benchmark", tiny_bundle.path, *option).code == 2


def test_a_device_that_is_not_there_is_exit_code_3(command, tiny_bundle) -> None:
    outcome = command("benchmark", tiny_bundle.path, "-s", "127.0.0.1:1")
    assert outcome.code == 3
    assert "127.0.0.1:1" in outcome.err
    assert "Traceback" not in outcome.err


def test_a_device_or_a_cpu_to_emulate(command, tiny_bundle) -> None:
    outcome = command("benchmark", tiny_bundle.path, "-s", "127.0.0.1:1", "--cpu", "cortex-a53")
    assert outcome.code == 2
    assert "choose one" in outcome.err


def test_instructions_are_counted_on_no_native_phone(command, tiny_bundle, chosen_phone) -> None:
    outcome = command("benchmark", tiny_bundle.path, "--count-instructions")
    assert outcome.code == 3
    assert "--cpu cortex-a53" in outcome.err


def test_a_cpu_that_is_not_emulated(command, tiny_bundle) -> None:
    outcome = command("benchmark", tiny_bundle.path, "--count-instructions", "--cpu", "cortex-x4")
    assert outcome.code == 3
    assert "cortex-a76: arm64-v8a" in outcome.err


def test_layers_of_a_run_without_counts(command, make_run, tmp_path: Path) -> None:
    from mobiledeploy.benchmark import write_run

    write_run(make_run({}), tmp_path / "run.json")
    outcome = command("report", "--layers", tmp_path / "run.json")
    assert outcome.code == 2
    assert "--count-instructions" in outcome.err
