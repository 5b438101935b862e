"""The plugin that counts instructions under qemu."""

import shutil
import subprocess
import sys

import pytest

from android_bench import BuildError, build_counter, examine_emulator

QEMU = shutil.which("qemu-aarch64")


def plugin_or_skip(cache_dir):
    if QEMU is None:
        pytest.skip("qemu-aarch64 is not installed")
    api = examine_emulator(QEMU).plugin_api
    if api is None:
        pytest.skip("qemu-aarch64 was built without plugins")
    return build_counter(api, cache_dir=cache_dir)


# A64 without a library, so that every instruction is known. A mark is getppid (173 in Linux's
# include/uapi/asm-generic/unistd.h) with the words of android_bench/src/marks.cpp.
PROGRAM = """
.global _start
_start:
    mov x8, #173
    ldr w0, ={first}
    ldr w1, ={second}
    mov w2, #1
    mov w3, #7
    svc #0
    ldr x9, ={loops}        // begin: 1 instruction, then 2 in each loop
1:  subs x9, x9, #1
    b.ne 1b
    ldr w0, ={first}        // x0 held getppid's answer; and 3 up to the end, its svc included
    mov w2, #3
    svc #0
    ldr w0, =0x12345678     // the call without the words is no mark
    svc #0
    mov x0, #0
    mov x8, #93
    svc #0
"""


@pytest.fixture
def count(cache_dir, tmp_path):
    """Assemble the program, run it and return the plugin's lines as tuples of integers."""
    plugin = plugin_or_skip(cache_dir)

    def run(loops):
        source, program, out = (tmp_path / name for name in ("loop.s", "loop", "out"))
        source.write_text(PROGRAM.format(first=0x6D6F6269, second=0x6C656465, loops=loops))
        assemble = ["-target", "aarch64-linux-none", "-nostdlib", "-static"]
        command = [sys.executable, "-m", "ziglang", "cc", *assemble, str(source), "-o", str(program)]
        subprocess.run(command, check=True, timeout=120)
        subprocess.run([QEMU, "-plugin", f"{plugin},out={out}", str(program)], check=True, timeout=60)
        return [tuple(map(int, line.split())) for line in out.read_text().splitlines()]

    return run


@pytest.mark.parametrize("loops", [1, 1000, 123456])
def test_every_instruction_is_counted_once(count, loops):
    (kind, number, begin), (end_kind, end_number, end) = count(loops)
    assert (kind, number, end_kind, end_number) == (1, 7, 3, 7)
    assert begin == 6
    assert end - begin == 1 + 2 * loops + 3


def test_qemu_refuses_the_plugin_without_a_file(cache_dir):
    plugin = plugin_or_skip(cache_dir)
    result = subprocess.run([QEMU, "-plugin", str(plugin), "/bin/true"], capture_output=True, text=True)
    assert result.returncode != 0
    assert "out=FILE" in result.stderr


def test_the_plugin_is_built_once(tmp_path):
    first = build_counter(1, cache_dir=tmp_path)
    written = first.stat().st_mtime_ns
    assert build_counter(1, cache_dir=tmp_path) == first
    assert first.stat().st_mtime_ns == written
    assert build_counter(2, cache_dir=tmp_path) != first
    assert [path.name for path in first.parent.iterdir() if path.suffix != ".so"] == []


@pytest.mark.parametrize(
    ("version", "options", "api"),
    [
        ("7.2.22 (Debian 1:7.2)", "-plugin   QEMU_PLUGIN  [file=]<file>", 1),
        ("8.2.2", "-plugin   QEMU_PLUGIN  [file=]<file>", 1),
        ("9.0.0", "-plugin   QEMU_PLUGIN  [file=]<file>", 2),
        ("10.1.0", "-plugin   QEMU_PLUGIN  [file=]<file>", 2),
        ("10.1.0", "-version  QEMU_VERSION  no -plugin here", None),
    ],
)
def test_what_an_emulator_takes(tmp_path, version, options, api):
    program = tmp_path / "qemu-aarch64"
    program.write_text(
        f"#!/bin/sh\nif [ $1 = -help ]; then echo '{options}'; else echo 'qemu-aarch64 version {version}'; fi\n"
    )
    program.chmod(0o755)
    found = examine_emulator(str(program))
    assert found.plugin_api == api
    assert found.version == f"qemu-aarch64 version {version.split()[0]}"


@pytest.mark.parametrize("program", ["/bin/true", "/nowhere/qemu-aarch64"])
def test_what_is_no_emulator(program):
    with pytest.raises(BuildError) as caught:
        examine_emulator(program)
    assert "qemu-user" in caught.value.hint


def test_marks_are_harmless_on_a_real_kernel(bench, network, tmp_path):
    plain = bench(*network.arguments(), "--dump", str(tmp_path / "plain"))
    marked = bench(*network.arguments(), "--dump", str(tmp_path / "marked"), "--mark", "1")
    assert (plain.returncode, marked.returncode, marked.stderr) == (0, 0, "")
    for file in (tmp_path / "plain").iterdir():
        assert file.read_bytes() == (tmp_path / "marked" / file.name).read_bytes()
