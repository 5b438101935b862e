"""Running bundles on a device: `plan` says what to run, `execute` runs it, `record` keeps what came of it."""

from __future__ import annotations

from mobiledeploy.benchmark.execute import benchmark
from mobiledeploy.benchmark.plan import Method, Plan
from mobiledeploy.benchmark.record import Run, default_path, read_run, write_run

__all__ = ["Method", "Plan", "Run", "benchmark", "default_path", "read_run", "write_run"]
