"""The start gate: a benchmark begins once the device is cool.

What is held against the limit is the battery's temperature. It is on every phone, readable without root, and it
follows the phone's body, whose skin temperature is what Android throttles by; a CPU's own sensor jumps by tens of
degrees within a second of work and says little about the minutes to come. Where no battery tells its temperature
the skin sensor is taken, then the hottest CPU sensor.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass

from mobiledeploy.device.state import THERMAL_STATUSES, DeviceState, Kind
from mobiledeploy.errors import CheckFailedError, TimedOutError
from mobiledeploy.progress import Progress

_KINDS: tuple[Kind, ...] = ("battery", "skin", "cpu", "gpu")

POLL_S = 5.0  # a phone's body cools by less than 0.1 °C in that time


@dataclass(frozen=True)
class GatePassed:
    """What the gate let pass: the last reading, and how long it took to cool down to it."""

    state: DeviceState
    waited_s: float
    max_temp_c: float | None

    def to_json(self) -> dict[str, object]:
        """Return it for the run's record, with the temperature that was held against the limit."""
        reading = gate_temperature(self.state)
        return {
            "max_temp_c": self.max_temp_c,
            "waited_s": round(self.waited_s, 1),
            "sensor": reading[0] if reading else None,
            "temperature_c": reading[1] if reading else None,
            "thermal_status": self.state.thermal_status,
        }


def wait_until_cool(
    read_state: Callable[[], DeviceState],
    max_temp_c: float | None,
    cooldown_s: float,
    sleep: Callable[[float], None] = time.sleep,
    progress: Progress | None = None,
    now: Callable[[], float] = time.monotonic,
) -> GatePassed:
    """Wait until the device is at most `max_temp_c` warm and Android's thermal status is none.

    With None there is no gate: the state is read once and whatever it is passes. A thermal status that isn't
    known passes. Raises CheckFailedError where the device tells no temperature, and TimedOutError where it is
    still too warm after `cooldown_s`, with the readings.
    """
    tell = progress or (lambda *_: None)
    start = now()
    while True:
        state = read_state()
        waited_s = now() - start
        reasons = [] if max_temp_c is None else _reasons(state, max_temp_c)
        if not reasons:
            return GatePassed(state, waited_s, max_temp_c)
        if waited_s >= cooldown_s:
            raise TimedOutError(
                f"the device is too warm to start: {', '.join(reasons)} (waited {waited_s:.0f} s)",
                hint=f"{_readings(state)}\nLet it cool down (out of its case, off the charger, screen off), or give "
                "a longer --cooldown or a higher --max-temp.",
            )
        tell(f"cooling down: {', '.join(reasons)}", int(waited_s), int(cooldown_s))
        sleep(min(POLL_S, cooldown_s - waited_s))


def gate_temperature(state: DeviceState) -> tuple[str, float] | None:
    """Return the sensor that counts and its °C, None where the device tells none."""
    if state.battery.temperature_c is not None:
        return "battery", state.battery.temperature_c
    for kind in _KINDS[:3]:
        if (hottest := state.hottest(kind)) is not None:
            return hottest.name, hottest.celsius
    return None


def _reasons(state: DeviceState, max_temp_c: float) -> list[str]:
    """Say what keeps the gate shut; empty where nothing does."""
    reading = gate_temperature(state)
    if reading is None:
        raise CheckFailedError(
            "the device tells no temperature, so --max-temp can't be held",
            hint="Leave --max-temp out; the run then records that nothing was known.",
        )
    sensor, celsius = reading
    reasons = [f"{sensor} {celsius:.1f} °C, at most {max_temp_c:g} wanted"] if celsius > max_temp_c else []
    if state.thermal_status:
        reasons.append(f"thermal status {THERMAL_STATUSES[state.thermal_status]}")
    return reasons


def _readings(state: DeviceState) -> str:
    """Write the battery's temperature and the hottest sensor of each kind: a phone may have a hundred."""
    hottest = [state.hottest(kind) for kind in _KINDS]
    sensors = [f"{sensor.name} {sensor.celsius:.1f} °C" for sensor in hottest if sensor is not None]
    if state.battery.temperature_c is not None:
        sensors.insert(0, f"battery {state.battery.temperature_c:.1f} °C")
    return f"Read last: {', '.join(sensors)}; thermal status {state.thermal_status_name or 'unknown'}."
