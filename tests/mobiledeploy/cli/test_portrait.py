from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from PIL import Image


@pytest.fixture
def photo(tmp_path: Path) -> Path:
    coarse = np.random.default_rng(0).integers(0, 256, (6, 6, 3), np.uint8)
    Image.fromarray(coarse).resize((120, 90), Image.Resampling.BICUBIC).save(tmp_path / "a.png")
    return tmp_path / "a.png"


@pytest.mark.parametrize("background", ["grey", "blur", "file"])
def test_a_photo(command, tiny_bundle, photo: Path, tmp_path: Path, background: str) -> None:
    background = str(photo) if background == "file" else background
    outcome = command(
        "portrait",
        tiny_bundle.path,
        photo,
        "-o",
        tmp_path / "b.png",
        "--background",
        background,
        "--precision",
        "int8",
    )
    assert outcome.code == 0, outcome.err
    assert outcome.out == ""
    assert f"wrote {tmp_path / 'b.png'}" in outcome.err
    with Image.open(tmp_path / "b.png") as result:
        assert result.size == (120, 90)


def test_on_a_device_as_on_this_computer(
    command, tiny_bundle, photo: Path, phone, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("ANDROID_SERIAL", phone.serial)
    for name, options in (("host", []), ("device", ["--device"]), ("serial", ["-s", phone.serial])):
        outcome = command("portrait", tiny_bundle.path, photo, "-o", tmp_path / f"{name}.png", *options)
        assert outcome.code == 0, outcome.err
    host = np.asarray(Image.open(tmp_path / "host.png"), int)
    for name in ("device", "serial"):
        np.testing.assert_allclose(np.asarray(Image.open(tmp_path / f"{name}.png"), int), host, atol=2)


def test_a_sheet_of_all_variants(command, tiny_bundle, photo: Path, tmp_path: Path) -> None:
    outcome = command("portrait", tiny_bundle.path, photo, "-o", tmp_path / "sheet.png", "--sheet")
    assert outcome.code == 0, outcome.err
    with Image.open(tmp_path / "sheet.png") as sheet:
        assert sheet.width > 4 * 360  # the photo, fp32, fp16, int8
        assert sheet.height > 3 * 270  # result, alpha, error


def test_a_folder_with_a_bad_file_ends_with_1(command, tiny_bundle, photo: Path, tmp_path: Path) -> None:
    folder = tmp_path / "in"
    folder.mkdir()
    photo.rename(folder / "a.png")
    (folder / "bad.jpg").write_bytes(b"broken")
    for options, written in (([], "a.png"), (["--sheet"], "a.png.png")):
        outcome = command(
            "portrait", tiny_bundle.path, folder, "-o", tmp_path / f"out{len(options)}", *options
        )
        assert outcome.code == 1
        assert "1 of 2 files could not be made: bad.jpg" in outcome.err
        assert [path.name for path in (tmp_path / f"out{len(options)}").iterdir()] == [written]


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"source": "nowhere.jpg"}, "nowhere.jpg"),
        ({"bundle": "nowhere"}, "not a bundle"),
        ({"--background": "sepia"}, "sepia"),
        ({"--precision": "fp8"}, "fp8"),
        ({"-o": "b.xyz"}, "b.xyz"),
        ({"-o": "b.mp4"}, "b.mp4"),
        ({"source": "damaged.png"}, "damaged.png"),
    ],
)
def test_bad_requests_end_with_2_and_leave_nothing(
    command,
    tiny_bundle,
    photo: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    changes: dict,
    message: str,
) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "damaged.png").write_bytes(photo.read_bytes()[:200])
    before = sorted(tmp_path.iterdir())
    given = {"bundle": tiny_bundle.path, "source": photo, "-o": "b.png"} | changes
    options = [part for key, value in given.items() if key.startswith("-") for part in (key, value)]
    outcome = command("portrait", given["bundle"], given["source"], *options)
    assert outcome.code == 2, outcome.err
    assert outcome.err.count("error:") == 1
    assert message in outcome.err
    assert "Traceback" not in outcome.err
    assert sorted(tmp_path.iterdir()) == before


def test_an_interrupt_ends_with_130(
    command, tiny_bundle, photo: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def interrupt(*_: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr("mobiledeploy.portrait.pipeline.refine", interrupt)
    outcome = command("portrait", tiny_bundle.path, photo, "-o", tmp_path / "b.png")
    assert outcome.code == 130
    assert sorted(path.name for path in tmp_path.iterdir()) == ["a.png"]
