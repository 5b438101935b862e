from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import pytest

from mobiledeploy.benchmark.gate import POLL_S, GatePassed, wait_until_cool
from mobiledeploy.device.state import Battery, DeviceState, Temperature, parse_state
from mobiledeploy.errors import CheckFailedError, TimedOutError


def state(battery_c: float | None = None, status: int | None = 0, **sensors: float) -> DeviceState:
    """A state with a sensor (cpu, skin, …) for each keyword."""
    kinds = {"cpu": "cpu", "skin": "skin", "gpu": "gpu"}
    return replace(
        parse_state("", host_time=""),
        battery=Battery(None, battery_c, None, None, False),
        thermal_status=status,
        temperatures=tuple(
            Temperature(name, kinds[name], celsius, "sysfs")  # type: ignore[arg-type]
            for name, celsius in sensors.items()
        ),
    )


class Clock:
    """A device that goes through states, one a reading, and time that passes by sleeping only."""

    def __init__(self, *states: DeviceState) -> None:
        self._states = list(states)
        self.now_s = 0.0
        self.told: list[tuple[str, int, int]] = []

    def read(self) -> DeviceState:
        return self._states.pop(0) if len(self._states) > 1 else self._states[0]

    def sleep(self, seconds: float) -> None:
        assert seconds > 0
        self.now_s += seconds

    def wait(self, max_temp_c: float | None, cooldown_s: float) -> GatePassed:
        return wait_until_cool(
            self.read,
            max_temp_c,
            cooldown_s,
            self.sleep,
            lambda *told: self.told.append(told),
            now=lambda: self.now_s,
        )


def test_a_cool_device_starts_at_once() -> None:
    clock = Clock(state(35.0, cpu=70.0))
    passed = clock.wait(35, 600)
    assert (passed.waited_s, clock.told) == (0, [])
    assert passed.to_json() == {
        "max_temp_c": 35,
        "waited_s": 0,
        "sensor": "battery",
        "temperature_c": 35.0,
        "thermal_status": 0,
    }


def test_it_waits_until_the_device_has_cooled_down() -> None:
    clock = Clock(state(36.0), state(35.5), state(34.9))
    passed = clock.wait(35, 600)
    assert passed.waited_s == 2 * POLL_S
    assert passed.state.battery.temperature_c == 34.9
    assert clock.told == [
        ("cooling down: battery 36.0 °C, at most 35 wanted", 0, 600),
        ("cooling down: battery 35.5 °C, at most 35 wanted", 5, 600),
    ]


def test_androids_own_judgement_counts_too() -> None:
    clock = Clock(state(30.0, status=1), state(30.0, status=0))
    assert clock.wait(35, 600).waited_s == POLL_S
    with pytest.raises(TimedOutError, match="thermal status severe"):
        Clock(state(30.0, status=3)).wait(35, 0)
    assert Clock(state(30.0, status=None)).wait(35, 0).waited_s == 0


@pytest.mark.parametrize("cooldown_s", [0, 7, 12.5])
def test_it_gives_up_after_the_cooldown(cooldown_s: float) -> None:
    clock = Clock(state(41.2, cpu=66.0, skin=39.0))
    with pytest.raises(TimedOutError, match=r"battery 41\.2 °C, at most 35 wanted") as raised:
        clock.wait(35, cooldown_s)
    assert clock.now_s == cooldown_s
    assert "Read last: battery 41.2 °C, skin 39.0 °C, cpu 66.0 °C; thermal status none." in raised.value.hint
    assert "--cooldown" in raised.value.hint


def test_no_gate_passes_whatever_there_is() -> None:
    passed = Clock(state(60.0, status=4)).wait(None, 0)
    assert passed.state.thermal_status == 4
    assert Clock(state()).wait(None, 0).to_json()["temperature_c"] is None


@pytest.mark.parametrize(
    ("make", "sensor"),
    [
        (lambda: state(31.0, cpu=20.0, skin=20.0), "battery"),
        (lambda: state(skin=31.0, cpu=20.0), "skin"),
        (lambda: state(cpu=31.0, gpu=20.0), "cpu"),
    ],
)
def test_the_sensor_that_counts(make: Callable[[], DeviceState], sensor: str) -> None:
    with pytest.raises(TimedOutError, match=rf"{sensor} 31\.0 °C"):
        Clock(make()).wait(30, 0)


def test_a_device_without_sensors_can_not_be_held() -> None:
    with pytest.raises(CheckFailedError, match="tells no temperature"):
        Clock(state(gpu=30.0)).wait(35, 600)
