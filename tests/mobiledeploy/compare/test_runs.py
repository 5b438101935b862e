from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from mobiledeploy.benchmark import Run, write_run
from mobiledeploy.compare import Source, compare, row_names
from mobiledeploy.errors import UsageError
from mobiledeploy.statistics import Verdict


def times(factor: float = 1.0, seed: int = 0, launches: int = 6, count: int = 20) -> dict:
    generator = np.random.default_rng(seed)
    level = np.repeat(generator.normal(0, 0.005, launches), count)
    values = factor * 10 * np.exp(level + np.abs(generator.normal(0, 0.01, launches * count)))
    return {
        "times_ms": values.tolist(),
        "launch": np.repeat(np.arange(launches), count).tolist(),
        "round": np.tile(np.arange(count), launches).tolist(),
    }


@pytest.fixture
def write(tmp_path: Path):
    def write(name: str, run: Run) -> Source:
        write_run(run, tmp_path / name)
        return Source(tmp_path / name)

    return write


def test_rows_of_two_runs(make_run, write) -> None:
    a = write("a.json", make_run(times(seed=1), {"precision": "int8", **times(0.7, seed=2)}))
    b = write("b.json", make_run({"precision": "int8", **times(0.77, seed=3)}, times(seed=4)))
    found = compare(a, b, margin=0.02)
    assert [(row.a, row.b, row.verdict) for row in found.rows] == [
        ("fp32-1t", "fp32-1t", Verdict.SAME),
        ("int8-1t", "int8-1t", Verdict.SLOWER),
    ]
    assert not found.rows[0].ratio.paired
    assert found.rows[1].b_ms / found.rows[1].a_ms == pytest.approx(1.1, rel=0.02)
    assert [row.a for row in found.regressions(0.05)] == ["int8-1t"]
    assert found.regressions(0.12) == []
    assert "not interleaved" in " ".join(found.notes)


def test_two_rows_of_one_run_are_paired(make_run, write) -> None:
    run = write("r.json", make_run(times(seed=1), {"precision": "int8", **times(0.7, seed=1)}))
    found = compare(Source(run.path, "fp32-1t"), Source(run.path, "int8-1t"), margin=0.02)
    (row,) = found.rows
    assert row.ratio.paired
    assert row.verdict is Verdict.FASTER
    assert row.ratio.ratio == pytest.approx(0.7)
    assert found.notes == ()
    assert found.to_json()["rows"][0]["verdict"] == "faster"


def test_rows_of_different_models_in_one_run_are_paired_too(make_run, write) -> None:
    """All bundles of a run are measured in the same launches and rounds."""
    run = write("r.json", make_run(times(seed=1), {"model": "other", **times(seed=2)}))
    found = compare(Source(run.path, "tiny/fp32-1t"), Source(run.path, "other/fp32-1t"), margin=0.02)
    assert found.rows[0].ratio.paired


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"label": "Galaxy S8"}, "device Pixel 8 and Galaxy S8"),
        ({"context": {"power": "charging"}}, "power unknown and charging"),
        ({"parameters": {"mode": "sustained"}}, "mode steady and sustained"),
        ({"context": {"binary": {"sha256": "1" * 64, "ncnn": "1.0.1", "abi": "arm64-v8a"}}}, "ncnn 1.0.2026"),
        ({"affinity": {"requested": None, "obtained": "f0"}}, "affinity"),
    ],
    ids=["device", "power", "mode", "ncnn", "affinity"],
)
def test_runs_that_differ_in_what_matters(make_run, write, changes: dict, said: str) -> None:
    entry = times(seed=2) | {key: changes[key] for key in changes if key == "affinity"}
    a = write("a.json", make_run(times(seed=1)))
    b = write("b.json", make_run(entry, **{key: changes[key] for key in changes if key != "affinity"}))
    with pytest.raises(UsageError, match=said) as caught:
        compare(a, b, margin=0.02)
    assert "--ignore-context" in caught.value.hint
    assert f"Differs: {said}" in " ".join(compare(a, b, margin=0.02, ignore_context=True).notes)


def test_what_differs_and_does_not_matter_is_told(make_run, write) -> None:
    a = write("a.json", make_run(times(seed=1), parameters={"seed": 1}))
    b = write("b.json", make_run(times(seed=2), parameters={"seed": 7}))
    assert "Differs: seed 1 and 7." in compare(a, b, margin=0.02).notes


def test_what_the_samples_of_one_run_warn_of(make_run, write) -> None:
    hot = times(seed=2)
    hot["times_ms"] = (np.array(hot["times_ms"]) * np.where(np.arange(120) < 80, 1, 1.4)).tolist()
    notes = compare(
        write("a.json", make_run(times(seed=1))), write("b.json", make_run(hot)), margin=0.02
    ).notes
    assert any(note.startswith("B fp32-1t: From") for note in notes), notes
    assert not [note for note in notes if note.startswith("A ")]


def test_rows_that_only_one_has(make_run, write) -> None:
    a = write("a.json", make_run(times(), {"threads": 2, **times()}))
    b = write("b.json", make_run(times(), {"options": {"fp16": True}, **times()}))
    notes = compare(a, b, margin=0.02).notes
    assert "Only in A: fp32-2t." in notes
    assert "Only in B: fp32-1t.2." in notes
    with pytest.raises(UsageError, match="no row"):
        compare(a, write("c.json", make_run({"model": "other", **times()})), margin=0.02)


def test_a_row_is_found_by_what_it_is_and_not_by_its_place(make_run, write) -> None:
    """The second row of A, by name fp32-1t.2 for its other options, is the only one of B."""
    other = {"options": {"fp16": True}, "model": "net.v2"}
    a = write("a.json", make_run({"model": "net.v2", **times()}, {**other, **times()}))
    b = write("b.json", make_run({**other, **times()}))
    assert [(row.a, row.b) for row in compare(a, b, margin=0.02).rows] == [("fp32-1t.2", "fp32-1t")]


def test_inconclusive_says_what_would_settle_it(make_run, write) -> None:
    one = times(launches=1)
    found = compare(write("a.json", make_run(one)), write("b.json", make_run(one)), margin=0.02)
    assert found.rows[0].verdict is Verdict.INCONCLUSIVE
    assert "raise --launches" in found.notes[-1]
    tight = compare(
        Source.parse(str(write("c.json", make_run(times())).path)),
        write("d.json", make_run(times(1.015))),
        margin=0.002,
    )
    assert tight.rows[0].verdict is Verdict.SLOWER
    few = compare(
        write("e.json", make_run(times(seed=5))), write("f.json", make_run(times(seed=6))), margin=0.002
    )
    assert few.rows[0].verdict is Verdict.INCONCLUSIVE
    assert "would settle it" in few.notes[-1] or "too much noise" in few.notes[-1]


def test_requests_that_can_not_be_met(make_run, write, tmp_path: Path) -> None:
    run = write("a.json", make_run(times(), {"precision": "int8", **times()}))
    with pytest.raises(UsageError, match="both runs, or of neither"):
        compare(Source(run.path, "fp32-1t"), run, margin=0.02)
    with pytest.raises(UsageError, match="both A and B") as caught:
        compare(run, run, margin=0.02)
    assert "fp32-1t, int8-1t" in caught.value.hint
    with pytest.raises(UsageError, match="no row 'fp64-1t'"):
        compare(Source(run.path, "fp64-1t"), Source(run.path, "int8-1t"), margin=0.02)
    emulated = write("e.json", make_run({"times_ms": []}, timed=False))
    with pytest.raises(UsageError, match="no timings"):
        compare(run, emulated, margin=0.02)


def test_names_of_rows(make_run) -> None:
    assert row_names(make_run({}, {}, {"threads": 4}).benchmarks) == ["fp32-1t", "fp32-1t.2", "fp32-4t"]
    assert row_names(make_run({}, {"model": "b"}).benchmarks) == ["tiny/fp32-1t", "b/fp32-1t"]


def test_a_source_is_a_file_or_a_file_with_a_row(tmp_path: Path) -> None:
    odd = tmp_path / "a:b.json"
    odd.write_text("")
    assert Source.parse(str(odd)) == Source(odd)
    assert Source.parse(f"{odd}:m/fp32-1t") == Source(odd, "m/fp32-1t")
    assert Source.parse("x.json") == Source(Path("x.json"))


def test_counts_are_compared_by_count(make_run, write, counted) -> None:
    a = write("a.json", make_run(counted(1_000_000), counted(500_000) | {"precision": "int8"}, timed=False))
    b = write("b.json", make_run(counted(1_015_000), counted(400_000) | {"precision": "int8"}, timed=False))
    found = compare(a, b, margin=0.02)
    assert [(row.a_instructions, row.b_instructions, row.verdict) for row in found.rows] == [
        (1_000_000, 1_015_000, "the same"),
        (500_000, 400_000, "fewer"),
    ]
    assert [row.a for row in found.regressions(0.01)] == ["fp32-1t"]
    assert found.regressions(0.02) == []
    assert found.notes == ()
    assert compare(a, b, margin=0.01).rows[0].verdict == "more"


def test_counts_of_other_computers_are_compared_but_not_of_other_cpus(make_run, write, counted) -> None:
    a = write("a.json", make_run(counted(10), timed=False))
    b = write("b.json", make_run(counted(10, emulator="qemu 10"), timed=False, label="another computer"))
    assert compare(a, b, margin=0.02).notes == ("Differs: emulator qemu-aarch64 version 7.2.22 and qemu 10.",)
    c = write("c.json", make_run(counted(10, cpu="cortex-a76"), timed=False))
    with pytest.raises(UsageError, match="CPU cortex-a53 and cortex-a76"):
        compare(a, c, margin=0.02)
    assert compare(a, c, margin=0.02, ignore_context=True).rows[0].verdict == "the same"


def test_counts_and_times_are_not_compared(make_run, write, counted) -> None:
    a, b = write("a.json", make_run(times())), write("b.json", make_run(counted(10), timed=False))
    with pytest.raises(UsageError, match=r"b\.json: has no timings"):
        compare(a, b, margin=0.02)
