"""ncnn's source: one pinned release from PyPI, fetched the way pip is configured, unpacked once."""

from __future__ import annotations

import hashlib
import os
import shlex
import ssl
import subprocess
import sys
import tarfile
import tempfile
from dataclasses import dataclass, field
from pathlib import Path
from typing import IO, Any

from android_bench.binary import BuildStep, Progress
from android_bench.errors import BuildError

NCNN_DATE = "20261020"
NCNN_VERSION = f"1.0.{NCNN_DATE}"
SDIST_SHA256 = "ad8cdd63e9755cfa8e23b9b6d9ce46156077d80298a89e7c3ba325ffccfca200"

_PYPI = "https://pypi.org/simple"
_SDIST_NAME = f"ncnn-{NCNN_VERSION}.tar.gz"
# The sdist has 5.5 MB, and 60 MB unpacked; a server that sends far more is not sending ncnn.
_MAX_SDIST_BYTES = 64 * 1024 * 1024
_MAX_UNPACKED_BYTES = 512 * 1024 * 1024
_WANTED = ("CMakeLists.txt", "cmake/", "src/")


def unpacked_source(cache_dir: Path, progress: Progress | None = None) -> Path:
    """Return the folder of ncnn's unpacked source, fetched and unpacked if it is not in the cache.

    Raises:
        BuildError: the sdist is not to be had, or is not the pinned one.
    """
    folder = cache_dir / f"ncnn-{NCNN_VERSION}-{SDIST_SHA256[:12]}"
    if folder.is_dir():
        return folder
    cache_dir.mkdir(parents=True, exist_ok=True)
    sdist = cache_dir / _SDIST_NAME
    if not sdist.is_file() or _sha256(sdist) != SDIST_SHA256:
        _fetch(sdist, progress)
    _unpack(sdist, folder)
    return folder


def _sha256(path: Path) -> str:
    digest = hashlib.sha256()
    with path.open("rb") as file:
        while block := file.read(1 << 20):
            digest.update(block)
    return digest.hexdigest()


@dataclass(frozen=True)
class PipSettings:
    """The part of pip's configuration that says where packages come from and how to get there."""

    index_urls: list[str] = field(default_factory=lambda: [_PYPI])
    find_links: list[str] = field(default_factory=list)
    trusted_hosts: list[str] = field(default_factory=list)
    certificate: str | None = None
    proxy: str | None = None
    timeout_s: float = 15.0


def pip_settings() -> PipSettings:
    """Read pip's own configuration: its files as `pip config` merges them, then PIP_* variables."""
    values = _pip_config_files()
    for name, value in os.environ.items():
        if name.startswith("PIP_"):
            values[name[len("PIP_") :].lower().replace("_", "-")] = value
    index_urls = [values.get("index-url", _PYPI), *values.get("extra-index-url", "").split()]
    if values.get("no-index", "").lower() in ("1", "true", "yes", "on"):
        index_urls = []
    return PipSettings(
        index_urls=index_urls,
        find_links=values.get("find-links", "").split(),
        trusted_hosts=values.get("trusted-host", "").split(),
        certificate=values.get("cert"),
        proxy=values.get("proxy"),
        timeout_s=float(values.get("timeout", values.get("default-timeout", "15"))),
    )


def _pip_config_files() -> dict[str, str]:
    """Return `[global]` of pip's merged configuration files; nothing where there is no pip."""
    command = [sys.executable, "-m", "pip", "config", "list"]
    listing = subprocess.run(command, capture_output=True, text=True, check=False).stdout
    values = {}
    for line in listing.splitlines():
        name, separator, value = line.partition("=")
        if separator and name.startswith("global."):
            # pip prints repr() of the string: newlines between several values come as \n.
            values[name[len("global.") :]] = " ".join(shlex.split(value.replace("\\n", " ")))
    return values


def _fetch(target: Path, progress: Progress | None) -> None:
    """Download the sdist to `target`, through a temporary file, after its hash is found right."""
    hint = (
        f"Check the network and pip's index settings (`pip config list`), or put {_SDIST_NAME} from PyPI "
        f"into {target.parent} by hand."
    )
    with tempfile.TemporaryDirectory(dir=target.parent, prefix=".fetch-") as folder:
        part = Path(folder) / _SDIST_NAME
        try:
            _download(part, pip_settings(), progress)
        except BuildError as error:
            raise BuildError(error.message, hint=hint) from error
        except Exception as error:  # whatever the index, the proxy or the HTTP library come up with
            raise BuildError(
                f"ncnn's source {_SDIST_NAME} could not be fetched: {error}", hint=hint
            ) from error
        found = _sha256(part)
        if found != SDIST_SHA256:
            raise BuildError(
                f"{_SDIST_NAME} as fetched has the sha256 {found}, not the pinned {SDIST_SHA256}",
                hint="The index served another file. Nothing of it was used; check where pip's index points.",
            )
        part.replace(target)


def _download(target: Path, settings: PipSettings, progress: Progress | None) -> None:
    from unearth import PackageFinder
    from unearth.fetchers import PyPIClient

    options: dict[str, Any] = {"trusted_hosts": settings.trusted_hosts, "timeout": settings.timeout_s}
    if settings.certificate:
        options["verify"] = ssl.create_default_context(cafile=settings.certificate)
    if settings.proxy:
        options["proxy"] = settings.proxy
    with PyPIClient(follow_redirects=True, **options) as client:
        finder = PackageFinder(
            client,
            index_urls=settings.index_urls,
            find_links=settings.find_links,
            trusted_hosts=settings.trusted_hosts,
            no_binary=["ncnn"],
        )
        best = finder.find_best_match(f"ncnn=={NCNN_VERSION}").best
        if best is None:
            raise BuildError(f"no configured package index has the source of ncnn {NCNN_VERSION}")
        with client.get_stream(best.link.normalized) as response, target.open("wb") as file:
            response.raise_for_status()
            _copy(response, file, progress)


def _copy(response: Any, file: IO[bytes], progress: Progress | None) -> None:
    total = int(response.headers.get("content-length", 0))
    done = 0
    for block in response.iter_bytes(1 << 16):
        done += len(block)
        if done > _MAX_SDIST_BYTES:
            raise BuildError(f"{_SDIST_NAME} as served is larger than {_MAX_SDIST_BYTES} bytes")
        file.write(block)
        if progress:
            progress(BuildStep("fetch", done, max(total, done)))


def _unpack(sdist: Path, folder: Path) -> None:
    """Unpack the parts of the library that a build needs, all of them or nothing."""
    with tempfile.TemporaryDirectory(dir=folder.parent, prefix=".unpack-") as temporary:
        staging = Path(temporary) / folder.name
        try:
            with tarfile.open(sdist) as archive:
                _extract_wanted(archive, staging)
        except (tarfile.TarError, OSError, EOFError) as error:
            raise BuildError(
                f"{sdist} could not be unpacked: {error}", hint=f"Delete {sdist} and try again."
            ) from error
        try:
            staging.rename(folder)
        except OSError:
            if not folder.is_dir():  # else another process was faster, with the same content
                raise


def _extract_wanted(archive: tarfile.TarFile, folder: Path) -> None:
    """Write the wanted regular files below `folder`; links, devices and odd paths have no place here."""
    root = _SDIST_NAME.removesuffix(".tar.gz") + "/"
    unpacked = 0
    for member in archive:
        name = member.name.removeprefix(root)
        if not member.isreg() or not member.name.startswith(root) or not name.startswith(_WANTED):
            continue
        if ".." in Path(name).parts:
            raise BuildError(f"{_SDIST_NAME} holds the path {member.name}, which leaves its folder")
        unpacked += member.size
        if unpacked > _MAX_UNPACKED_BYTES:
            raise BuildError(f"{_SDIST_NAME} unpacks to more than {_MAX_UNPACKED_BYTES} bytes")
        target = folder / name
        target.parent.mkdir(parents=True, exist_ok=True)
        content = archive.extractfile(member)
        if content is not None:  # never None for a regular file
            target.write_bytes(content.read())
