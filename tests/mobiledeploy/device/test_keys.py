from __future__ import annotations

import stat
import subprocess
from pathlib import Path

import adbutils
import pytest
from adb_shell.auth.keygen import keygen
from adb_shell.auth.sign_cryptography import CryptographySigner

from mobiledeploy.device.keys import decode_public_key, load_signers
from mobiledeploy.errors import DeviceError


def environment(home: Path, **more: str) -> dict[str, str]:
    return {"HOME": str(home), **more}


def test_a_key_is_made_where_adb_keeps_it(tmp_path: Path) -> None:
    (signer,) = load_signers(environment(tmp_path))
    key = tmp_path / ".android/adbkey"
    assert stat.S_IMODE(key.stat().st_mode) == 0o600
    assert sorted(path.name for path in key.parent.iterdir()) == ["adbkey", "adbkey.pub"]
    assert key.with_name("adbkey.pub").read_bytes().strip() == signer.GetPublicKey()
    before = key.read_bytes()
    load_signers(environment(tmp_path))
    assert key.read_bytes() == before


def test_public_keys_and_signatures_are_adb_shells(tmp_path: Path) -> None:
    (tmp_path / ".android").mkdir()
    path = str(tmp_path / ".android/adbkey")
    keygen(path)
    (ours,) = load_signers(environment(tmp_path))
    theirs = CryptographySigner(path)
    assert ours.GetPublicKey().split()[0] == theirs.GetPublicKey().split()[0]
    token = bytes(range(20))
    assert ours.Sign(token) == theirs.Sign(token)


def test_google_adb_reads_the_key_that_was_made(tmp_path: Path) -> None:
    try:
        adb = adbutils.adb_path()
    except adbutils.AdbError as error:
        pytest.skip(f"no adb program for this platform: {error}")
    (signer,) = load_signers(environment(tmp_path))
    completed = subprocess.run(
        [adb, "pubkey", str(tmp_path / ".android/adbkey")], capture_output=True, check=True
    )
    assert completed.stdout.split()[0] == signer.GetPublicKey().split()[0]


def test_vendor_keys_are_files_and_folders(tmp_path: Path) -> None:
    folder = tmp_path / "vendor"
    folder.mkdir()
    for path in (tmp_path / "single", folder / "a.adb_key", folder / "b.adb_key", folder / "ignored.txt"):
        keygen(str(path))
    (folder / "broken.adb_key").write_text("not a key")
    setting = f"{tmp_path / 'single'}:{folder}:{tmp_path / 'none'}:"
    signers = load_signers(environment(tmp_path, ADB_VENDOR_KEYS=setting))
    paths = [tmp_path / ".android/adbkey", tmp_path / "single", folder / "a.adb_key", folder / "b.adb_key"]
    expected = [path.with_name(path.name + ".pub").read_bytes().split()[0] for path in paths]
    assert [signer.GetPublicKey().split()[0] for signer in signers] == expected


@pytest.mark.parametrize(
    "content", ["", "not a key", "-----BEGIN PRIVATE KEY-----\nAAAA\n-----END PRIVATE KEY-----\n"]
)
def test_a_broken_key_is_named(tmp_path: Path, content: str) -> None:
    (tmp_path / ".android").mkdir()
    (tmp_path / ".android/adbkey").write_text(content)
    with pytest.raises(DeviceError, match=r"can't use the ADB key .*adbkey"):
        load_signers(environment(tmp_path))


def test_a_home_that_takes_no_key(tmp_path: Path) -> None:
    (tmp_path / ".android").touch()
    with pytest.raises(DeviceError, match="can't use the ADB key"):
        load_signers(environment(tmp_path))


@pytest.mark.parametrize("text", [b"", b"\0", b"!!!", b"QUJD user@host", b"A" * 699])
def test_what_is_no_public_key(text: bytes) -> None:
    with pytest.raises(ValueError, match="public key"):
        decode_public_key(text)
