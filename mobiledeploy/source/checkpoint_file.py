"""What kind of checkpoint a file is, found from its bytes without unpickling anything.

Formats: torch.save's zip archive (since torch 1.6), torch.save's older pickle stream, and safetensors.
Everything else gets an error that says what the file seems to be instead.
"""

from __future__ import annotations

import io
import pickle
import pickletools
import struct
import zipfile
import zlib
from enum import Enum
from pathlib import Path

from mobiledeploy.errors import ConversionError, UsageError

# torch.serialization.MAGIC_NUMBER, pickled with protocol 2: the first bytes of the older format.
_LEGACY_START = pickle.dumps(0x1950A86A20F9469CFC6C, protocol=2)
# The older format is a sequence of pickles: magic number, protocol version, system facts, and the object.
_LEGACY_OBJECT_INDEX = 3

# torch stores its records uncompressed, so an honest archive expands to less than its own size. The margin
# leaves room for archives that were packed again; what expands beyond it is refused before it is read.
_MAX_EXPANSION = 4
_EXPANSION_ALLOWANCE = 64 << 20
# The pickle inside names tensors and holds no weights: tens of KB for hundreds of tensors.
_MAX_PICKLE_BYTES = 64 << 20

_SAFETENSORS_MAX_HEADER = 100_000_000  # bytes; the limit of the safetensors library itself

# What Python's readers of zip archives and pickles raise on damaged, encrypted or oddly compressed files.
_DAMAGED = (
    zipfile.BadZipFile,
    zlib.error,
    struct.error,
    ValueError,
    LookupError,
    EOFError,
    OSError,
    RuntimeError,
)

_WEIGHTS_HINT = "Expected: a file written by torch.save(model.state_dict(), PATH), or safetensors."


class CheckpointFormat(Enum):
    """What a checkpoint file can be; TorchScript is known so that its error can say so."""

    ZIP = "torch zip archive"
    LEGACY = "torch pickle stream"
    SAFETENSORS = "safetensors"
    TORCHSCRIPT = "TorchScript archive"


def identify(path: Path) -> CheckpointFormat:
    """Return the format of the checkpoint at `path`.

    Raises:
        UsageError: there is no such file, or it can't be read.
        ConversionError: it is empty, truncated, expands beyond reason, or is no checkpoint at all.
    """
    if not path.exists():
        raise UsageError(f"{path}: no such file", hint="Give the path of a checkpoint, e.g. ckpt.pth.")
    if path.is_dir():
        raise UsageError(f"{path}: is a folder, not a checkpoint", hint=_WEIGHTS_HINT)
    try:
        with path.open("rb") as file:
            head = file.read(512)
    except OSError as error:
        raise UsageError(f"{path}: can't be read: {error.strerror}") from error
    size = path.stat().st_size
    if not head:
        raise ConversionError(f"{path}: the file is empty", hint="Copy or download it again.")
    if head.startswith(b"PK"):
        return _identify_zip(path, size)
    if head.startswith(_LEGACY_START):
        return CheckpointFormat.LEGACY
    if _is_safetensors(head, size):
        return CheckpointFormat.SAFETENSORS
    raise _not_a_checkpoint(path, head)


def globals_named(path: Path, kind: CheckpointFormat) -> list[str]:
    """Return the classes and functions (`module.name`) that the file's pickle asks for, sorted.

    The pickle is disassembled, not run. A pickle too broken to read gives what was found before the break.
    """
    try:
        if kind is CheckpointFormat.ZIP:
            with zipfile.ZipFile(path) as archive:
                record = _pickle_record(archive)
                return sorted(_globals_in_pickle(io.BytesIO(archive.read(record)))) if record else []
        if kind is CheckpointFormat.LEGACY:
            with path.open("rb") as file:
                content = io.BytesIO(file.read(min(path.stat().st_size, _MAX_PICKLE_BYTES)))
            for _ in range(_LEGACY_OBJECT_INDEX):
                _globals_in_pickle(content)
            return sorted(_globals_in_pickle(content))
    except _DAMAGED:
        pass  # torch's own reader gives the error
    return []


def _identify_zip(path: Path, size: int) -> CheckpointFormat:
    try:
        archive = zipfile.ZipFile(path)
    except _DAMAGED as error:
        raise ConversionError(
            f"{path}: the archive is truncated or damaged ({error})", hint="Copy or download it again."
        ) from error
    with archive:
        records = archive.infolist()
        expanded = sum(record.file_size for record in records)
        if expanded > _MAX_EXPANSION * size + _EXPANSION_ALLOWANCE:
            raise ConversionError(
                f"{path}: refused, a file of {size} bytes that claims to expand to {expanded} bytes",
                hint="torch.save does not compress; save the checkpoint again with torch.save.",
            )
        names = {record.filename for record in records}
        if any(name.endswith("/constants.pkl") for name in names):
            return CheckpointFormat.TORCHSCRIPT
        pickle_record = _pickle_record(archive)
        if pickle_record is None:
            raise ConversionError(
                f"{path}: a zip archive, but not one that torch.save wrote (it holds no data.pkl)",
                hint=_WEIGHTS_HINT,
            )
        if pickle_record.file_size > _MAX_PICKLE_BYTES:
            raise ConversionError(f"{path}: refused, its data.pkl has {pickle_record.file_size} bytes")
    return CheckpointFormat.ZIP


def _pickle_record(archive: zipfile.ZipFile) -> zipfile.ZipInfo | None:
    for record in archive.infolist():
        if record.filename.count("/") == 1 and record.filename.endswith("/data.pkl"):
            return record
    return None


def _globals_in_pickle(file: io.BytesIO) -> set[str]:
    """Read one pickle from memory: whatever length it claims, no more than what is there is read."""
    found: set[str] = set()
    try:
        for opcode, argument, _ in pickletools.genops(file):
            name = str(argument).replace(" ", ".")
            if opcode.name == "GLOBAL" and all(part.isidentifier() for part in name.split(".")):
                found.add(name)
    except _DAMAGED:
        pass
    return found


def _is_safetensors(head: bytes, size: int) -> bool:
    # Eight bytes of header length (little endian), then a JSON object: the safetensors format.
    header = int.from_bytes(head[:8], "little")
    return head[8:9] == b"{" and 2 <= header <= min(size - 8, _SAFETENSORS_MAX_HEADER)


def _not_a_checkpoint(path: Path, head: bytes) -> ConversionError:
    text = head.lstrip()
    if text.startswith(b"version https://git-lfs"):
        return ConversionError(
            f"{path}: a Git LFS pointer, not the file itself", hint="Fetch the file: git lfs pull."
        )
    if text[:1] == b"<":
        return ConversionError(
            f"{path}: a web page (HTML or XML), not a checkpoint",
            hint="The download gave a page instead of the file: download it again, signed in if need be.",
        )
    if head.startswith(b"\x80"):
        return ConversionError(
            f"{path}: a plain pickle, which torch.save did not write; refused without reading it",
            hint=_WEIGHTS_HINT,
        )
    if b"ustar" in head:
        return ConversionError(
            f"{path}: a tar archive (unpack it, or it was written by a torch older than 0.2)",
            hint=_WEIGHTS_HINT,
        )
    if all(byte >= 32 or byte in b"\t\r\n" for byte in head):
        return ConversionError(f"{path}: a text file, not a checkpoint", hint=_WEIGHTS_HINT)
    return ConversionError(f"{path}: not a checkpoint (unknown format)", hint=_WEIGHTS_HINT)
