from __future__ import annotations

import json
from pathlib import Path

import pytest

from mobiledeploy import doctor


def by_name() -> dict[str, doctor.Finding]:
    return {finding.what: finding for finding in doctor.examine()}


def test_everything_needed_is_found_here() -> None:
    assert [finding for finding in doctor.examine() if finding.state == doctor.MISSING] == []


def test_an_empty_cache_is_no_fault(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("MOBILEDEPLOY_CACHE", str(tmp_path / "nowhere"))
    finding = by_name()["benchmark binary for arm64-v8a"]
    assert (finding.state, finding.detail) == (doctor.OPTIONAL, "built when a device needs it")
    assert not (tmp_path / "nowhere").exists()


def test_what_is_missing_comes_with_what_to_do(command, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(doctor, "_NEEDED", ("ncnn", "no-such-package"))
    outcome = command("doctor", "--format", "json")
    assert outcome.code == 1
    missing = [row for row in json.loads(outcome.out) if row["state"] == "missing"]
    assert [row["what"] for row in missing] == ["no-such-package"]
    assert "pip install" in missing[0]["detail"]


def test_a_virtual_phone_is_seen(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    from mobiledeploy.device.registry import RegisteredPhone, registered
    from mobiledeploy.phone import VirtualPhone

    monkeypatch.setenv("MOBILEDEPLOY_CACHE", str(tmp_path))
    with VirtualPhone(tmp_path / "phone") as phone, registered(RegisteredPhone(phone.port, "x")):
        assert by_name()[phone.serial].state == doctor.OK


@pytest.mark.parametrize(
    ("options", "said"), [("-plugin  QEMU_PLUGIN", "counts instructions"), ("", "without plugins")]
)
def test_whether_qemu_takes_plugins(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, options: str, said: str
) -> None:
    program = tmp_path / "qemu-aarch64"
    program.write_text(f"#!/bin/sh\necho 'qemu-aarch64 version 8.2.0'\necho '{options}'\n")
    program.chmod(0o755)
    monkeypatch.setenv("PATH", str(tmp_path), prepend=":")
    finding = by_name()["qemu-aarch64"]
    assert finding.state == doctor.OK
    assert str(program) in finding.detail
    assert said in finding.detail
