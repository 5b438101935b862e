"""Builds the benchmark binary, once for each ABI, ISA, set of layers, compiler and state of its sources.

What the cache folder holds below `android_bench/`:

- `ncnn-VERSION.tar.gz` and the unpacked source;
- `bin/KEY/`: a finished binary with its description, moved there in one step;
- `build/KEY/`: CMake's and Ninja's files, kept because a change of our sources needs only them
  compiled; its key leaves these sources out;
- `zig/`: zig's own cache, with the C and C++ libraries of each target.
"""

from __future__ import annotations

import fcntl
import hashlib
import json
import os
import shutil
import tempfile
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager, nullcontext
from dataclasses import dataclass
from pathlib import Path

from android_bench.binary import ABIS, Binary, Layers, Progress
from android_bench.cmake_runner import child_process, compile_all, configure
from android_bench.errors import BuildError
from android_bench.isa import BASE, ISAS
from android_bench.ncnn_source import NCNN_DATE, NCNN_VERSION, SDIST_SHA256, unpacked_source
from android_bench.toolchain import Toolchain, find_toolchain

_PACKAGE = Path(__file__).parent
_BINARY_NAME = "android_bench"


@dataclass(frozen=True)
class _Recipe:
    """All that decides what comes out of a build."""

    toolchain: Toolchain
    isa: str
    layers: Layers
    cmake_files: Mapping[str, bytes]
    source_files: Mapping[str, bytes]
    flags_file: Mapping[str, bytes]
    """toolchain.py, for the flags in it."""

    @property
    def ncnn_key(self) -> str:
        """Names the state of everything but our own C++."""
        digest = hashlib.sha256()
        for text in (
            SDIST_SHA256,
            self.toolchain.name,
            str(self.toolchain.ndk),
            self.toolchain.abi,
            self.isa,
            self.layers,
        ):
            digest.update(text.encode() + b"\0")
        _hash_files(digest, self.cmake_files)
        _hash_files(digest, self.flags_file)
        return f"{self.toolchain.abi}-{self.isa}-{self.layers}-{digest.hexdigest()[:16]}"

    @property
    def sources_hash(self) -> str:
        digest = hashlib.sha256()
        _hash_files(digest, self.source_files)
        return digest.hexdigest()[:12]

    @property
    def key(self) -> str:
        return f"{self.ncnn_key}-{self.sources_hash}"


def _hash_files(digest: hashlib._Hash, files: Mapping[str, bytes]) -> None:
    for name, content in files.items():
        digest.update(f"{name}\0{len(content)}\0".encode())
        digest.update(content)


def _read_files(files: Iterable[Path]) -> dict[str, bytes]:
    return {file.name: file.read_bytes() for file in sorted(files)}


def _recipe(abi: str, isa: str, layers: Layers) -> _Recipe:
    if abi not in ABIS:
        raise BuildError(f"unknown ABI {abi}", hint=f"One of {', '.join(ABIS)}.")
    if isa not in ISAS[abi]:
        raise BuildError(f"unknown instruction set {isa} of {abi}", hint=f"One of {', '.join(ISAS[abi])}.")
    return _Recipe(
        toolchain=find_toolchain(abi),
        isa=isa,
        layers=layers,
        cmake_files=_read_files((_PACKAGE / "cmake").iterdir()),
        source_files=_read_files((_PACKAGE / "src").iterdir()),
        flags_file=_read_files([_PACKAGE / "toolchain.py"]),
    )


def cached_binary(abi: str, *, cache_dir: Path, isa: str = BASE, layers: Layers = "lean") -> Binary | None:
    """Return the binary if it is built already, and nothing if not; does no work.

    Raises:
        BuildError: no such ABI or ISA, or no compiler that could have built it.
    """
    return _read_entry(cache_dir.absolute() / "android_bench" / "bin" / _recipe(abi, isa, layers).key)


def build_binary(
    abi: str,
    *,
    cache_dir: Path,
    isa: str = BASE,
    layers: Layers = "lean",
    progress: Progress | None = None,
) -> Binary:
    """Return the binary for an ABI, built now if the cache does not have it.

    Several processes may ask at once: one builds, the others wait for it. An interrupted build
    leaves no entry, and goes on where it was when asked again.

    Args:
        abi: one of `ABIS`.
        cache_dir: mobiledeploy's cache folder; made if it is not there.
        isa: which CPUs of the ABI it is for, one of `ISAS` (`best_isa`).
        layers: "lean", or "full" for a model that needs what lean leaves out (`missing_layers`).
        progress: called with each step, from this thread.

    Raises:
        BuildError: ncnn's source cannot be had, there is no compiler, or it failed.
    """
    recipe = _recipe(abi, isa, layers)
    root = cache_dir.absolute() / "android_bench"  # CMake and Ninja run in folders of their own
    entry = root / "bin" / recipe.key
    if binary := _read_entry(entry):
        return binary
    try:
        root.mkdir(parents=True, exist_ok=True)
        with _lock(root / f"{recipe.ncnn_key}.lock"):
            if binary := _read_entry(entry):
                return binary
            with _lock(root / "ncnn.lock"):
                ncnn = unpacked_source(root, progress)
            return _publish(_build(recipe, root, ncnn, progress), entry, recipe)
    except OSError as error:
        raise BuildError(
            f"the cache {root} cannot be written: {error}", hint="Set MOBILEDEPLOY_CACHE."
        ) from error


@contextmanager
def _lock(path: Path) -> Iterator[None]:
    """Hold an exclusive lock; the kernel drops it with the process, however that ends."""
    with path.open("w") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        yield


def _build(recipe: _Recipe, root: Path, ncnn: Path, progress: Progress | None) -> Path:
    """Compile; return the build folder."""
    folder = root / "build" / recipe.ncnn_key
    project = folder / "project"
    _write_changed(recipe.cmake_files, project / "cmake")
    _write_changed(recipe.source_files, project / "src")
    build = folder / "out"
    arguments = [
        *recipe.toolchain.prepare(folder),
        f"-DNCNN_SOURCE_DIR={ncnn}",
        f"-DNCNN_DATE={NCNN_DATE}",
        f"-DBENCH_SOURCE_DIR={project / 'src'}",
        f"-DBENCH_ABI={recipe.toolchain.abi}",
        f"-DBENCH_ISA={recipe.isa}",
        f"-DBENCH_LAYERS={recipe.layers}",
        f"-DBENCH_VERSION={recipe.sources_hash}",
    ]
    environment = zig_environment(root / "zig")
    prime = recipe.toolchain.prime_command(folder)
    with child_process(prime, folder, environment) if prime else nullcontext():
        configure(project / "cmake", build, arguments, environment, progress)
        compile_all(build, environment, progress)
    return build


def zig_environment(zig_cache: Path) -> dict[str, str]:
    """Return this process's environment, without what would change the build behind its key's back."""
    foreign = ("CC", "CXX", "CFLAGS", "CXXFLAGS", "CPPFLAGS", "LDFLAGS", "CPATH", "CPLUS_INCLUDE_PATH")
    environment = {name: value for name, value in os.environ.items() if name not in foreign}
    return {**environment, "ZIG_GLOBAL_CACHE_DIR": str(zig_cache), "ZIG_LOCAL_CACHE_DIR": str(zig_cache)}


def _write_changed(files: Mapping[str, bytes], folder: Path) -> None:
    """Make `folder` hold these files and no others, touching only what differs: Ninja goes by time."""
    folder.mkdir(parents=True, exist_ok=True)
    for present in folder.iterdir():
        if present.name not in files:
            present.unlink()
    for name, content in files.items():
        target = folder / name
        if not target.is_file() or target.read_bytes() != content:
            target.write_bytes(content)


def _publish(build: Path, entry: Path, recipe: _Recipe) -> Binary:
    """Move the finished binary with its description into the cache, in one step."""
    entry.parent.mkdir(parents=True, exist_ok=True)
    layers = (build / "generated" / "built_layers.txt").read_text().split()
    with tempfile.TemporaryDirectory(dir=entry.parent, prefix=".new-") as temporary:
        staging = Path(temporary) / entry.name
        staging.mkdir()
        binary = staging / _BINARY_NAME
        shutil.copyfile(build / _BINARY_NAME, binary)
        binary.chmod(0o755)
        description = {
            "abi": recipe.toolchain.abi,
            "isa": recipe.isa,
            "ncnn_version": NCNN_VERSION,
            "toolchain": recipe.toolchain.name,
            "layers": sorted(layers),
            "sha256": hashlib.sha256(binary.read_bytes()).hexdigest(),
        }
        (staging / "binary.json").write_text(json.dumps(description, indent=2) + "\n")
        if entry.exists():  # an entry that could not be read
            shutil.rmtree(entry)
        staging.rename(entry)
    published = _read_entry(entry)
    if published is None:
        raise BuildError(f"the new cache entry {entry} cannot be read back")
    return published


def _read_entry(entry: Path) -> Binary | None:
    """Return a cache entry's binary, or None if there is no whole one."""
    try:
        description = json.loads((entry / "binary.json").read_text())
        binary = Binary(
            path=entry / _BINARY_NAME,
            abi=description["abi"],
            isa=description["isa"],
            ncnn_version=description["ncnn_version"],
            toolchain=description["toolchain"],
            layers=frozenset(description["layers"]),
            sha256=description["sha256"],
        )
    except (OSError, ValueError, KeyError):
        return None
    return binary if binary.path.is_file() else None
