from __future__ import annotations

import pytest

from mobiledeploy.benchmark.plan import Configuration, Method, Plan, RemoteFiles, command_line
from mobiledeploy.errors import UsageError

FILES = RemoteFiles(
    "/d/bench",
    {"picture": "/d/p.npy"},
    {"fp32": ("/d/a.param", "/d/a.bin"), "int8": ("/d/b.param", "/d/b.bin")},
)


def test_every_precision_with_every_thread_count(tiny_bundle) -> None:
    plan = Plan(precisions=("fp32", "int8"), threads=(1, 2))
    names = [configuration.name for configuration in plan.configurations(tiny_bundle)]
    assert names == ["fp32-1t", "fp32-2t", "int8-1t", "int8-2t"]


def test_all_variants_by_default(tiny_bundle) -> None:
    assert [c.precision for c in Plan().configurations(tiny_bundle)] == ["fp32", "fp16", "int8"]


def test_a_variant_that_is_not_there(tiny_bundle) -> None:
    with pytest.raises(UsageError, match="mixed"):
        Plan(precisions=("mixed",)).configurations(tiny_bundle)


def test_fp32_runs_without_fp16_arithmetic() -> None:
    argv = command_line(
        FILES, [Configuration("fp32", 1), Configuration("int8", 2)], ["alpha"], Method(), "/d/out"
    )
    fp32, int8 = (argv[argv.index(name) :] for name in ("fp32-1t", "int8-2t"))
    assert fp32[fp32.index("--fp16") + 1] == "0"
    assert int8[int8.index("--fp16") + 1] == "1"
    assert int8[int8.index("--threads") + 1] == "2"


def test_without_a_method_nothing_is_timed() -> None:
    argv = command_line(FILES, [Configuration("fp32", 1)], ["alpha"], None, "/d/out")
    assert argv[argv.index("--min-runs") + 1] == "0"
    assert "--min-time-ms" not in argv
