from __future__ import annotations

import numpy as np

from mobiledeploy.report.run_notes import footnotes
from mobiledeploy.report.run_table import run_table


def test_a_row_by_hand(make_run) -> None:
    columns, rows = run_table([make_run({})])
    assert columns == [
        "model",
        "precision",
        "model size (M)",
        "time (ms)",
        "p90 (ms)",
        "time 95 % interval (ms)",
        "mask IoU vs fp32",
    ]
    assert [rows[0][column] for column in columns] == [
        "tiny", "fp32", "3.34", "3.00", "4.60", "1.00–5.00", "0.9999",
    ]  # fmt: skip


def test_details_by_hand(make_run) -> None:
    columns, rows = run_table([make_run({})], details=True)
    expected = {
        "p99 (ms)": None,
        "MAD (ms)": "1.00",
        "samples": 5,
        "effective": 5,
        "launches": 1,
        "process start (ms)": "30.0",
        "load (ms)": "12.0",
        "first (ms)": "7.00",
        "4 loops min/max/avg (ms)": "1.00 / 4.00 / 2.50",
    }
    assert set(expected) <= set(columns)
    assert {column: rows[0].get(column) for column in expected} == expected


def test_columns_that_say_nothing_are_left_out(make_run) -> None:
    assert "threads" in run_table([make_run({}, {"threads": 2})])[0]
    assert "device" in run_table([make_run({}), make_run({}, label="Galaxy S8+")])[0]
    assert "mode" in run_table([make_run({}), make_run({}, parameters={"mode": "sustained"})])[0]


def test_without_a_mask_the_error_is_shown(make_run, accuracy) -> None:
    columns, rows = run_table([make_run({"accuracy": accuracy})])
    assert columns[-1] == "max error vs fp32"
    assert rows[0]["max error vs fp32"] == "2.0e-05"


def test_an_untrained_network_has_no_iou(make_run) -> None:
    run = make_run({"model": "trained"}, {"untrained": True})
    columns, rows = run_table([run])
    assert columns[1] == "weights"
    assert [row["weights"] for row in rows] == ["trained", "untrained"]
    assert [row.get("mask IoU vs fp32") for row in rows] == ["0.9999", None]
    assert "Untrained" in " ".join(footnotes([run]))
    assert "Untrained" not in " ".join(footnotes([make_run({})]))


def test_emulated_runs_have_no_times(make_run) -> None:
    run = make_run({"times_ms": []}, kind="virtual", timed=False)
    assert "time (ms)" not in run_table([run], details=True)[1][0]


def test_a_pace_beside_the_steady_state(make_run) -> None:
    paced = {
        "times_ms": [20.0, 20.0, 20.0, 35.0],
        "started_ms": [0.0, 33.3, 66.7, 100.0],
        "due_ms": [0.0, 33.3, 66.7, 100.0],
        "launch": [0, 0, 0, 0],
        "round": [0, 1, 2, 3],
        "cpu_ms": [20.0, 20.0, 20.0, 35.0],
    }
    run = make_run({"times_ms": [10.0] * 6, "paced": paced}, parameters={"pace_hz": 30})
    columns, [row] = run_table([run])
    assert {"paced (ms)", "deadlines missed", "paced vs back to back"} <= set(columns)
    assert row["time (ms)"] == "10.0"
    assert row["paced (ms)"] == "20.0"
    assert (row["deadlines missed"], row["paced vs back to back"]) == ("25.0%", "2.00")
    assert "paced (ms)" not in run_table([make_run()])[0]


def test_a_sustained_run(make_run) -> None:
    factor = np.repeat([10.0, 12.5], 300)
    times = factor + np.random.default_rng(0).normal(0, 0.1, 600)
    run = make_run(
        {"times_ms": times.tolist(), "started_ms": (np.arange(600) * 100.0).tolist()},
        parameters={"mode": "sustained"},
    )
    _, rows = run_table([run])
    assert (rows[0]["steady speed kept"], rows[0]["throttled after (s)"]) == ("80%", "30")


def test_counts_stand_where_times_would(make_run, counted) -> None:
    run = make_run(counted(97_601_751), timed=False)
    columns, rows = run_table([run])
    assert columns == ["model", "precision", "model size (M)", "instructions (M)", "mask IoU vs fp32"]
    assert rows[0]["instructions (M)"] == "97.60"
    notes = " ".join(footnotes([run]))
    assert "median of 3 inferences in one thread, as a cortex-a53 executes them" in notes
    assert "qemu-aarch64 version 7.2.22" in notes
    both, _ = run_table([run, make_run({})])
    assert both[both.index("instructions (M)") + 1] == "time (ms)"
