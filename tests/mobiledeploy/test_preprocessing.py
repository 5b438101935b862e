from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp
from PIL import Image

from mobiledeploy.errors import UsageError
from mobiledeploy.preprocessing import INTERPOLATIONS, Preprocessing, list_images, read_image

REPOSITORY = Path(__file__).resolve().parents[2]
SHARED = REPOSITORY.parent / "shared"

finite = st.floats(-300, 300, width=32)
three = st.tuples(finite, finite, finite)
nonzero = three.filter(all)
images = hnp.arrays(np.uint8, st.tuples(st.integers(1, 9), st.integers(1, 9), st.just(3)))


@st.composite
def preprocessings(draw: st.DrawFn) -> Preprocessing:
    return Preprocessing(
        size=(draw(st.integers(1, 12)), draw(st.integers(1, 12))),
        color=draw(st.sampled_from(["rgb", "bgr"])),
        mean=draw(three),
        scale=draw(nonzero),
        interpolation=draw(st.sampled_from(sorted(INTERPOLATIONS))),
    )


@given(preprocessings())
def test_json_and_back(preprocessing: Preprocessing) -> None:
    text = json.dumps(preprocessing.to_json())
    assert Preprocessing.from_json(json.loads(text)) == preprocessing


@settings(deadline=None)
@given(preprocessings(), images)
def test_tensor_is_the_formula_on_every_pixel(preprocessing: Preprocessing, image: np.ndarray) -> None:
    preprocessing = Preprocessing(**{**vars(preprocessing), "size": image.shape[:2]})
    tensor = preprocessing.tensor(image)
    assert tensor.shape == (1, 3, *image.shape[:2])
    assert tensor.dtype == np.float32
    assert tensor.flags.c_contiguous
    order = {"rgb": (0, 1, 2), "bgr": (2, 1, 0)}[preprocessing.color]
    for channel, source in enumerate(order):
        expected = (
            image[:, :, source].astype(np.float64) - preprocessing.mean[channel]
        ) * preprocessing.scale[channel]
        np.testing.assert_allclose(tensor[0, channel], expected, rtol=1e-5, atol=1e-3)


@settings(deadline=None)
@given(preprocessings(), images)
def test_tensor_has_the_size_and_stays_within_the_range_of_the_pixels(
    preprocessing: Preprocessing, image: np.ndarray
) -> None:
    tensor = preprocessing.tensor(image)
    assert tensor.shape == (1, 3, *preprocessing.size)
    if preprocessing.interpolation == "bicubic":  # overshoots at edges
        return
    plain = Preprocessing(size=preprocessing.size, interpolation=preprocessing.interpolation, scale=(1, 1, 1))
    grey = plain.tensor(image)
    low, high = image.min(axis=(0, 1)), image.max(axis=(0, 1))
    assert (grey >= low[None, :, None, None]).all()
    assert (grey <= high[None, :, None, None]).all()


@settings(deadline=None)
@given(preprocessings(), st.integers(0, 255))
def test_a_picture_of_one_grey_stays_one_grey(preprocessing: Preprocessing, grey: int) -> None:
    image = np.full((7, 5, 3), grey, np.uint8)
    tensor = preprocessing.tensor(image)
    for channel in range(3):
        expected = (grey - preprocessing.mean[channel]) * preprocessing.scale[channel]
        np.testing.assert_allclose(tensor[0, channel], expected, rtol=1e-5, atol=1e-3)


def test_area_averages_blocks() -> None:
    image = np.random.default_rng(0).integers(0, 256, (8, 6, 3), dtype=np.uint8)
    tensor = Preprocessing(size=(4, 3), interpolation="area", scale=(1, 1, 1)).tensor(image)
    blocks = image.reshape(4, 2, 3, 2, 3).mean(axis=(1, 3)).transpose(2, 0, 1)
    assert np.abs(tensor[0] - blocks).max() <= 1.0  # rounded twice: pillow shrinks rows, then columns


def test_bilinear_counts_every_pixel_when_it_shrinks() -> None:
    image = np.zeros((64, 64, 3), np.uint8)
    image[1, 1] = 255  # a filter of two pixels a side, placed at the target pixels, would skip it
    tensor = Preprocessing(size=(8, 8), scale=(1, 1, 1)).tensor(image)
    assert tensor[0, :, 0, 0].min() > 0


def test_golden_input_of_the_trained_network() -> None:
    folder = SHARED / "data/erd_seg_matting"
    if not folder.is_dir():
        pytest.skip("needs ../shared/data/erd_seg_matting")
    preprocessing = Preprocessing.from_toml(REPOSITORY / "models/seg_matting.toml", (256, 256))
    golden = np.load(folder / "golden.npz")["input"]
    np.testing.assert_allclose(preprocessing.load(folder / "golden_input.png"), golden, atol=1e-6)


TOML = """
[network]
input_shape = "1x3x256x256"

[preprocessing]
color = "bgr"
mean = [104, 112.0, 121.0]
scale = 0.5
interpolation = "area"
"""


def test_toml(tmp_path: Path) -> None:
    path = tmp_path / "net.toml"
    path.write_text(TOML)
    expected = Preprocessing((4, 6), "bgr", (104.0, 112.0, 121.0), (0.5, 0.5, 0.5), "area")
    assert Preprocessing.from_toml(path, (4, 6)) == expected


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", r"no table \[preprocessing\]"),
        ("preprocessing = 3", r"no table \[preprocessing\]"),
        ("[preprocessing\n", "can't be read as TOML"),
        ("[preprocessing]\ncolour = 'bgr'", "unknown key 'colour'"),
        ("[preprocessing]\ncolor = 'BGR'", "color must be one of rgb, bgr, not 'BGR'"),
        ("[preprocessing]\nmean = [1, 2]", r"mean must be a number or three of them, not \[1, 2\]"),
        ("[preprocessing]\nmean = ['a', 'b', 'c']", "mean must be a number or three"),
        ("[preprocessing]\nmean = true", "mean must be a number or three"),
        ("[preprocessing]\nmean = nan", "mean must be three finite numbers"),
        ("[preprocessing]\nscale = 0", "scale must not be 0"),
        ("[preprocessing]\nscale = inf", "scale must be three finite numbers"),
        ("[preprocessing]\ninterpolation = 'linear'", "interpolation must be one of bilinear, nearest"),
        ("[preprocessing]\ninterpolation = ['nearest']", "interpolation must be one of"),
        ("[preprocessing]\nsize = [2, 2]", "size does not belong here"),
    ],
)
def test_bad_toml_names_the_file_and_the_key(tmp_path: Path, text: str, message: str) -> None:
    path = tmp_path / "net.toml"
    path.write_text(text)
    with pytest.raises(UsageError, match=message) as caught:
        Preprocessing.from_toml(path, (4, 6))
    assert str(path) in caught.value.message


def test_missing_toml(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="can't be read as TOML"):
        Preprocessing.from_toml(tmp_path / "absent.toml", (4, 6))


@pytest.mark.parametrize(
    "size", [None, [4], [4, 0], [4, -1], [4, 2.5], ["4", "4"], "44", [4, 1 << 20], [True, 1]]
)
def test_bad_size(size: Any) -> None:
    with pytest.raises(UsageError, match="size must be"):
        Preprocessing.from_json({"size": size})


@pytest.mark.parametrize(
    "image", [np.zeros((4, 4), np.uint8), np.zeros((4, 4, 3), np.float32), np.zeros((0, 4, 3), np.uint8)]
)
def test_arrays_that_are_no_pictures(image: Any) -> None:
    with pytest.raises(UsageError, match="must be uint8 of shape HxWx3"):
        Preprocessing(size=(4, 4)).tensor(image)


RED_BLUE = np.array([[[255, 0, 0], [0, 0, 255]]], np.uint8)  # 1 high, 2 wide


def test_exif_orientation_is_applied(tmp_path: Path) -> None:
    exif = Image.Exif()
    exif[0x0112] = 6  # shown turned by 90 degrees clockwise
    Image.fromarray(RED_BLUE).save(tmp_path / "a.png", exif=exif)
    np.testing.assert_array_equal(read_image(tmp_path / "a.png"), RED_BLUE.transpose(1, 0, 2))


def palette(path: Path) -> None:
    Image.fromarray(RED_BLUE).convert("P", palette=Image.Palette.ADAPTIVE).save(path)


def alpha(path: Path) -> None:
    opaque = np.dstack([RED_BLUE, np.array([[255, 255]], np.uint8)])
    Image.fromarray(opaque).save(path)


@pytest.mark.parametrize("write", [lambda p: Image.fromarray(RED_BLUE).save(p), palette, alpha])
def test_modes_that_hold_the_same_colours(tmp_path: Path, write: Callable[[Path], None]) -> None:
    write(tmp_path / "a.png")
    np.testing.assert_array_equal(read_image(tmp_path / "a.png"), RED_BLUE)


def test_transparent_pixels_are_white(tmp_path: Path) -> None:
    pixels = np.array([[[255, 0, 0, 0], [0, 0, 255, 51]]], np.uint8)
    Image.fromarray(pixels).save(tmp_path / "a.png")
    np.testing.assert_array_equal(read_image(tmp_path / "a.png"), [[[255, 255, 255], [204, 204, 255]]])


@pytest.mark.parametrize("suffix", ["png", "tif"])
def test_16_bit_grey_keeps_its_range(tmp_path: Path, suffix: str) -> None:
    grey = np.array([[0, 257, 32896, 65535]], np.uint16)
    Image.fromarray(grey).save(tmp_path / f"a.{suffix}")
    image = read_image(tmp_path / f"a.{suffix}")
    np.testing.assert_array_equal(image[0, :, 0], [0, 1, 128, 255])
    assert (image[:, :, 0] == image[:, :, 2]).all()


def test_grey_and_cmyk(tmp_path: Path) -> None:
    Image.fromarray(np.array([[0, 99]], np.uint8)).save(tmp_path / "a.png")
    np.testing.assert_array_equal(read_image(tmp_path / "a.png"), [[[0] * 3, [99] * 3]])
    Image.new("CMYK", (8, 8), (0, 255, 255, 0)).save(tmp_path / "a.jpg")
    assert np.abs(read_image(tmp_path / "a.jpg")[0, 0].astype(int) - [255, 0, 0]).max() < 12


def truncated_jpeg(path: Path) -> None:
    noise = np.random.default_rng(0).integers(0, 256, (64, 64, 3), dtype=np.uint8)
    Image.fromarray(noise).save(path, format="JPEG")
    path.write_bytes(path.read_bytes()[:800])


def float_tiff(path: Path) -> None:
    Image.fromarray(np.ones((2, 2), np.float32)).save(path, format="TIFF")


def bomb(path: Path) -> None:
    # A PNG header that claims 60000x60000 pixels.
    Image.new("L", (1, 1)).save(path, format="PNG")
    content = bytearray(path.read_bytes())
    content[16:24] = (60000).to_bytes(4, "big") * 2
    import zlib

    content[29:33] = zlib.crc32(content[12:29]).to_bytes(4, "big")
    path.write_bytes(content)


@pytest.mark.parametrize(
    ("write", "message"),
    [
        (lambda p: None, "no such file"),
        (lambda p: p.write_bytes(b""), "not a picture"),
        (lambda p: p.write_bytes(b"<html>"), "not a picture"),
        (truncated_jpeg, "can't be read as a picture.*truncated"),
        (float_tiff, "floating point"),
        (bomb, "too many pixels"),
        (lambda p: p.mkdir(), "can't be read as a picture"),
    ],
)
def test_bad_pictures_are_named(tmp_path: Path, write: Callable[[Path], object], message: str) -> None:
    path = tmp_path / "picture.jpg"
    write(path)
    with pytest.raises(UsageError, match=message) as caught:
        Preprocessing(size=(4, 4)).load(path)
    assert str(path) in caught.value.message


def test_npy_of_a_tensor_is_taken_as_it_is(tmp_path: Path) -> None:
    tensor = np.random.default_rng(0).standard_normal((1, 3, 4, 6)).astype(np.float32)
    preprocessing = Preprocessing(size=(4, 6), mean=(9, 9, 9))
    for name, array in {"a.npy": tensor, "b.npy": tensor[0], "c.npy": np.asfortranarray(tensor)}.items():
        np.save(tmp_path / name, array)
        loaded = preprocessing.load(tmp_path / name)
        np.testing.assert_array_equal(loaded, tensor)
        assert loaded.flags.c_contiguous


def test_npy_of_a_picture_is_preprocessed(tmp_path: Path) -> None:
    np.save(tmp_path / "a.npy", RED_BLUE)
    preprocessing = Preprocessing(size=(1, 2), color="bgr")
    np.testing.assert_array_equal(preprocessing.load(tmp_path / "a.npy"), preprocessing.tensor(RED_BLUE))


def lying_npy(path: Path) -> None:
    np.save(path, np.zeros((1, 3, 4, 4), np.float32))
    path.write_bytes(path.read_bytes().replace(b"(1, 3, 4, 4)", b"(1, 3, 10**9)").replace(b"10**9", b"99999"))


@pytest.mark.parametrize(
    ("write", "message"),
    [
        (lambda p: np.save(p, np.zeros((1, 3, 5, 4), np.float32)), r"float32 of shape \(1, 3, 5, 4\)"),
        (lambda p: np.save(p, np.zeros((1, 3, 4, 4))), "float64 of shape"),
        (lambda p: np.save(p, np.full((1, 3, 4, 4), np.nan, np.float32)), "NaN"),
        (lambda p: np.save(p, np.zeros((4, 4), np.uint8)), "must be uint8 of shape HxWx3"),
        (lambda p: np.save(p, np.array([{"a": 1}], object), allow_pickle=True), "can't be read as a .npy"),
        (lambda p: p.write_bytes(b"\x93NUMPY garbage"), "can't be read as a .npy"),
        (lambda p: p.write_bytes(b""), "can't be read as a .npy"),
        (lambda p: None, "no such file"),
        (lying_npy, "can't be read as a .npy"),
    ],
)
def test_bad_npy_is_named(tmp_path: Path, write: Callable[[Path], object], message: str) -> None:
    path = tmp_path / "input.npy"
    write(path)
    with pytest.raises(UsageError, match=message) as caught:
        Preprocessing(size=(4, 4)).load(path)
    assert str(path) in caught.value.message


def test_folder_in_natural_order_without_mattes(tmp_path: Path) -> None:
    for name in (
        "p10.jpg",
        "p2.JPG",
        "p1.npy",
        "p2_alpha.png",
        ".hidden.jpg",
        "notes.txt",
        "q.webp",
        "3.png",
    ):
        (tmp_path / name).write_bytes(b"x")
    (tmp_path / "folder.png").mkdir()
    assert [path.name for path in list_images(tmp_path)] == ["3.png", "p1.npy", "p2.JPG", "p10.jpg", "q.webp"]


@given(
    st.lists(
        st.text("ab01²9.", min_size=1, max_size=6).filter(lambda n: n.strip(".")), min_size=1, unique=True
    )
)
@settings(deadline=None, max_examples=50)
def test_order_does_not_depend_on_the_file_system(tmp_path_factory: Any, names: list[str]) -> None:
    folder = tmp_path_factory.mktemp("order")
    for name in names:
        (folder / f"x{name}.png").write_bytes(b"")
    listed = [path.name for path in list_images(folder)]
    assert sorted(listed) == sorted(f"x{name}.png" for name in names)


def test_folders_without_pictures(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="no pictures there"):
        list_images(tmp_path)
    with pytest.raises(UsageError, match="no such folder"):
        list_images(tmp_path / "absent")


def test_importing_it_needs_no_torch() -> None:
    script = "import sys, mobiledeploy.preprocessing; assert not {'torch', 'onnx'} & set(sys.modules)"
    subprocess.run([sys.executable, "-c", script], check=True)
