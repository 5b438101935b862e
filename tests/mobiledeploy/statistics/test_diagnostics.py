from __future__ import annotations

import numpy as np
import pytest

from mobiledeploy.statistics import Kind, Samples, diagnose

COUNT = 8 * 60


def kinds(samples: Samples) -> set[Kind]:
    return {finding.kind for finding in diagnose(samples)}


def test_clean_samples_give_few_warnings(make_samples) -> None:
    """Each rule in at most 5 % of 100 clean runs, CPU time and clocks included, but for intervals that are wide."""
    said: dict[Kind, int] = {}
    for seed in range(100):
        samples = make_samples(seed, launch_sd=0.01)
        generator = np.random.default_rng(seed)
        clean = Samples(
            samples.times_ms,
            samples.started_ms,
            samples.launch,
            samples.round,
            cpu_ms=samples.times_ms * (1 - np.abs(generator.normal(0, 0.005, COUNT))),
            clocks=np.stack([np.arange(100) * 48.0, np.full(100, 2e6)], axis=1),
        )
        for kind in kinds(clean):
            said[kind] = said.get(kind, 0) + 1
    assert all(number <= 5 for number in said.values()), said


def test_drift_within_launches(make_samples) -> None:
    samples = make_samples(1, factor=np.tile(np.linspace(1, 1.06, 60), 8))
    (finding,) = [finding for finding in diagnose(samples) if finding.kind is Kind.DRIFT]
    assert "within a launch" in finding.seen
    assert "+" in finding.seen
    assert "cool" in finding.advice


def test_drift_from_launch_to_launch(make_samples) -> None:
    samples = make_samples(1, launch_sd=0.004, factor=np.repeat(np.linspace(1.08, 1, 8), 60))
    (finding,) = [finding for finding in diagnose(samples) if finding.kind is Kind.DRIFT]
    assert "first launch to the last" in finding.seen
    assert "--warmup" in finding.advice


def test_throttling(make_samples) -> None:
    samples = make_samples(1, factor=np.where(np.arange(COUNT) < 300, 1.0, 1.3))
    found = diagnose(samples)
    assert found[0].kind is Kind.THROTTLING
    assert "From 3 s on it ran 30% slower" in found[0].seen
    assert Kind.DRIFT not in kinds(samples)


@pytest.mark.parametrize(("after_khz", "throttled"), [(1.8e6, True), (2e6, False)])
def test_clocks_decide_what_throttling_is(make_samples, after_khz: float, throttled: bool) -> None:
    moments = np.arange(100) * 48.0
    clocks = np.stack([moments, np.where(moments < 3000, 2e6, after_khz)], axis=1)
    samples = make_samples(1, factor=np.where(np.arange(COUNT) < 300, 1.0, 1.08), clocks=clocks)
    found = {finding.kind: finding for finding in diagnose(samples)}
    assert (Kind.THROTTLING in found) is throttled
    if throttled:
        assert "from 2000 to 1800 MHz" in found[Kind.THROTTLING].seen


def test_waiting_is_not_throttling(make_samples) -> None:
    """From the middle on another process takes a third of the core: the CPU time stays what it was."""
    quiet = make_samples(1)
    samples = make_samples(
        1, factor=np.where(np.arange(COUNT) < 240, 1.0, 1.5), cpu_ms=quiet.times_ms * 0.999
    )
    found = kinds(samples)
    assert Kind.OTHER_PROCESS in found
    assert Kind.THROTTLING not in found


def test_threads_that_wait_for_each_other_are_no_other_process(make_samples) -> None:
    times = make_samples(1).times_ms
    assert Kind.OTHER_PROCESS not in kinds(make_samples(1, threads=2, cpu_ms=times * 2 * 0.8))
    busy = np.where(np.arange(COUNT) % 4 == 0, 1.5, 1.0)
    assert Kind.OTHER_PROCESS in kinds(make_samples(1, factor=busy, threads=2, cpu_ms=times * 2 * 0.8))


def test_two_kinds_of_core_within_launches(make_samples) -> None:
    blocks = np.repeat(np.random.default_rng(0).random(COUNT // 5) < 0.3, 5)
    found = {
        finding.kind: finding for finding in diagnose(make_samples(1, factor=np.where(blocks, 1.6, 1.0)))
    }
    assert "within launches" in found[Kind.BIMODAL].seen
    assert "16" in found[Kind.BIMODAL].seen


def test_two_kinds_of_core_by_launch(make_samples) -> None:
    factor = np.repeat([1.0, 1.6, 1.0, 1.0, 1.6, 1.0, 1.6, 1.0], 60)
    found = {finding.kind: finding for finding in diagnose(make_samples(1, factor=factor))}
    assert "each launch in one of them" in found[Kind.BIMODAL].seen


def test_outliers(make_samples) -> None:
    rare = np.random.default_rng(0).random(COUNT) < 0.08
    assert Kind.OUTLIERS in kinds(make_samples(1, factor=np.where(rare, 2.0, 1.0)))
    assert Kind.OUTLIERS not in kinds(make_samples(1, factor=np.where(rare, 0.5, 1.0)))


def test_too_few_samples(make_samples) -> None:
    (few,) = [finding for finding in diagnose(make_samples(1, count=7)) if finding.kind is Kind.TOO_FEW]
    assert few.seen == "Only 56 samples."
    (wide,) = [
        finding
        for finding in diagnose(make_samples(1, launches=3, launch_sd=0.02))
        if finding.kind is Kind.TOO_FEW
    ]
    assert "from 180 samples in 3 launches" in wide.seen
    assert "--launches" in wide.advice


@pytest.mark.parametrize("count", [1, 2, 3, 4, 5])
def test_hardly_any_samples_do_no_harm(make_samples, count: int) -> None:
    for launches in (1, 2):
        assert Kind.TOO_FEW in kinds(make_samples(1, launches=launches, count=count))
