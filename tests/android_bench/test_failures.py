"""Whatever it is given, the binary ends with a message and a documented exit code, never by a signal."""

import os
import platform
import shutil
import signal
import subprocess
import time

import numpy as np
import pytest

USAGE, BAD_FILE, MISSING_LAYER, INFERENCE_FAILED, UNSUPPORTED_CPU = 2, 3, 4, 5, 6


def fails(result, code, *words):
    """Assert a failure with the exit code: one error message that holds the words, and no JSON."""
    assert result.returncode == code, result.stderr
    assert result.stdout == ""
    assert result.stderr.count("android_bench: error: ") == 1
    for word in words:
        assert word in result.stderr


@pytest.mark.parametrize(
    ("change", "word"),
    [
        (["--no-such-flag", "1"], "--no-such-flag"),
        (["--threads"], "--threads"),
        (["--threads", "0"], "from 1 to 256"),
        (["--threads", "9999999999999999999999"], "--threads"),
        (["--threads", "-1"], "--threads"),
        (["--min-time-ms", "nan"], "--min-time-ms"),
        (["--max-time-ms", "inf"], "--max-time-ms"),
        (["--min-runs", "1e9"], "--min-runs"),
        (["--seed", "18446744073709551616"], "--seed"),
        (["--cpus", "0"], "--cpus"),
        (["--cpus", "xyz"], "--cpus"),
        (["--fp16", "yes"], "--fp16"),
        (["--config", "../up"], "--config"),
        (["--config", "fp32"], "fp32 is given twice"),
        (["--config", "no-files"], "has no --param"),
        (["--output", "seg"], "seg is given twice"),
        (["--output", "nowhere"], "no blob nowhere"),
        (["--input", "x"], "BLOB=FILE.npy"),
        (["--mark", "1"], "--mark needs --dump"),
        (["--mark", "1", "--dump", "/tmp", "--threads", "2"], "--mark needs --threads 1"),
    ],
)
def test_usage(bench, network, change, word):
    if change[0] == "--config" and change[1] == "fp32":
        change = [*change, "--param", str(network.param), "--bin", str(network.bin)]
    fails(bench(*network.arguments(), *change), USAGE, word)


def test_nothing_is_usage(bench):
    fails(bench(), USAGE, "--config")


def test_a_flag_of_a_configuration_before_any_is_usage(bench, network):
    fails(bench("--threads", "2", *network.arguments()), USAGE, "--threads")


def test_an_input_that_the_model_does_not_have(bench, network):
    arguments = [a.replace("x=", "y=") if a.startswith("x=") else a for a in network.arguments()]
    fails(bench(*arguments), USAGE, "no input y")


@pytest.mark.parametrize("which", ["param", "bin", "input"])
@pytest.mark.parametrize("state", ["missing", "folder", "empty"])
def test_files_that_are_none(bench, network, which, state):
    path = getattr(network, which)
    path.unlink()
    if state == "folder":
        path.mkdir()
    if state == "empty":
        path.touch()
    fails(bench(*network.arguments()), BAD_FILE, str(path))


def test_a_bin_that_is_too_short_or_too_long(bench, network):
    content = network.bin.read_bytes()
    for wrong in (content[:-1], content[:-4], content[:2], content + b"\0", content * 2):
        network.bin.write_bytes(wrong)
        fails(
            bench(*network.arguments()),
            BAD_FILE,
            "net.bin",
            "shorter" if len(wrong) < len(content) else "longer",
        )


@pytest.mark.parametrize(
    ("old", "new", "code", "word"),
    [
        ("7767517", "7767518", BAD_FILE, "net.param:1"),
        ("9 11", "9", BAD_FILE, "net.param:2"),
        ("9 11", "10 11", BAD_FILE, "10 layers are announced, 9 are there"),
        ("9 11", "8 11", BAD_FILE, "net.param:11: more layers"),
        ("9 11", "9 10", BAD_FILE, "10 blobs are announced, 11"),
        ("9 11", "99999999999 11", BAD_FILE, "net.param:2"),
        ("split   1 2 a a0 a1", "split   1 2 a a0", BAD_FILE, "net.param:5"),
        ("split   1 2 a a0 a1", "split   1 -2 a a0 a1", BAD_FILE, "net.param:5"),
        ("add     2 1 b c d", "add     2 1 b b d", BAD_FILE, "second consumer"),
        ("add     2 1 b c d", "add     2 1 b e d", BAD_FILE, "e is used before any layer makes it"),
        ("add     2 1 b c d", "add     2 1 b c c", BAD_FILE, "c is made twice"),
        ("Sigmoid", "GridSample", MISSING_LAYER, "GridSample"),
        ("Sigmoid", "NoSuchLayer", MISSING_LAYER, "NoSuchLayer"),
        ("0=16 1=3 4=1", "0=16 1=3 4=1 zzz", BAD_FILE, "zzz"),
        ("6=432", "6=2147483647", BAD_FILE, "net."),
        ("6=432", "6=432000", BAD_FILE, "net.bin: shorter"),
        ("6=432", "6=-5", BAD_FILE, "net."),
        ("0=16 1=16 2=3", "0=99 1=16 2=3", BAD_FILE, "w=99"),
        ("0=16 1=16 2=3", "0=16 1=16 2=4", BAD_FILE, "c=4"),
    ],
)
def test_params_that_are_wrong(bench, network, old, new, code, word):
    text = network.param.read_text()
    assert old in text
    network.param.write_text(text.replace(old, new, 1))
    fails(bench(*network.arguments()), code, word)


def npy(descr="'<f4'", order="False", shape="(3, 3, 16, 16)", data=3 * 3 * 256 * 4, version=b"\x01\x00"):
    header = f"{{'descr': {descr}, 'fortran_order': {order}, 'shape': {shape}, }}\n".encode()
    return b"\x93NUMPY" + version + len(header).to_bytes(2, "little") + header + bytes(data)


@pytest.mark.parametrize(
    ("content", "word"),
    [
        (npy(descr="'<f8'"), "float32"),
        (npy(descr="'>f4'"), "float32"),
        (npy(descr="'|O'"), "float32"),
        (npy(order="True"), "C order"),
        (npy(shape="(3,)", data=12), "dimensions"),
        (npy(shape="(1, 1, 1, 1, 1)", data=4), "dimensions"),
        (npy(shape="()", data=4), "dimensions"),
        (npy(shape="(0, 3, 16, 16)", data=0), "empty"),
        (npy(shape="(3, 3, 16, -16)"), "dimensions"),
        (npy(shape="(99999999999999999999, 2)"), "dimensions"),
        (npy(shape="(2147483647, 2147483647, 2147483647, 2147483647)"), "too large"),
        (npy(data=100), "100 bytes"),
        (npy(data=3 * 3 * 256 * 4 + 4), "bytes"),
        (npy(version=b"\x09\x00"), "version"),
        (npy()[:9], "not a .npy"),
        (npy()[:40], "truncated"),
        (b"PK\x03\x04" + bytes(100), "not a .npy"),
    ],
)
def test_inputs_that_are_no_npy(bench, network, content, word):
    network.input.write_bytes(content)
    fails(bench(*network.arguments()), BAD_FILE, "x.npy", word)


def test_format_2_of_npy_is_read(bench, network):
    with network.input.open("wb") as file:
        np.lib.format.write_array(file, network.samples, version=(2, 0))
    assert bench(*network.arguments()).returncode == 0


def test_inputs_with_different_sample_counts(bench, network, tmp_path):
    text = network.param.read_text().replace("9 11", "10 12") + "Input z 0 1 z\n"
    network.param.write_text(text)
    np.save(tmp_path / "z.npy", np.zeros((2, 4), np.float32))
    fails(bench(*network.arguments(), "--input", f"z={tmp_path / 'z.npy'}"), BAD_FILE, "holds 2 samples")
    fails(bench(*network.arguments()), USAGE, "needs --input z")


def test_an_inference_that_cannot_work(bench, network):
    text = network.param.read_text().replace(" 0=16 1=16 2=3", "", 1)
    network.param.write_text(text.replace("1=3 4=1", "1=3 4=0", 1))
    np.save(network.input, np.zeros((1, 3, 1, 1), np.float32))
    fails(bench(*network.arguments()), INFERENCE_FAILED, "android_bench: error:")


def test_two_outputs_with_one_file_name(bench, network, tmp_path):
    text = network.param.read_text().replace("seg s1", "a/b s1").replace("s1 alpha", "s1 a:b")
    network.param.write_text(text)
    arguments = [{"seg": "a/b", "alpha": "a:b"}.get(a, a) for a in network.arguments()]
    fails(bench(*arguments, "--dump", str(tmp_path / "d")), USAGE, "a/b and a:b")


def test_a_dump_that_cannot_be_written(bench, network, tmp_path):
    (tmp_path / "file").touch()
    fails(bench(*network.arguments(), "--dump", str(tmp_path / "file" / "d")), BAD_FILE, "file/d")


def test_a_closed_standard_output(binary, network):
    read_end, write_end = os.pipe()
    os.close(read_end)
    command = [str(binary.path), *network.arguments()]
    result = subprocess.run(command, stdout=write_end, stderr=subprocess.PIPE, text=True, timeout=60)
    os.close(write_end)
    assert result.returncode == BAD_FILE
    assert "standard output" in result.stderr


def test_a_model_that_asks_for_gigabytes_is_refused(bench, network):
    text = network.param.read_text()
    for old, new in [("0=16 1=3 4=1", "0=16 1=3 4=1000000"), ("0=2 1=1", "0=2 1=1 4=1000000")]:
        network.param.write_text(text.replace(old, new, 1))
        result = bench(*network.arguments())
        assert result.returncode in (BAD_FILE, INFERENCE_FAILED), result.stderr


def test_the_memory_of_a_corrupt_weight_is_never_allocated(bench, network):
    # The tag of 256-entry codebook weights makes ncnn allocate before it reads.
    network.param.write_text(network.param.read_text().replace("6=432", "6=2000000000", 1))
    network.bin.write_bytes(b"\x01\x01\x01\x01" + network.bin.read_bytes()[4:])
    assert bench(*network.arguments()).returncode == BAD_FILE


@pytest.mark.parametrize("which", ["param", "bin"])
def test_damaged_files_never_end_it_by_a_signal(bench, network, which):
    path = getattr(network, which)
    sound = path.read_bytes()
    random = np.random.default_rng(11)
    documented = {0, BAD_FILE, MISSING_LAYER, INFERENCE_FAILED, USAGE}
    for _ in range(150):
        damaged = bytearray(sound)
        # Damage where it hurts: the tags and the text, rather than the middle of the weights.
        end = len(damaged) if which == "param" or random.random() < 0.5 else 16
        for position in random.integers(0, end, random.integers(1, 4)):
            damaged[position] = random.integers(0, 256)
        if random.random() < 0.3:
            del damaged[random.integers(0, len(damaged)) :]
        path.write_bytes(damaged)
        result = bench(*network.arguments(), errors="replace")
        assert result.returncode in documented, (damaged, result.stderr)
        assert (result.stdout == "") == (result.returncode != 0)


@pytest.mark.parametrize(
    "number", [signal.SIGSEGV, signal.SIGFPE, signal.SIGILL, signal.SIGABRT, signal.SIGBUS]
)
def test_a_fault_is_reported_by_name(binary, network, tmp_path, number):
    dump = tmp_path / "dump"
    arguments = [*network.arguments(), "--min-runs", "10000000", "--dump", str(dump)]
    process = subprocess.Popen(
        [str(binary.path), *arguments], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    )
    while not (dump / "fp32.alpha.npy").is_file() and process.poll() is None:  # then it is measuring
        time.sleep(0.01)
    process.send_signal(number)
    output, error = process.communicate(timeout=60)
    assert (process.returncode, output) == (INFERENCE_FAILED, "")
    assert f"{number.name} while " in error


@pytest.mark.skipif(platform.machine() != "x86_64", reason="about x86-64 CPUs")
@pytest.mark.skipif(shutil.which("qemu-x86_64") is None, reason="qemu-x86_64 is not installed")
def test_a_cpu_that_lacks_what_the_build_is_for_is_told_so(binary):
    cpu, lacking = {"base": ("Nehalem", "AVX2"), "avx512vnni": ("Haswell", "AVX-512")}[binary.isa]
    command = ["qemu-x86_64", "-cpu", cpu, str(binary.path), "--version"]
    fails(subprocess.run(command, capture_output=True, text=True), UNSUPPORTED_CPU, lacking)
