from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mobiledeploy.benchmark.plan import Method, Plan, RemoteFiles, command_line, loading_order
from mobiledeploy.errors import UsageError


def files_of(bundle) -> RemoteFiles:
    return RemoteFiles(
        "/d/bench",
        {bundle.path: {"picture": "/d/picture.npy"}},
        {
            (bundle.path, precision): (f"/d/{precision}.param", f"/d/{precision}.bin")
            for precision in bundle.variants
        },
    )


def test_all_variants_and_threads_by_default(tiny_bundle) -> None:
    configurations = Plan(threads=(1, 4)).configurations([tiny_bundle])
    assert [configuration.name for configuration in configurations] == [
        f"{precision}-{threads}t" for precision in ("fp32", "fp16", "int8") for threads in (1, 4)
    ]


def test_names_tell_configurations_apart(tiny_bundle) -> None:
    plan = Plan(precisions=("fp32",), cores=(None, "f0"), copies=2, spin_percents=(0, 5))
    names = [configuration.name for configuration in plan.configurations([tiny_bundle])]
    assert names == [
        "fp32-1t", "fp32-1t.2", "fp32-1t+5%", "fp32-1t+5%.2",
        "fp32-1t@f0", "fp32-1t@f0.2", "fp32-1t@f0+5%", "fp32-1t@f0+5%.2",
    ]  # fmt: skip


def test_a_variant_that_is_not_there(tiny_bundle) -> None:
    with pytest.raises(UsageError, match="fp8"):
        Plan(precisions=("fp8",)).configurations([tiny_bundle])


def test_sustained_load_is_of_one_configuration(tiny_bundle) -> None:
    plan = Plan(precisions=("fp32",), mode="sustained")
    assert len(plan.configurations([tiny_bundle])) == 1
    with pytest.raises(UsageError, match="these are 2"):
        plan.configurations([tiny_bundle, tiny_bundle])


@given(st.integers(1, 20), st.integers(1, 2000), st.integers(0, 10**6), st.integers(0, 10**6))
def test_launches_add_up_to_the_whole(launches: int, runs: int, time_ms: int, max_ms: int) -> None:
    whole = Method(launches=launches, min_runs=runs, min_time_ms=time_ms, max_time_ms=max_ms)
    one = whole.in_one_launch()
    assert launches * one.min_runs >= runs > launches * (one.min_runs - 1)
    assert launches * one.min_time_ms >= time_ms
    assert (one.max_time_ms == 0) == (max_ms == 0)  # 0 means no bound


@given(st.integers(1, 12), st.integers(0, 9), st.integers(0, 99))
def test_every_launch_loads_everything_in_an_order_of_its_own(count: int, launch: int, seed: int) -> None:
    order = loading_order(count, launch, seed)
    assert sorted(order) == list(range(count))
    assert order == loading_order(count, launch, seed)


def test_the_orders_of_launches_differ() -> None:
    assert len({tuple(loading_order(6, launch, 1)) for launch in range(8)}) > 4


def test_the_command_line(tiny_bundle) -> None:
    plan = Plan(precisions=("fp32", "int8"), threads=(2,), cores=("f0",))
    configurations = plan.configurations([tiny_bundle])
    method = Method(
        warmup_runs=1,
        max_warmup_ms=9,
        min_runs=2,
        max_runs=6,
        min_time_ms=3,
        max_time_ms=4,
        pace_hz=30,
        seed=5,
    )
    argv = command_line(
        files_of(tiny_bundle),
        configurations,
        method,
        journal="/d/j",
        dump="/d/run",
        watches={"clock": "/sys/c"},
    )
    assert argv == [
        *("/d/bench", "--stream", "1", "--journal", "/d/j", "--dump", "/d/run"),
        *("--warmup", "1", "--max-warmup-ms", "9", "--min-runs", "2", "--max-runs", "6"),
        *(
            "--min-time-ms",
            "3",
            "--max-time-ms",
            "4",
            "--pace-hz",
            "30",
            "--seed",
            "5",
            "--watch",
            "clock=/sys/c",
        ),
        *("--config", "c0", "--param", "/d/fp32.param", "--bin", "/d/fp32.bin"),
        *("--input", "picture=/d/picture.npy", "--output", "seg", "--output", "alpha"),
        *("--threads", "2", "--fp16", "0", "--cpus", "f0"),
        *("--config", "c1", "--param", "/d/int8.param", "--bin", "/d/int8.bin"),
        *("--input", "picture=/d/picture.npy", "--output", "seg", "--output", "alpha"),
        *("--threads", "2", "--fp16", "1", "--cpus", "f0"),
    ]


def test_nothing_is_timed_without_a_method(tiny_bundle) -> None:
    configurations = Plan(precisions=("fp32",)).configurations([tiny_bundle])
    argv = command_line(files_of(tiny_bundle), configurations, None, watches={"c": "/c"})
    assert argv[argv.index("--min-runs") + 1] == "0"
    assert "--watch" not in argv
    assert "--dump" not in argv


def test_layers_are_timed_where_it_is_asked_for(tiny_bundle) -> None:
    configurations = Plan(precisions=("fp32",)).configurations([tiny_bundle])
    plain = command_line(files_of(tiny_bundle), configurations, Method())
    profiled = command_line(files_of(tiny_bundle), configurations, Method(), profile=True)
    assert "--profile" not in plain
    assert profiled[profiled.index("--profile") + 1] == "1"
    assert "--profile" not in command_line(files_of(tiny_bundle), configurations, None, profile=True)


def test_counted_inferences_are_those_of_the_outputs(tiny_bundle) -> None:
    configurations = Plan(precisions=("fp32",), count_instructions=True).configurations([tiny_bundle])
    argv = command_line(files_of(tiny_bundle), configurations, None, dump="/d/run", mark=True)
    marking = [*("--dump", "/d/run", "--mark", "1", "--profile", "1"), *("--warmup", "0", "--min-runs", "0")]
    assert argv[3 : argv.index("--config")] == marking
