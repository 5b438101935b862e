"""What the binary computes, measures and prints, against the ncnn wheel."""

import json
import os
import subprocess

import ncnn
import numpy as np
import pytest


def by_wheel(network, sample, **options):
    """Return the blobs `d`, `seg` and `alpha` of one sample, by the ncnn wheel."""
    net = ncnn.Net()
    net.opt.use_fp16_packed = net.opt.use_fp16_storage = net.opt.use_fp16_arithmetic = False
    for name, value in options.items():
        setattr(net.opt, name, value)
    assert net.load_param(str(network.param)) == 0
    assert net.load_model(str(network.bin)) == 0
    extractor = net.create_extractor()
    extractor.input("x", ncnn.Mat(np.ascontiguousarray(sample)).clone())
    outputs = {}
    for name in ("d", "seg", "alpha"):
        status, mat = extractor.extract(name)
        assert status == 0
        outputs[name] = np.array(mat)
    return outputs


def document(result: "subprocess.CompletedProcess[str]"):
    assert result.returncode == 0, result.stderr
    return json.loads(result.stdout)


def test_the_document_has_the_agreed_shape(bench, network, binary):
    run = document(bench(*network.arguments("--threads", "2")))
    assert run["schema"] == 2
    assert run["binary"].keys() == {"version", "ncnn", "abi", "compiler"}
    assert (run["binary"]["ncnn"], run["binary"]["abi"]) == (binary.ncnn_version, binary.abi)
    assert run["cpu"]["count"] >= 1
    assert run["cpu"]["features"]
    asked = {"warmup": 0, "min_runs": 1, "min_time_ms": 0, "max_time_ms": 0, "seed": 1}
    assert run["parameters"] == asked | {"warmup_time_ms": 0, "max_warmup_ms": 0, "pace_hz": 0, "max_runs": 0}
    assert 0 < run["process_ms"] < 10_000
    assert run["readings"] == []
    assert run["peak_memory_bytes"] > 0
    [configuration] = run["configurations"]
    assert configuration["name"] == "fp32"
    assert configuration["param"] == str(network.param)
    assert configuration["threads"] == 2
    assert configuration["samples"] == 3
    assert configuration["affinity"]["requested"] is None
    assert int(configuration["affinity"]["obtained"], 16) == sum(1 << cpu for cpu in os.sched_getaffinity(0))
    options = {"fp16": False, "int8": True, "winograd": True, "sgemm": True, "packing": True}
    assert configuration["options"] == options
    assert configuration["load_ms"] > 0
    assert configuration["first_ms"] > 0
    lengths = {name: len(values) for name, values in configuration["steady"].items()}
    assert lengths == {"round": 1, "started_ms": 1, "times_ms": 1, "cpu_ms": 1}
    assert configuration["warmup"]["times_ms"] == configuration["paced"]["times_ms"] == []
    shapes = {output["name"]: output["shape"] for output in configuration["outputs"]}
    assert shapes == {"seg": [3, 2, 16, 16], "alpha": [3, 2, 16, 16]}
    assert {output["file"] for output in configuration["outputs"]} == {None}


@pytest.mark.parametrize(
    ("flag", "option"),
    [
        ("--winograd", "use_winograd_convolution"),
        ("--sgemm", "use_sgemm_convolution"),
        ("--packing", "use_packing_layout"),
        (None, None),
    ],
)
def test_every_sample_equals_the_wheel(bench, network, tmp_path, flag, option):
    folder = tmp_path / "dump"
    run = document(bench(*network.arguments(*((flag, "0") if flag else ())), "--dump", str(folder)))
    dumped = {output["name"]: np.load(output["file"]) for output in run["configurations"][0]["outputs"]}
    for i, sample in enumerate(network.samples):
        expected = by_wheel(network, sample, **({option: False} if option else {}))
        for name, values in dumped.items():
            np.testing.assert_allclose(values[i], expected[name], atol=2e-5)
    assert sorted(path.name for path in folder.iterdir()) == ["fp32.alpha.npy", "fp32.seg.npy"]


def test_a_blob_on_the_way_can_be_an_output_wherever_it_is_named(bench, network, tmp_path):
    document(bench(*network.arguments(), "--output", "d", "--dump", str(tmp_path)))
    for i, sample in enumerate(network.samples):
        for name, values in by_wheel(network, sample).items():
            np.testing.assert_allclose(np.load(tmp_path / f"fp32.{name}.npy")[i], values, atol=2e-5)


def test_fp16_outputs_stay_close(bench, network, tmp_path):
    both = ["--config", "fp16", "--param", str(network.param), "--bin", str(network.bin), "--fp16", "1"]
    document(bench(*network.arguments(), *both, "--dump", str(tmp_path)))
    fp32, fp16 = np.load(tmp_path / "fp32.alpha.npy"), np.load(tmp_path / "fp16.alpha.npy")
    np.testing.assert_allclose(fp16, fp32, atol=5e-3)


def test_threads_do_not_change_the_result(bench, network, tmp_path):
    more = ["--config", "four", "--param", str(network.param), "--bin", str(network.bin), "--threads", "4"]
    document(bench(*network.arguments(), *more, "--min-runs", "20", "--dump", str(tmp_path)))
    one, four = np.load(tmp_path / "fp32.seg.npy"), np.load(tmp_path / "four.seg.npy")
    np.testing.assert_allclose(four, one, atol=2e-5)


@pytest.mark.parametrize("shape", [(2, 3, 5, 7), (2, 6, 7), (2, 9)])
def test_inputs_of_one_to_three_dimensions_come_back_as_they_went_in(bench, tmp_path, shape):
    (tmp_path / "net.param").write_text(
        "7767517\n2 2\nInput x 0 1 x\nPower y 1 1 x y\n".replace("Power", "AbsVal")
    )
    (tmp_path / "net.param").write_text("7767517\n2 2\nInput x 0 1 x\nReLU y 1 1 x y\n")
    (tmp_path / "net.bin").write_bytes(b"")
    values = np.random.default_rng(0).normal(size=shape).astype(np.float32)
    np.save(tmp_path / "x.npy", values)
    files = ["--param", str(tmp_path / "net.param"), "--bin", str(tmp_path / "net.bin")]
    flags = [
        "--input",
        f"x={tmp_path / 'x.npy'}",
        "--output",
        "y",
        "--min-runs",
        "0",
        "--dump",
        str(tmp_path),
    ]
    run = document(bench(*flags, "--config", "c", *files))
    assert run["configurations"][0]["steady"]["times_ms"] == []
    np.testing.assert_array_equal(np.load(tmp_path / "c.y.npy"), np.maximum(values, 0))


def three_configurations(network):
    names = ("second", "third")
    return [
        a
        for name in names
        for a in ("--config", name, "--param", str(network.param), "--bin", str(network.bin))
    ]


def round_orders(run):
    """Return, for every round, the order in which the configurations ran."""
    starts = [configuration["steady"]["started_ms"] for configuration in run["configurations"]]
    return [tuple(np.argsort(round_starts)) for round_starts in zip(*starts, strict=True)]


def test_rounds_interleave_the_configurations_in_shuffled_order(bench, network):
    arguments = [*network.arguments(), *three_configurations(network), "--min-runs", "40", "--seed", "5"]
    run = document(bench(*arguments))
    starts = np.array([configuration["steady"]["started_ms"] for configuration in run["configurations"]])
    times = np.array([configuration["steady"]["times_ms"] for configuration in run["configurations"]])
    assert starts.shape == times.shape == (3, 40)
    # A round ends before the next one starts, and no two inferences overlap.
    assert (starts.max(axis=0)[:-1] < starts.min(axis=0)[1:]).all()
    order = np.argsort(starts, axis=None)
    ends = starts.ravel()[order] + times.ravel()[order]
    assert (ends[:-1] <= starts.ravel()[order][1:] + 1e-5).all()
    assert len(set(round_orders(run))) == 6


def test_the_seed_decides_the_order(bench, network):
    arguments = [*network.arguments(), *three_configurations(network), "--min-runs", "20"]
    orders = [round_orders(document(bench(*arguments, "--seed", seed))) for seed in ("9", "9", "10")]
    assert orders[0] == orders[1] != orders[2]


def test_measuring_goes_on_until_count_and_time_are_reached(bench, network):
    by_time = document(bench(*network.arguments(), "--min-runs", "1", "--min-time-ms", "30"))
    times = by_time["configurations"][0]["steady"]["times_ms"]
    assert sum(times) >= 30 > sum(times[:-1])
    by_count = document(bench(*network.arguments(), "--min-runs", "25"))
    assert len(by_count["configurations"][0]["steady"]["times_ms"]) == 25
    capped = document(bench(*network.arguments(), "--min-time-ms", "60000", "--max-runs", "30"))
    assert len(capped["configurations"][0]["steady"]["times_ms"]) == 30


def test_the_time_limit_ends_it_sooner(bench, network):
    run = document(bench(*network.arguments(), "--min-runs", "10000000", "--max-time-ms", "50"))
    assert 1 <= len(run["configurations"][0]["steady"]["times_ms"]) < 10_000_000


def test_affinity_is_taken_and_reported_for_each_configuration(bench, network):
    allowed = sorted(os.sched_getaffinity(0))
    if len(allowed) < 2:
        pytest.skip("needs two CPUs")
    masks = [f"{1 << cpu:x}" for cpu in allowed[:2]]
    second = [
        "--config",
        "second",
        "--param",
        str(network.param),
        "--bin",
        str(network.bin),
        "--cpus",
        masks[1],
    ]
    run = document(bench(*network.arguments("--cpus", masks[0]), *second, "--min-runs", "5"))
    found = [configuration["affinity"] for configuration in run["configurations"]]
    assert found == [{"requested": mask, "obtained": mask} for mask in masks]


def test_cpus_that_are_not_there_are_reported_not_fatal(bench, network):
    run = document(bench(*network.arguments("--cpus", "1" + "0" * 200)))
    affinity = run["configurations"][0]["affinity"]
    assert affinity["requested"] == "1" + "0" * 200
    assert affinity["obtained"] != affinity["requested"]


def test_int8_layers_run_as_the_wheel_runs_them(bench, network, tmp_path):
    # A term of 2 on fp32 weights makes ncnn quantize them as it loads; the scales follow the bias.
    network.param.write_text(
        "7767517\n2 2\nInput x 0 1 x 0=16 1=16 2=3\nConvolution seg 1 1 x seg 0=8 1=1 5=1 6=24 8=2\n"
        "Split s 1 2 seg seg1 alpha\n".replace("Split s 1 2 seg seg1 alpha\n", "")
    )
    random = np.random.default_rng(3)
    weights, bias = random.normal(size=(8, 3)).astype("<f4"), random.normal(size=8).astype("<f4")
    scales = (127 / np.abs(weights).max(axis=1)).astype("<f4")
    input_scale = np.float32(127 / np.abs(network.samples).max())
    network.bin.write_bytes(
        bytes(4) + weights.tobytes() + bias.tobytes() + scales.tobytes() + input_scale.tobytes()
    )
    flags = ["--input", f"x={network.input}", "--output", "seg", "--min-runs", "0", "--dump", str(tmp_path)]
    files = ["--config", "int8", "--param", str(network.param), "--bin", str(network.bin)]
    document(bench(*flags, *files))

    x = np.round(network.samples * input_scale)
    product = np.einsum("oc,nchw->nohw", np.round(weights * scales[:, None]), x)
    expected = product / (scales * input_scale)[None, :, None, None] + bias[None, :, None, None]
    np.testing.assert_allclose(np.load(tmp_path / "int8.seg.npy"), expected, atol=1e-4)

    refused = bench(*flags, *files, "--int8", "0")
    assert (refused.returncode, refused.stdout) == (2, "")
    assert "seg is int8" in refused.stderr


def test_strings_are_escaped(bench, network, tmp_path):
    odd = tmp_path / 'quo"te\\back\nline\x01é.param'
    odd.write_text(network.param.read_text())
    broken = os.fsencode(tmp_path) + b"/not-utf8-\xff.bin"
    with open(broken, "wb") as file:  # noqa: PTH123  (the name is bytes)
        file.write(network.bin.read_bytes())
    arguments = network.arguments()
    arguments[arguments.index(str(network.param))] = str(odd)
    arguments[arguments.index(str(network.bin))] = os.fsdecode(broken)
    [configuration] = document(bench(*arguments))["configurations"]
    assert configuration["param"] == str(odd)
    assert configuration["bin"].endswith("not-utf8-\ufffd.bin")


def test_version_and_layers_are_json(bench, binary):
    version = document(bench("--version"))
    assert version.keys() == {"version", "ncnn", "abi", "compiler"}
    assert frozenset(document(bench("--layers"))) == binary.layers


def test_help_lists_every_flag_and_exit_code(bench):
    result = bench("--help")
    assert result.returncode == 0
    flags = "input output dump warmup warmup-time-ms max-warmup-ms min-runs max-runs min-time-ms max-time-ms pace-hz"
    flags += " seed watch watch-every-ms stream journal config param bin threads cpus spin-percent"
    for flag in [*flags.split(), "fp16", "int8", "winograd", "sgemm", "packing", "layers", "version"]:
        assert f"--{flag} " in result.stdout
    for code in "023456":
        assert f"{code} " in result.stdout[result.stdout.index("Exit codes") :]
