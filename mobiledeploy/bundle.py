"""A bundle: the folder that `convert` leaves for a model.

    manifest.json            what is in it, where it came from, how right each variant is
    model.onnx               the reference, simplified
    fp32.param  fp32.bin     a pair of files for each variant, named by its precision
    mixed.plan.json          what each layer of the mixed variant runs in, and why
    samples/INPUT.npy        a few real inputs, float32 (N, ...), so that the benchmark runs on real data

A bundle is all that benchmarking, verifying or shipping needs. It is written whole: built in a folder beside its
place, then moved there.
"""

from __future__ import annotations

import hashlib
import json
import os
import shutil
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from mobiledeploy.errors import UsageError
from mobiledeploy.matte import Matte
from mobiledeploy.preprocessing import Preprocessing

SCHEMA = 1
MANIFEST = "manifest.json"
ONNX_FILE = "model.onnx"
SAMPLES = "samples"


@dataclass(frozen=True)
class Tensor:
    """An input or output: its ONNX name and shape (batch included), and its blob in the ncnn models."""

    name: str
    shape: tuple[int, ...]
    blob: str


@dataclass(frozen=True)
class Variant:
    """One precision of the model: its files, their size, and what `convert` measured of it."""

    precision: str
    param: Path
    bin: Path
    size_bytes: int
    layers: Mapping[str, int]
    parity: Mapping[str, Any]


@dataclass(frozen=True)
class Bundle:
    """A bundle on disk, read and checked. `manifest` is the whole document."""

    path: Path
    manifest: Mapping[str, Any]
    inputs: tuple[Tensor, ...]
    outputs: tuple[Tensor, ...]
    variants: Mapping[str, Variant]
    preprocessing: Preprocessing | None
    matte: Matte | None

    @property
    def name(self) -> str:
        """The model's name."""
        return str(self.manifest["name"])

    @property
    def mask(self) -> str | None:
        """The output from which a mask is made, if the network has one; `matte` says how."""
        return self.matte.output if self.matte else None

    @property
    def untrained(self) -> bool:
        """Whether the weights are random: then speed and size mean something, and what it computes does not."""
        return bool(self.manifest.get("untrained", False))

    @property
    def spatial_step(self) -> int | None:
        """In what steps (pixels) heights and widths may differ from the inputs'; None where they may not."""
        free = self.manifest.get("free_sizes") or {}  # older manifests lack the key
        return int(free["step"]) if free.get("spatial") else None

    @property
    def onnx(self) -> Path:
        """The ONNX reference."""
        return self.path / ONNX_FILE

    @property
    def converter(self) -> Mapping[str, str | None]:
        """The name and version of what made the ncnn graph of the ONNX reference."""
        return self.manifest.get("converter") or {
            "name": "mobiledeploy",
            "version": None,
        }  # older ones lack it

    @property
    def keys(self) -> Mapping[str, str]:
        """What each part was made of (`convert.keys`); a part that is not in it, of an older bundle, is not known."""
        return self.manifest.get("keys") or {}

    def samples(self) -> dict[str, Path]:
        """Map each input's name to its samples: a .npy of float32 (N, ...)."""
        return {tensor.name: self.path / SAMPLES / sample_file(tensor.blob) for tensor in self.inputs}

    def origins(self, precision: str) -> dict[str, str]:
        """Map a variant's blobs to the ONNX tensors that they stand for; those that equalization scaled stand for none.

        They equal them, but for what is `centered`.
        """
        rescaled = self.manifest["variants"][precision].get("rescaled", ())
        blobs = self.manifest.get("blobs", {})
        return {blob: tensor for blob, tensor in blobs.items() if blob not in rescaled}

    def centered(self, precision: str) -> Mapping[str, float]:
        """Map a variant's blobs that hold c - x in the place of their tensor's x to this c."""
        return self.manifest["variants"][precision].get("centered") or {}

    def variant(self, precision: str) -> Variant:
        """Return a variant by its precision; UsageError names those that are there."""
        if precision not in self.variants:
            raise UsageError(
                f"{self.path}: has no variant {precision!r}",
                hint=f"It has: {', '.join(self.variants)}. Convert again with --precision to add it.",
            )
        return self.variants[precision]


def plan_file(precision: str) -> str:
    """Return the name of the plan that a mixed variant was made by; no other variant has one."""
    return f"{precision}.plan.json"


def sample_file(blob: str) -> str:
    """Return the name of an input's samples in their folder; a blob's name may hold slashes, but no percent sign."""
    return f"{blob.replace('/', '%2F')}.npy"


def open_bundle(path: Path) -> Bundle:
    """Read a bundle and check every file's hash; UsageError says what is missing or damaged."""
    manifest = read_manifest(path)
    try:
        bundle = _parse(path, manifest)
    except (AttributeError, KeyError, TypeError, ValueError) as error:
        raise UsageError(f"{path / MANIFEST}: damaged ({error!r})", hint="Convert again.") from error
    for name, entry in _files(manifest):
        file = path / name
        if not file.is_file():
            raise UsageError(f"{path}: the bundle lacks {name}", hint="Convert again.")
        if file_hash(file) != entry["sha256"]:
            raise UsageError(
                f"{file}: changed since it was converted", hint="Convert again, or restore the file."
            )
    return bundle


def whole_bundle(path: Path) -> Bundle | None:
    """Return the bundle that stands in a place, if there is one and it is whole."""
    try:
        return open_bundle(path)
    except UsageError:
        return None


def read_manifest(path: Path) -> dict[str, Any]:
    """Read a bundle's manifest; UsageError where there is none, or a newer one."""
    file = path / MANIFEST
    if not file.is_file():
        raise UsageError(
            f"{path}: not a bundle (it has no {MANIFEST})", hint="`mobiledeploy convert` makes one."
        )
    try:
        manifest = json.loads(file.read_text("utf-8"))
    except (json.JSONDecodeError, UnicodeDecodeError) as error:
        raise UsageError(f"{file}: not JSON ({error})", hint="Convert again.") from error
    if not isinstance(manifest, dict) or manifest.get("schema") != SCHEMA:
        raise UsageError(f"{file}: not a manifest of schema {SCHEMA}", hint="Use the version that made it.")
    return manifest


def _parse(path: Path, manifest: Mapping[str, Any]) -> Bundle:
    variants = {
        precision: Variant(
            precision=precision,
            param=path / f"{precision}.param",
            bin=path / f"{precision}.bin",
            size_bytes=int(entry["size_bytes"]),
            layers=entry["layers"],
            parity=entry["parity"],
        )
        for precision, entry in manifest["variants"].items()
    }
    preprocessing = manifest.get("preprocessing")
    mask = manifest.get("mask")
    return Bundle(
        path=path,
        manifest=manifest,
        inputs=_tensors(manifest["inputs"]),
        outputs=_tensors(manifest["outputs"]),
        variants=variants,
        preprocessing=Preprocessing.from_json(preprocessing) if preprocessing else None,
        # Manifests from before there were activations lack the key: their masks are alphas.
        matte=Matte(mask, manifest.get("mask_activation") or "none") if mask else None,
    )


def _tensors(entries: list[Mapping[str, Any]]) -> tuple[Tensor, ...]:
    return tuple(Tensor(entry["name"], tuple(entry["shape"]), entry["blob"]) for entry in entries)


def _files(manifest: Mapping[str, Any]) -> Iterator[tuple[str, Mapping[str, Any]]]:
    """Yield every file that the manifest vouches for, by its path inside the bundle; none outside it."""
    for name, entry in manifest["files"].items():
        if Path(name).is_absolute() or ".." in Path(name).parts:
            raise UsageError(f"the manifest names a file outside its bundle: {name!r}")
        yield name, entry


def file_hash(path: Path) -> str:
    """Return a file's SHA-256 in hexadecimal."""
    digest = hashlib.sha256()
    with path.open("rb") as file:
        for block in iter(lambda: file.read(1 << 20), b""):
            digest.update(block)
    return digest.hexdigest()


def describe_files(folder: Path) -> dict[str, dict[str, Any]]:
    """Return size and hash of every file in a bundle's folder but the manifest, by relative path."""
    files = sorted(file for file in folder.rglob("*") if file.is_file() and file.name != MANIFEST)
    return {
        file.relative_to(folder).as_posix(): {"bytes": file.stat().st_size, "sha256": file_hash(file)}
        for file in files
    }


@contextmanager
def building(target: Path) -> Iterator[Path]:
    """Give a folder to build a bundle in; it takes the target's place when the block ends well, else it goes.

    Raises UsageError where the target is something other than a bundle.
    """
    if target.exists() and not (target / MANIFEST).is_file():
        raise UsageError(
            f"{target}: is there already and is not a bundle", hint="Choose another -o, or remove it."
        )
    target.parent.mkdir(parents=True, exist_ok=True)
    part = target.with_name(f".{target.name}.{os.getpid()}.part")
    old = target.with_name(f".{target.name}.{os.getpid()}.old")
    shutil.rmtree(part, ignore_errors=True)
    part.mkdir()
    try:
        yield part
        if target.exists():
            target.rename(old)
        part.rename(target)
    finally:
        shutil.rmtree(part, ignore_errors=True)
        if old.exists() and not target.exists():
            old.rename(target)
        shutil.rmtree(old, ignore_errors=True)
