"""The RSA keys by which a phone knows a computer: adb's own files, and Android's public key format.

A public key goes over the wire as base64 of a C struct, then a space and a comment. The struct
(AOSP system/core/libcrypto_utils/android_pubkey.cpp) holds, little-endian: the modulus's size in
32-bit words, -1/n mod 2^32, the modulus n, R^2 mod n with R = 2^2048, and the exponent.
"""

from __future__ import annotations

import base64
import binascii
import getpass
import os
import socket
import struct
import tempfile
from collections.abc import Mapping
from pathlib import Path

from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import padding, rsa, utils

from mobiledeploy.errors import DeviceError

MODULUS_BYTES = 2048 // 8
_PUBLIC_KEY = struct.Struct(f"<2I{MODULUS_BYTES}s{MODULUS_BYTES}sI")


class Signer:
    """One private key, in the form that adb-shell asks for (its method names are adb-shell's)."""

    def __init__(self, key: rsa.RSAPrivateKey, comment: str) -> None:
        self._key = key
        self._comment = comment

    def Sign(self, data: bytes) -> bytes:  # noqa: N802
        """Sign a 20-byte token, which ADB treats as if it were a SHA-1 digest."""
        return self._key.sign(bytes(data), padding.PKCS1v15(), utils.Prehashed(hashes.SHA1()))  # noqa: S303

    def GetPublicKey(self) -> bytes:  # noqa: N802
        """Return the public key as adbkey.pub holds it."""
        return encode_public_key(self._key.public_key(), self._comment)


def encode_public_key(key: rsa.RSAPublicKey, comment: str) -> bytes:
    """Return a 2048-bit key in Android's format, with `comment` behind it."""
    numbers = key.public_numbers()
    n0inv = -pow(numbers.n, -1, 1 << 32) % (1 << 32)
    rr = pow(1 << (8 * MODULUS_BYTES), 2, numbers.n)
    packed = _PUBLIC_KEY.pack(
        MODULUS_BYTES // 4,
        n0inv,
        numbers.n.to_bytes(MODULUS_BYTES, "little"),
        rr.to_bytes(MODULUS_BYTES, "little"),
        numbers.e,
    )
    return base64.b64encode(packed) + b" " + comment.encode()


def decode_public_key(text: bytes) -> rsa.RSAPublicKey:
    """Read a key in Android's format; raises ValueError where it is none."""
    fields = text.rstrip(b"\0").split(maxsplit=1)
    if not fields:
        raise ValueError("an empty public key")
    try:
        packed = base64.b64decode(fields[0], validate=True)
    except binascii.Error as error:
        raise ValueError("a public key that is not base64") from error
    if len(packed) != _PUBLIC_KEY.size:
        raise ValueError(f"a public key of {len(packed)} bytes where Android's have {_PUBLIC_KEY.size}")
    words, _, modulus, _, exponent = _PUBLIC_KEY.unpack(packed)
    if words != MODULUS_BYTES // 4:
        raise ValueError("a public key that is not of 2048 bits")
    return rsa.RSAPublicNumbers(exponent, int.from_bytes(modulus, "little")).public_key()


def load_signers(environment: Mapping[str, str] = os.environ) -> list[Signer]:
    """Return the user's key and the vendor keys; makes ~/.android/adbkey where there is none.

    `ADB_VENDOR_KEYS` lists files, or folders with *.adb_key files, as adb reads it. Raises
    DeviceError for the user's key where it can't be read or made; a bad vendor key is passed over,
    as adb does.
    """
    user_key = Path(environment.get("HOME") or Path.home()) / ".android" / "adbkey"
    try:
        if not user_key.exists():
            _make_key(user_key)
        signers = [_load(user_key)]
    except (OSError, ValueError, UnsupportedAlgorithm) as error:
        raise DeviceError(
            f"can't use the ADB key {user_key}: {error}",
            hint="Move the file away and run again: a new key is made.",
        ) from error
    for path in _vendor_keys(environment.get("ADB_VENDOR_KEYS", "")):
        try:
            signers.append(_load(path))
        except (OSError, ValueError, UnsupportedAlgorithm):
            continue
    return signers


def _vendor_keys(setting: str) -> list[Path]:
    paths = []
    for entry in filter(None, setting.split(os.pathsep)):
        path = Path(entry)
        paths += sorted(path.glob("*.adb_key")) if path.is_dir() else [path]
    return paths


def _load(path: Path) -> Signer:
    key = serialization.load_pem_private_key(path.read_bytes(), password=None)
    if not isinstance(key, rsa.RSAPrivateKey) or key.key_size != 8 * MODULUS_BYTES:
        raise ValueError("not an RSA key of 2048 bits")
    return Signer(key, _comment())


def _comment() -> str:
    """Return USER@HOST, which the phone shows when it asks whether to trust this computer."""
    try:
        user = getpass.getuser()
    except (OSError, KeyError):  # no such user in the password file, as in some containers
        user = "unknown"
    return f"{user}@{socket.gethostname()}"


def _make_key(path: Path) -> None:
    """Write a new key pair; the private half is never readable by others, nor ever half there."""
    key = rsa.generate_private_key(public_exponent=65537, key_size=8 * MODULUS_BYTES)
    pem = key.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    )
    path.parent.mkdir(mode=0o750, parents=True, exist_ok=True)
    _write(path.with_name(path.name + ".pub"), encode_public_key(key.public_key(), _comment()) + b"\n", 0o644)
    _write(path, pem, 0o600)


def _write(path: Path, content: bytes, mode: int) -> None:
    descriptor, name = tempfile.mkstemp(dir=path.parent, prefix=path.name)  # made with mode 0600
    temporary = Path(name)
    try:
        with os.fdopen(descriptor, "wb") as file:
            file.write(content)
        temporary.chmod(mode)
        temporary.replace(path)
    except BaseException:
        temporary.unlink(missing_ok=True)
        raise
