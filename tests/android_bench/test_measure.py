"""How the binary measures: warming up, pace, readings, and lines that say things as they happen."""

import json
import signal
import subprocess

import numpy as np
import pytest


def lines(text):
    """Return the lines of a journal as (kind, content) pairs."""
    return [next(iter(json.loads(line).items())) for line in text.splitlines()]


def document(result):
    assert result.returncode == 0, result.stderr
    return json.loads(result.stdout)


def samples(events, phase):
    return [content for kind, content in events if kind == "sample" and content["phase"] == phase]


def test_a_stream_says_what_the_document_says(bench, network, tmp_path):
    arguments = [*network.arguments(), "--warmup", "2", "--min-runs", "3", "--pace-hz", "500"]
    result = bench(*arguments, "--stream", "1", "--journal", str(tmp_path / "journal"))
    assert result.returncode == 0, result.stderr
    assert (tmp_path / "journal").read_text() == result.stdout
    events = lines(result.stdout)
    kinds = [kind for kind, _ in events]
    assert kinds == ["begin", "loaded", *["sample"] * 8, "end"]

    whole = document(bench(*arguments))
    begin, loaded, end = events[0][1], events[1][1], events[-1][1]
    configuration = whole["configurations"][0]
    phases = ("warmup", "steady", "paced")
    assert begin.keys() | end.keys() | {"configurations", "readings"} == whole.keys()
    assert begin["parameters"] == whole["parameters"]
    assert loaded.keys() | set(phases) == configuration.keys()
    for phase, count in zip(phases, (2, 3, 3), strict=True):
        found = samples(events, phase)
        assert [sample["round"] for sample in found] == list(range(count)) == configuration[phase]["round"]
        fields = {"configuration", "phase", "round", "started_ms", "time_ms", "cpu_ms"}
        assert all(sample.keys() == fields | ({"due_ms"} if phase == "paced" else set()) for sample in found)


def test_a_killed_process_has_told_every_sample(binary, network, tmp_path):
    arguments = network.arguments("--min-runs", "10000000")
    process = subprocess.Popen(
        [str(binary.path), *arguments, "--stream", "1", "--journal", str(tmp_path / "journal")],
        stdout=subprocess.PIPE,
        text=True,
    )
    seen = [process.stdout.readline() for _ in range(200)]
    process.send_signal(signal.SIGKILL)
    seen += process.stdout.readlines()
    process.wait()
    process.stdout.close()
    written = (tmp_path / "journal").read_text()
    # The file comes first, so it may be a line ahead.
    assert written.startswith("".join(seen))
    assert len(written.splitlines()) - len(seen) in (0, 1)
    assert len(samples(lines(written), "steady")) >= 190


def test_a_reader_that_leaves_ends_it(binary, network):
    arguments = network.arguments("--min-runs", "10000000")
    process = subprocess.Popen(
        [str(binary.path), *arguments, "--stream", "1"],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    process.stdout.readline()
    process.stdout.close()
    assert process.wait(timeout=60) == 3
    assert "standard output" in process.stderr.read()
    process.stderr.close()


def test_warming_up_has_a_count_and_a_time(bench, network):
    counted = document(bench(*network.arguments(), "--warmup", "7"))["configurations"][0]
    assert len(counted["warmup"]["times_ms"]) == 7
    timed = document(bench(*network.arguments(), "--warmup-time-ms", "30"))["configurations"][0]
    times = timed["warmup"]["times_ms"]
    assert sum(times) >= 30 > sum(times[:-1])
    assert timed["warmup"]["started_ms"][-1] < timed["steady"]["started_ms"][0]


def test_warming_up_lasts_while_the_runs_get_faster(bench, network):
    run = document(bench(*network.arguments(), "--max-warmup-ms", "20000"))
    times = run["configurations"][0]["warmup"]["times_ms"]
    before, last = np.array(times[-16:-8]), np.array(times[-8:])
    assert len(times) >= 16
    # The upper median of eight, as the binary takes it.
    assert np.sort(last)[4] >= 0.98 * np.sort(before)[4]
    shortest = document(bench(*network.arguments(), "--max-warmup-ms", "1"))["configurations"][0]
    started = shortest["warmup"]["started_ms"]
    assert started[-1] - started[0] < 1


def test_a_pace_starts_inferences_at_its_ticks(bench, network):
    arguments = [*network.arguments(), "--min-runs", "5", "--min-time-ms", "200", "--pace-hz", "50"]
    paced = document(bench(*arguments))["configurations"][0]["paced"]
    due, started = np.array(paced["due_ms"]), np.array(paced["started_ms"])
    assert len(due) >= 10  # 200 ms at 50 Hz
    assert (started >= due).all()
    steps = np.diff(due) / 20
    np.testing.assert_allclose(steps, np.round(steps), atol=1e-3)
    assert (np.round(steps) >= 1).all()


def test_files_are_read_on_the_way(bench, network, tmp_path):
    (tmp_path / "clock").write_text("1800000\n")
    (tmp_path / "word").write_text("fast\n")
    watches = [f"clock={tmp_path / 'clock'}", f"word={tmp_path / 'word'}", f"none={tmp_path / 'none'}"]
    flags = [flag for watch in watches for flag in ("--watch", watch)]
    arguments = [*network.arguments(), "--min-runs", "30", *flags, "--watch-every-ms", "0"]
    run = document(bench(*arguments))
    assert len(run["readings"]) == 32  # before each inference, and at the beginning and the end
    for reading in run["readings"]:
        assert reading["values"] == {"clock": 1800000, "word": None, "none": None}
    moments = [reading["at_ms"] for reading in run["readings"]]
    assert moments == sorted(moments)


def test_spinning_makes_every_inference_so_much_longer(bench, network):
    same = ["--param", str(network.param), "--bin", str(network.bin), "--fp16", "0"]
    arguments = [
        *network.arguments(),
        "--config",
        "slow",
        *same,
        "--spin-percent",
        "300",
        "--min-runs",
        "200",
    ]
    fast, slow = (
        np.median(configuration["steady"]["times_ms"])
        for configuration in document(bench(*arguments, "--warmup", "50"))["configurations"]
    )
    assert 3 < slow / fast < 5


def test_cpu_time_counts_all_threads(bench, network):
    steady = document(bench(*network.arguments(), "--min-runs", "100"))["configurations"][0]["steady"]
    cpu, wall = np.array(steady["cpu_ms"]), np.array(steady["times_ms"])
    assert (cpu > 0).all()
    assert (cpu <= wall + 0.1).all()  # one thread


def test_configurations_may_have_inputs_and_outputs_of_their_own(bench, network, tmp_path):
    (tmp_path / "relu.param").write_text("7767517\n2 2\nInput x 0 1 z 0=3 1=2\nReLU y 1 1 z y\n")
    (tmp_path / "relu.bin").write_bytes(b"")
    values = np.random.default_rng(0).normal(size=(5, 2, 3)).astype(np.float32)
    np.save(tmp_path / "z.npy", values)
    common = network.arguments()
    own, common = common[:6], common[6:]
    other = ["--config", "relu", "--param", str(tmp_path / "relu.param"), "--bin", str(tmp_path / "relu.bin")]
    other += ["--input", f"z={tmp_path / 'z.npy'}", "--output", "y"]
    run = document(bench(*common, *own, *other, "--dump", str(tmp_path / "dump")))
    assert [configuration["samples"] for configuration in run["configurations"]] == [3, 5]
    names = sorted(path.name for path in (tmp_path / "dump").iterdir())
    assert names == ["fp32.alpha.npy", "fp32.seg.npy", "relu.y.npy"]
    np.testing.assert_array_equal(np.load(tmp_path / "dump/relu.y.npy"), np.maximum(values, 0))


@pytest.mark.parametrize(
    ("flags", "word"),
    [
        (["--watch", "clock"], "--watch"),
        (["--pace-hz", "1001"], "--pace-hz"),
        (["--stream", "yes"], "--stream"),
        (["--warmup-time-ms", "-1"], "--warmup-time-ms"),
        (["--spin-percent", "1001"], "--spin-percent"),
    ],
)
def test_bad_values_are_usage(bench, network, flags, word):
    result = bench(*network.arguments(), *flags)
    assert (result.returncode, result.stdout) == (2, "")
    assert word in result.stderr


def test_a_journal_that_cannot_be_written(bench, network, tmp_path):
    result = bench(*network.arguments(), "--journal", str(tmp_path / "none" / "journal"))
    assert (result.returncode, result.stdout) == (3, "")
    assert "cannot write" in result.stderr
