from __future__ import annotations

import json

import pytest

from mobiledeploy.device.facts import Core, DeviceFacts, parse_facts
from mobiledeploy.errors import DeviceError

PROPERTIES = """\
[ro.build.version.release]: [14]
[ro.build.fingerprint]: [maker/prod/dev:14/UP1A/1:user/release-keys]
[ro.product.cpu.abilist]: [arm64-v8a,armeabi-v7a,armeabi]
[ro.product.manufacturer]: [Maker]
[ro.product.model]: [Phone 6]
[ro.soc.model]: [SM8150]
[persist.note]: [two
lines]: [not a value]
"""

# A core is asleep: /proc/cpuinfo leaves it out, its clock is still known.
CPUINFO = """\
processor\t: 0
Features\t: fp asimd aes asimdhp asimddp
CPU implementer\t: 0x41
CPU part\t: 0xd05

processor\t: 2
Features\t: fp asimd asimdhp asimddp
CPU implementer\t: 0x51
CPU part\t: 0x804

Hardware\t: Qualcomm Technologies, Inc SM8150
"""


def output(
    properties: str = PROPERTIES, cpuinfo: str = CPUINFO, clocks: str = "0 1785600\n1 1785600\n2 2841600\n"
) -> str:
    return f"{properties}=cpuinfo=\n{cpuinfo}=meminfo=\nMemTotal:        5652476 kB\n=clocks=\n{clocks}"


def parse(text: str) -> DeviceFacts:
    return parse_facts(text, serial="S1", transport="usb")


def test_a_phones_facts() -> None:
    facts = parse(output())
    assert facts == DeviceFacts(
        serial="S1",
        kind="usb",
        model="Maker Phone 6",
        soc="SM8150",
        android_version="14",
        fingerprint="maker/prod/dev:14/UP1A/1:user/release-keys",
        abis=("arm64-v8a", "armeabi-v7a", "armeabi"),
        cpu_features=("asimd", "asimddp", "asimdhp", "fp"),
        cores=(
            Core(0, 1785600, "0x41", "0xd05"),
            Core(1, 1785600, None, None),
            Core(2, 2841600, "0x51", "0x804"),
        ),
        memory_bytes=5652476 * 1024,
        emulated=False,
        host=None,
    )
    assert facts.primary_abi == "arm64-v8a"
    assert facts.label == "Maker Phone 6 (SM8150, Android 14)"
    assert facts.timings_are_latency


def test_carriage_returns_do_no_harm() -> None:
    assert parse(output().replace("\n", "\r\n").replace("two\r\n", "two\n")) == parse(output())


def test_json_holds_plain_values() -> None:
    document = json.loads(json.dumps(parse(output()).to_json()))
    assert document["cores"][2] == {"index": 2, "max_khz": 2841600, "implementer": "0x51", "part": "0x804"}
    assert document["timings_are_latency"] is True


@pytest.mark.parametrize(
    "text", ["", "\0\xff", "=clocks=\n=cpuinfo=\n", "[a]: [", output("", "", "x y\n-1 5\n")]
)
def test_what_is_missing_stays_empty(text: str) -> None:
    facts = parse(text)
    assert (facts.model, facts.soc, facts.abis, facts.cores) == ("S1", "", (), ())
    assert facts.android_version is None
    assert facts.label == "S1"
    with pytest.raises(DeviceError, match="no known ABI"):
        _ = facts.primary_abi


@pytest.mark.parametrize(
    ("abis", "primary"),
    [
        ("arm64-v8a", "arm64-v8a"),
        ("armeabi-v7a,armeabi", "armeabi-v7a"),
        ("x86_64,arm64-v8a", "x86_64"),  # translates ARM; native is faster
        ("riscv64,arm64-v8a", "arm64-v8a"),
    ],
)
def test_the_abi_to_build_for(abis: str, primary: str) -> None:
    assert parse(f"[ro.product.cpu.abilist]: [{abis}]\n").primary_abi == primary


@pytest.mark.parametrize(
    "properties", ["[ro.mobiledeploy.emulated]: [1]\n", "[ro.kernel.qemu]: [1]\n", "[ro.boot.qemu]: [1]\n"]
)
def test_an_emulators_times_are_no_latencies(properties: str) -> None:
    facts = parse(properties + PROPERTIES)
    assert facts.emulated
    assert not facts.timings_are_latency
    assert "emulator" in facts.label


def test_older_phones_name_their_board() -> None:
    assert parse("[ro.board.platform]: [msm8998]\n[ro.hardware]: [qcom]\n").soc == "msm8998"
    assert parse("[ro.product.cpu.abi]: [armeabi-v7a]\n").abis == ("armeabi-v7a",)
