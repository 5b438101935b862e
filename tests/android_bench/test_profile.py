"""Layer by layer, and what the device could do at most."""

import json

import numpy as np
import pytest


def lines(result):
    assert result.returncode == 0, result.stderr
    return [next(iter(json.loads(line).items())) for line in result.stdout.splitlines()]


def of_kind(events, kind):
    return [content for found, content in events if found == kind]


def profiled(network, *options):
    return [*network.arguments(*options), "--stream", "1", "--profile", "1"]


def test_every_layer_is_named_with_what_it_worked_on(bench, network):
    [described] = of_kind(lines(bench(*profiled(network))), "network")
    layers = {layer["name"]: layer for layer in described["layers"]}
    # A producer stands before its consumers; Input does nothing.
    assert list(layers) == ["conv", "split", "dw", "conv3", "add", "score", "fork", "alpha"]
    assert layers["conv"]["type"] == "Convolution"
    [given], [made] = layers["conv"]["inputs"], layers["conv"]["outputs"]
    assert given == {"shape": [3, 16, 16], "elempack": 1, "elembits": 32}
    assert made["shape"] == [16, 16, 16]
    assert made["elempack"] in (4, 8, 16)
    assert [blob["shape"] for blob in layers["add"]["inputs"]] == [[16, 16, 16], [16, 16, 16]]
    assert len(layers["split"]["outputs"]) == 2
    assert layers["alpha"]["inputs"] == layers["alpha"]["outputs"]  # in place


def test_without_packing_blobs_are_not_packed(bench, network):
    [described] = of_kind(lines(bench(*profiled(network, "--packing", "0"))), "network")
    blobs = [blob for layer in described["layers"] for blob in layer["inputs"] + layer["outputs"]]
    assert {blob["elempack"] for blob in blobs} == {1}


def test_only_what_the_outputs_need_runs(bench, network):
    arguments = [word for word in profiled(network) if word not in ("alpha",)]
    arguments.pop(len(arguments) - 1 - arguments[::-1].index("--output"))
    [described] = of_kind(lines(bench(*arguments)), "network")
    assert [layer["name"] for layer in described["layers"]][-1] == "fork"


def test_each_round_has_one_inference_with_clocks_and_one_without(bench, network):
    events = lines(bench(*profiled(network), "--warmup", "3", "--min-runs", "40"))
    layers, samples = of_kind(events, "layers"), of_kind(events, "sample")
    steady = [sample for sample in samples if sample["phase"] == "steady"]
    assert [entry["round"] for entry in layers] == [sample["round"] for sample in steady] == list(range(40))
    for entry in layers:
        assert len(entry["times_ms"]) == 8
        assert all(time >= 0 for time in entry["times_ms"])
        assert 0 < sum(entry["times_ms"]) <= entry["whole_ms"] + 1e-5
    first = [entry["started_ms"] < sample["started_ms"] for entry, sample in zip(layers, steady, strict=True)]
    assert 0 < sum(first) < 40
    for entry, sample in zip(layers, steady, strict=True):
        one, other = sorted(
            [(entry["started_ms"], entry["whole_ms"]), (sample["started_ms"], sample["time_ms"])]
        )
        assert one[0] + one[1] <= other[0] + 1e-5


def test_the_convolution_that_does_most_takes_longest(bench, network):
    events = lines(bench(*profiled(network), "--min-runs", "200"))
    names = [layer["name"] for layer in of_kind(events, "network")[0]["layers"]]
    medians = np.median([entry["times_ms"] for entry in of_kind(events, "layers")], axis=0)
    by_name = dict(zip(names, medians, strict=True))
    # 590k multiply-adds against 110k and 37k; a Split only hands references on.
    assert by_name["conv3"] > by_name["conv"] > by_name["split"]
    assert by_name["conv3"] > by_name["dw"] > by_name["split"]


def test_configurations_are_profiled_side_by_side(bench, network):
    other = ["--config", "two", "--param", str(network.param), "--bin", str(network.bin), "--threads", "2"]
    events = lines(bench(*profiled(network), *other, "--min-runs", "5"))
    assert [entry["configuration"] for entry in of_kind(events, "network")] == [0, 1]
    assert sorted(entry["configuration"] for entry in of_kind(events, "layers")) == [0] * 5 + [1] * 5


def test_a_profile_needs_somewhere_to_say_it(bench, network, tmp_path):
    result = bench(*network.arguments(), "--profile", "1")
    assert (result.returncode, result.stdout) == (2, "")
    assert "--profile" in result.stderr
    journal = tmp_path / "journal"
    assert bench(*network.arguments(), "--profile", "1", "--journal", str(journal)).returncode == 0
    assert '"layers"' in journal.read_text()


def test_without_profile_nothing_is_said_of_layers(bench, network):
    kinds = {kind for kind, _ in lines(bench(*network.arguments(), "--stream", "1"))}
    assert kinds == {"begin", "loaded", "sample", "end"}


def test_the_roofline_has_each_limit_for_one_thread_and_several(bench):
    result = bench("--roofline", "2")
    assert result.returncode == 0, result.stderr
    roofline = json.loads(result.stdout)
    for threads in (1, 2):
        peaks = {peak["arithmetic"]: peak for peak in roofline["peaks"] if peak["threads"] == threads}
        assert {"fp32", "int8"} <= peaks.keys() <= {"fp32", "fp16", "int8"}
        assert all(peak["gmacs"] > 0.05 and peak["instruction"] for peak in peaks.values())
        found = [entry for entry in roofline["bandwidths"] if entry["threads"] == threads]
        assert [entry["bytes"] for entry in found] == [1 << shift for shift in (14, 17, 20, 23, 26)]
        assert all(min(entry["read_gbs"], entry["copy_gbs"]) > 0.05 for entry in found)


def test_the_roofline_runs_on_the_cpus_that_it_is_given(bench):
    assert bench("--roofline", "1", "--cpus", "1").returncode == 0


@pytest.mark.parametrize(
    "arguments",
    [
        ["--roofline"],
        ["--roofline", "0"],
        ["--roofline", "two"],
        ["--roofline", "1", "--cpus"],
        ["--roofline", "1", "--cpus", "0"],
        ["--roofline", "1", "--warmup", "3"],
    ],
)
def test_a_roofline_of_something_else_is_usage(bench, arguments):
    result = bench(*arguments)
    assert (result.returncode, result.stdout) == (2, "")
    assert "--roofline" in result.stderr or "--cpus" in result.stderr
