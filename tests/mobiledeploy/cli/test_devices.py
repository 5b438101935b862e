from __future__ import annotations

import contextlib
import json
import os
import socket
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from mobiledeploy.cli import COMMANDS, devices
from mobiledeploy.device import open_device
from mobiledeploy.device.registry import RegisteredPhone, registered
from mobiledeploy.device.stabilize import stabilized
from mobiledeploy.phone import VirtualPhone

Command = Callable[..., tuple[int, str, str]]


@pytest.fixture(autouse=True)
def _environment(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """Keep the user's own keys, devices, servers and caches out of the tests."""
    for name in ("ANDROID_SERIAL", "ADB_SERVER_SOCKET", "ANDROID_ADB_SERVER_ADDRESS", "ADB_VENDOR_KEYS"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("HOME", str(tmp_path / "home"))
    monkeypatch.setenv("MOBILEDEPLOY_CACHE", str(tmp_path / "cache"))
    with socket.create_server(("127.0.0.1", 0)) as listener:
        monkeypatch.setenv("ANDROID_ADB_SERVER_PORT", str(listener.getsockname()[1]))


@contextlib.contextmanager
def running(model: str) -> Iterator[VirtualPhone]:
    with VirtualPhone() as phone, registered(RegisteredPhone(phone.port, model)):
        yield phone


def test_help_starts_with_the_line_in_the_list() -> None:
    assert (devices.command.help or "").splitlines()[0] == COMMANDS["devices"]


def test_no_device(command: Command) -> None:
    code, out, err = command("devices", "--format", "json")
    assert (code, json.loads(out)) == (0, [])
    assert "mobiledeploy phone" in err


def test_each_device_has_its_facts(command: Command) -> None:
    with running("one") as one, running("two") as two:
        code, out, _ = command("devices", "--format", "json")
        facts = {document["serial"]: document for document in json.loads(out)}
        assert code == 0
        assert set(facts) == {one.serial, two.serial}
        assert facts[one.serial]["model"] == one.identity.model
        assert facts[one.serial]["state"] == "device"
        assert facts[one.serial]["kind"] == "virtual"
        code, out, _ = command("devices", "--format", "csv")
        assert out.startswith("serial,state,model,soc,abi,cores,CPU features,memory (GB),android\n")
        assert len(out.splitlines()) == 3
        code, out, _ = command("devices", "-s", two.serial)
        assert two.serial in out
        assert one.serial not in out


def test_the_state_of_one_device(command: Command) -> None:
    with running("one") as phone:
        (phone.root / "system/state/thermal_status").write_text("2\n")
        (phone.root / "system/state/battery_temperature").write_text("387\n")
        code, out, _ = command("devices", "-s", phone.serial, "--format", "json")
        (document,) = json.loads(out)
        assert code == 0
        assert document["model"] == phone.identity.model
        assert document["device_state"]["thermal_status_name"] == "moderate"
        assert document["device_state"]["battery"]["temperature_c"] == 38.7
        _, out, _ = command("devices", "-s", phone.serial, "--format", "csv")
        assert out.splitlines()[0].endswith(",temperature (°C),thermal status,battery,governor")
        assert '"battery 38.7, CPU 30.0 (made up)",moderate,100 % full (made up),' in out


def test_what_an_earlier_run_left_is_restored_and_said(command: Command) -> None:
    with running("one") as phone:
        setting = phone.root / "system/state/settings/global/stay_on_while_plugged_in"
        whole = (phone.root / "system/bin/settings").read_text()
        with open_device(phone.serial) as device, stabilized(device):
            (phone.root / "system/bin/settings").write_text("#!/bin/sh\nexit 1\n")
        (phone.root / "system/bin/settings").write_text(whole)
        assert setting.read_text() == "7\n"
        code, _, err = command("devices", "-s", phone.serial)
        assert code == 0
        assert "stay_on_while_plugged_in restored: 0" in err
        assert setting.read_text() == "0\n"
        assert command("devices", "-s", phone.serial)[2] == ""


def test_one_that_does_not_answer_does_not_hide_the_others(command: Command) -> None:
    with running("good") as good, socket.create_server(("127.0.0.1", 0)) as deaf:
        port = deaf.getsockname()[1]
        with registered(RegisteredPhone(port, "deaf")):
            deaf.close()
            entry = Path(os.environ["MOBILEDEPLOY_CACHE"], "phones", f"{port}.json")
            assert entry.exists()
            code, out, _ = command("devices", "--format", "json")
    assert code == 0
    assert [document["serial"] for document in json.loads(out)] == [good.serial]


def test_a_stranger_is_listed_with_its_reason(command: Command, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(open_device.__kwdefaults__, "authorization_timeout_s", 0.2)
    with (
        VirtualPhone(authorization="none") as phone,
        registered(RegisteredPhone(phone.port, "stranger")),
    ):
        code, out, err = command("devices", "--format", "json")
        (document,) = json.loads(out)
        assert (code, document["state"], document["description"]) == (0, "unusable", "stranger")
        assert "unauthorized" in document["error"]
        assert "unauthorized" in err


def test_clean_frees_what_was_pushed(command: Command, tmp_path: Path) -> None:
    (tmp_path / "source").write_bytes(bytes(1_000_000))
    with running("one") as phone:
        with open_device(phone.serial) as device:
            device.store(tmp_path / "source")
        code, out, _ = command("devices", "--clean", "--format", "json")
        assert (code, json.loads(out)[0]["serial"]) == (0, phone.serial)
        assert json.loads(out)[0]["freed_bytes"] >= 1_000_000
        assert not (phone.root / "data/local/tmp/mobiledeploy").exists()
        assert json.loads(command("devices", "--clean", "--format", "json")[1])[0]["freed_bytes"] == 0


def test_clean_wants_a_choice(command: Command) -> None:
    with running("one"), running("two"):
        code, out, err = command("devices", "--clean")
    assert (code, out) == (3, "")
    assert "2 devices and no choice" in err


def test_a_device_that_is_not_there(command: Command) -> None:
    code, out, err = command("devices", "-s", "127.0.0.1:1")
    assert (code, out) == (3, "")
    assert "can't connect to 127.0.0.1:1: Connection refused" in err
