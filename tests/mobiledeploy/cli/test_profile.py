from __future__ import annotations

import csv
import io
import json
from pathlib import Path


def test_profile_prints_and_writes(command, tiny_bundle, chosen_phone, tmp_path: Path) -> None:
    files = ["-o", tmp_path / "profile.json", "--trace", tmp_path / "trace.json"]
    outcome = command(
        "profile", tiny_bundle.path, "--quick", "--runs", "5", "--top", "2", *files, "--format", "csv"
    )
    assert outcome.code == 0, outcome.err
    rows = list(csv.DictReader(io.StringIO(outcome.out)))
    assert len(rows) == 5
    assert rows[-1]["layer"] == "sum"
    assert "limits" in outcome.err
    document = json.loads((tmp_path / "profile.json").read_text())
    assert document["kind"] == "profile"
    names = {event["name"] for event in json.loads((tmp_path / "trace.json").read_text())["traceEvents"]}
    assert {layer["name"] for layer in document["layers"]} <= names


def test_bad_requests(command, tiny_bundle, chosen_phone) -> None:
    assert command("profile", "nowhere").code == 2
    for option in (["--threads", "0"], ["--top", "0"], ["--precision", "fp8"], ["--cores", "gpu"]):
        outcome = command("profile", tiny_bundle.path, *option)
        assert outcome.code == 2, option
        assert "Traceback" not in outcome.err
