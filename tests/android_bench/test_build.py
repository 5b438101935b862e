"""The build around the compiler: what names a build, where its source comes from, what an end in the middle leaves."""

import hashlib
import io
import os
import shutil
import signal
import subprocess
import sys
import tarfile
import threading
import time
from pathlib import Path

import pytest

import android_bench
from android_bench import ISAS, BuildError, build, build_binary, cached_binary, missing_layers, ncnn_source
from android_bench.cmake_runner import child_process, compile_all
from android_bench.toolchain import find_toolchain


@pytest.fixture(autouse=True)
def no_ndk(monkeypatch):
    for name in ("ANDROID_NDK", "ANDROID_NDK_HOME", "ANDROID_NDK_ROOT"):
        monkeypatch.delenv(name, raising=False)


@pytest.fixture
def package_copy(tmp_path, monkeypatch):
    """A copy of the package's files to change, which the build takes for its own."""
    copy = tmp_path / "package"
    shutil.copytree(Path(android_bench.__file__).parent, copy, ignore=shutil.ignore_patterns("__pycache__"))
    monkeypatch.setattr(build, "_PACKAGE", copy)
    return copy


def recipe(abi="x86_64", isa="base", layers="lean"):
    return build._recipe(abi, isa, layers)


def test_a_second_build_does_nothing(binary, cache_dir):
    steps = []
    before = binary.path.stat().st_mtime_ns
    assert build_binary(binary.abi, isa=binary.isa, cache_dir=cache_dir, progress=steps.append) == binary
    assert cached_binary(binary.abi, isa=binary.isa, cache_dir=cache_dir) == binary
    assert steps == []
    assert binary.path.stat().st_mtime_ns == before


def test_a_relative_cache_folder_gives_an_absolute_path(binary, cache_dir, monkeypatch):
    monkeypatch.chdir(cache_dir.parent)
    assert build_binary(binary.abi, isa=binary.isa, cache_dir=Path(cache_dir.name)) == binary


def test_the_binary_is_what_its_description_says(binary):
    assert hashlib.sha256(binary.path.read_bytes()).hexdigest() == binary.sha256
    assert binary.path.stat().st_mode & 0o777 == 0o755
    assert binary.ncnn_version == "1.0.20261020"
    assert b"ld-linux" not in binary.path.read_bytes()


def test_missing_layers(binary):
    assert missing_layers(binary, ["Convolution", "GridSample", "LSTM", "GridSample"]) == [
        "GridSample",
        "LSTM",
    ]
    assert missing_layers(binary, ["Convolution", "Softmax"]) == []


def test_nothing_is_cached_in_an_empty_cache(tmp_path):
    assert cached_binary("arm64-v8a", cache_dir=tmp_path / "none") is None
    assert not (tmp_path / "none").exists()


def test_every_abi_isa_set_of_layers_and_compiler_has_its_own_key(monkeypatch):
    keys = {
        recipe(abi, isa, layers).key
        for abi, isas in ISAS.items()
        for isa in isas
        for layers in ("lean", "full")
    }
    assert len(keys) == 8
    monkeypatch.setattr("android_bench.toolchain.metadata.version", lambda name: "0.99.0")
    assert recipe().key not in keys


def test_a_change_of_a_source_changes_the_key_and_keeps_the_compiled_ncnn(package_copy):
    before = recipe()
    with (package_copy / "src" / "main.cpp").open("a") as file:
        file.write("// changed\n")
    after = recipe()
    assert after.key != before.key
    assert after.ncnn_key == before.ncnn_key


@pytest.mark.parametrize("name", ["cmake/ncnn_options.cmake", "cmake/zig_compile.sh", "toolchain.py"])
def test_a_change_of_the_recipe_changes_the_keys(package_copy, name):
    before = recipe().ncnn_key
    with (package_copy / name).open("a") as file:
        file.write("# changed\n")
    assert recipe().ncnn_key != before


def test_an_unknown_abi(tmp_path):
    with pytest.raises(BuildError, match="riscv64") as caught:
        build_binary("riscv64", cache_dir=tmp_path)
    assert "arm64-v8a" in caught.value.hint


def test_an_unknown_isa(tmp_path):
    with pytest.raises(BuildError, match="avx512vnni of arm64-v8a") as caught:
        build_binary("arm64-v8a", isa="avx512vnni", cache_dir=tmp_path)
    assert "base" in caught.value.hint


def test_a_damaged_entry_is_no_entry(binary, tmp_path):
    entry = tmp_path / "android_bench" / "bin" / binary.path.parent.name
    shutil.copytree(binary.path.parent, entry)
    assert cached_binary(binary.abi, isa=binary.isa, cache_dir=tmp_path) is not None
    description = (entry / "binary.json").read_text()
    (entry / "binary.json").write_text(description[:50])
    assert cached_binary(binary.abi, isa=binary.isa, cache_dir=tmp_path) is None
    (entry / "binary.json").write_text(description)
    (entry / "android_bench").unlink()
    assert cached_binary(binary.abi, isa=binary.isa, cache_dir=tmp_path) is None


def serve_index(monkeypatch, folder, content):
    """Make `folder` the only place where pip finds packages, with `content` as ncnn's sdist."""
    folder.mkdir()
    if content is not None:
        (folder / f"ncnn-{ncnn_source.NCNN_VERSION}.tar.gz").write_bytes(content)
    for name in [name for name in os.environ if name.startswith("PIP_")]:
        monkeypatch.delenv(name)
    monkeypatch.setenv("PIP_CONFIG_FILE", os.devnull)
    monkeypatch.setenv("PIP_NO_INDEX", "1")
    monkeypatch.setenv("PIP_FIND_LINKS", str(folder))


def sdist(members):
    """Return a .tar.gz of (name, content or link target) pairs, below ncnn's own folder."""
    stream = io.BytesIO()
    with tarfile.open(fileobj=stream, mode="w:gz") as archive:
        for name, content in members:
            info = tarfile.TarInfo(f"ncnn-{ncnn_source.NCNN_VERSION}/{name}")
            if isinstance(content, str):
                info.type, info.linkname = tarfile.SYMTYPE, content
                archive.addfile(info)
            else:
                info.size = len(content)
                archive.addfile(info, io.BytesIO(content))
    return stream.getvalue()


def test_a_source_with_another_hash_is_refused(monkeypatch, tmp_path):
    serve_index(monkeypatch, tmp_path / "links", sdist([("CMakeLists.txt", b"evil")]))
    with pytest.raises(BuildError, match="not the pinned") as caught:
        build_binary("x86_64", cache_dir=tmp_path / "cache")
    assert "index" in caught.value.hint
    left = [path for path in (tmp_path / "cache").rglob("*") if path.is_file() and path.suffix != ".lock"]
    assert left == []


def test_a_source_that_no_index_has(monkeypatch, tmp_path):
    serve_index(monkeypatch, tmp_path / "links", None)
    with pytest.raises(BuildError, match="no configured package index") as caught:
        build_binary("x86_64", cache_dir=tmp_path / "cache")
    assert "pip config list" in caught.value.hint


def test_an_index_that_does_not_answer(monkeypatch, tmp_path):
    serve_index(monkeypatch, tmp_path / "links", None)
    monkeypatch.delenv("PIP_NO_INDEX")
    monkeypatch.setenv("PIP_INDEX_URL", "http://127.0.0.1:9/simple")
    with pytest.raises(BuildError) as caught:
        build_binary("x86_64", cache_dir=tmp_path / "cache")
    assert caught.value.hint


def test_only_wanted_regular_files_are_unpacked(monkeypatch, tmp_path):
    content = sdist(
        [
            ("CMakeLists.txt", b"project"),
            ("src/net.cpp", b"net"),
            ("src/link.cpp", "/etc/passwd"),
            ("python/setup.py", b"not wanted"),
            ("setup.py", b"not wanted"),
        ]
    )
    serve_index(monkeypatch, tmp_path / "links", content)
    monkeypatch.setattr(ncnn_source, "SDIST_SHA256", hashlib.sha256(content).hexdigest())
    folder = ncnn_source.unpacked_source(tmp_path / "cache")
    files = sorted(str(path.relative_to(folder)) for path in folder.rglob("*") if path.is_file())
    assert files == ["CMakeLists.txt", "src/net.cpp"]
    assert ncnn_source.unpacked_source(tmp_path / "cache") == folder


def test_a_path_out_of_the_folder_is_refused(monkeypatch, tmp_path):
    content = sdist([("src/../../../escaped.cpp", b"x")])
    serve_index(monkeypatch, tmp_path / "links", content)
    monkeypatch.setattr(ncnn_source, "SDIST_SHA256", hashlib.sha256(content).hexdigest())
    with pytest.raises(BuildError, match="leaves its folder"):
        ncnn_source.unpacked_source(tmp_path / "cache")
    assert not list(tmp_path.rglob("escaped.cpp"))


def test_pip_settings_come_from_files_and_variables(monkeypatch, tmp_path):
    config = tmp_path / "pip.conf"
    config.write_text(
        "[global]\nindex-url = https://one.example/simple\nextra-index-url = https://two.example/simple\n"
        "    https://three.example/simple\ntrusted-host = one.example\ncert = /certificates.pem\ntimeout = 60\n"
    )
    for name in [name for name in os.environ if name.startswith("PIP_")]:
        monkeypatch.delenv(name)
    monkeypatch.setenv("PIP_CONFIG_FILE", str(config))
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path))
    settings = ncnn_source.pip_settings()
    assert settings.index_urls == [f"https://{name}.example/simple" for name in ("one", "two", "three")]
    assert settings.trusted_hosts == ["one.example"]
    assert (settings.certificate, settings.timeout_s) == ("/certificates.pem", 60.0)
    monkeypatch.setenv("PIP_INDEX_URL", "https://four.example/simple")
    assert ncnn_source.pip_settings().index_urls[0] == "https://four.example/simple"


def test_an_ndk_that_is_none(monkeypatch, tmp_path):
    monkeypatch.setenv("ANDROID_NDK_HOME", str(tmp_path))
    with pytest.raises(BuildError, match="not an Android NDK") as caught:
        find_toolchain("arm64-v8a")
    assert "ANDROID_NDK_HOME" in caught.value.hint


def test_an_ndk_is_used_where_it_is_named(monkeypatch, tmp_path):
    (tmp_path / "build" / "cmake").mkdir(parents=True)
    (tmp_path / "build" / "cmake" / "android.toolchain.cmake").touch()
    (tmp_path / "source.properties").write_text("Pkg.Desc = Android NDK\nPkg.Revision = 27.2.12479018\n")
    monkeypatch.setenv("ANDROID_NDK", str(tmp_path))
    toolchain = find_toolchain("arm64-v8a")
    assert toolchain.name == "ndk 27.2.12479018"
    arguments = toolchain.prepare(tmp_path)
    assert f"-DCMAKE_TOOLCHAIN_FILE={tmp_path}/build/cmake/android.toolchain.cmake" in arguments
    assert "-DANDROID_ABI=arm64-v8a" in arguments
    assert find_toolchain("x86_64").name.startswith("zig")


@pytest.fixture
def zig_script(tmp_path):
    """Run zig_compile.sh with a stand-in for zig that prints its arguments; return these."""
    zig = tmp_path / "zig"
    zig.write_text('#!/bin/sh\nprintf "%s\\n" "$@"\n')
    zig.chmod(0o755)
    script = Path(android_bench.__file__).parent / "cmake" / "zig_compile.sh"

    def run(target, *arguments):
        command = ["sh", str(script), str(zig), "c++", target, *arguments]
        return subprocess.run(command, capture_output=True, text=True, check=True).stdout.splitlines()

    return run


@pytest.mark.parametrize(
    ("target", "given", "passed"),
    [
        ("aarch64-linux-musl", "-march=armv8-a", "-mcpu=generic"),
        ("aarch64-linux-musl", "-march=armv8.2-a+fp16", "-mcpu=generic+v8_2a+fullfp16"),
        ("aarch64-linux-musl", "-march=armv8.2-a+fp16+dotprod", "-mcpu=generic+v8_2a+fullfp16+dotprod"),
        ("aarch64-linux-musl", "-march=armv8.2-a+fp16+fp16fml", "-mcpu=generic+v8_2a+fullfp16+fp16fml"),
        (
            "aarch64-linux-musl",
            "-march=armv8.4-a+fp16+dotprod+i8mm",
            "-mcpu=generic+v8_4a+fullfp16+dotprod+i8mm",
        ),
        ("arm-linux-musleabihf", "-mfpu=neon-vfpv4", "-mcpu=generic+v7a+neon+vfp4"),
        ("arm-linux-musleabihf", "-O2", "-mcpu=generic+v7a+neon"),
    ],
)
def test_cpu_flags_in_zigs_terms(zig_script, target, given, passed):
    arguments = zig_script(target, given, "-c", "a b.cpp")
    assert passed in arguments
    assert arguments[-2:] == ["-c", "a b.cpp"]
    assert not any(argument.startswith(("-march", "-mfpu")) for argument in arguments)


def test_precompiled_headers_in_zigs_terms(zig_script):
    given = "-Xclang -emit-pch -Xclang -include -Xclang p/x.hxx -x c++-header -o p/x.hxx.pch -c p/x.hxx.cxx"
    arguments = zig_script("x86_64-linux-musl", "-O3", *given.split())
    assert arguments[3:] == ["-O3", "-x", "c++-header", "-o", "p/x.hxx.pch", "p/x.hxx"]


def test_a_failing_compiler_leaves_its_words(monkeypatch, tmp_path):
    folder = tmp_path / "out"
    folder.mkdir()
    (folder / "build.ninja").write_text(
        "rule fail\n  command = echo the reason; exit 1\nbuild android_bench: fail\n"
    )
    with pytest.raises(BuildError, match="ninja failed") as caught:
        compile_all(folder, dict(os.environ), None)
    assert "the reason" in caught.value.log_tail
    assert "compile.log" in caught.value.hint


def test_an_end_in_the_middle_ends_the_children(tmp_path):
    marker = tmp_path / "grandchild"
    script = f"sh -c 'sleep 300 & echo $! > {marker}; wait'"
    with pytest.raises(KeyboardInterrupt), child_process(["sh", "-c", script], tmp_path, dict(os.environ)):
        while not (marker.is_file() and marker.read_text().strip()):
            time.sleep(0.01)
        raise KeyboardInterrupt
    grandchild = int(marker.read_text())
    for _ in range(500):
        try:
            os.kill(grandchild, 0)
        except ProcessLookupError:
            return
        if Path(f"/proc/{grandchild}/stat").read_text().split()[2] == "Z":
            return
        time.sleep(0.01)
    pytest.fail("the grandchild is still running")


def test_an_interrupted_build_leaves_no_entry_and_no_lock(tmp_path, monkeypatch, cache_dir, binary):
    # The unpacked source alone: the interrupt comes in the midst of CMake's tests.
    root = tmp_path / "android_bench"
    source = ncnn_source.unpacked_source(cache_dir / "android_bench")
    root.mkdir()
    (root / source.name).symlink_to(source)
    code = (
        "import signal, sys; from pathlib import Path; from android_bench import build_binary;"
        # Shells start background jobs with interrupts ignored, and these tests may be one.
        "signal.signal(signal.SIGINT, signal.default_int_handler);"
        f"build_binary({binary.abi!r}, cache_dir=Path(sys.argv[1]), progress=lambda step: print(step, flush=True))"
    )
    process = subprocess.Popen(
        [sys.executable, "-c", code, str(tmp_path)], stdout=subprocess.PIPE, stderr=subprocess.DEVNULL
    )
    assert process.stdout is not None
    assert b"configure" in process.stdout.readline()
    process.send_signal(signal.SIGINT)
    process.stdout.read()
    assert process.wait() != 0
    assert cached_binary(binary.abi, cache_dir=tmp_path) is None
    assert not list((root / "bin").glob("*")) if (root / "bin").exists() else True
    with build._lock(next(root.glob(f"{binary.abi}*.lock"))):
        pass


def test_two_builds_of_one_key_take_turns(tmp_path):
    order = []

    def hold(name):
        with build._lock(tmp_path / "key.lock"):
            order.append(f"{name} in")
            time.sleep(0.05)
            order.append(f"{name} out")

    threads = [threading.Thread(target=hold, args=(name,)) for name in "ab"]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert [word.split()[1] for word in order] == ["in", "out", "in", "out"]
