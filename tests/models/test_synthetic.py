"""The generator: the same picture for the same seed, exact alphas, variety, whole files."""

from __future__ import annotations

import numpy as np
import pytest
from PIL import Image

from models.synthetic import portrait, scene, write_portraits
from models.synthetic.__main__ import main
from models.synthetic.canvas import Canvas, Layers, blurred, ellipse, limb, smoothed


@pytest.fixture
def canvas() -> Canvas:
    return Canvas(64, 1.5, np.random.default_rng(0))


def test_a_seed_gives_the_same_picture_whatever_came_before():
    first, alpha = portrait(7, 64)
    np.random.seed(1)
    portrait(8, 64)
    again, alpha_again = portrait(7, 64)
    np.testing.assert_array_equal(first, again)
    np.testing.assert_array_equal(alpha, alpha_again)
    assert not np.array_equal(first, portrait(8, 64)[0])


@pytest.mark.parametrize("size", [32, 100, 256])
def test_types_and_ranges(size):
    picture, alpha = portrait(3, size)
    assert picture.shape == (size, size, 3)
    assert picture.dtype == np.uint8
    assert alpha.shape == (size, size)
    assert alpha.dtype == np.float32
    assert alpha.min() >= 0
    assert alpha.max() <= 1


@pytest.mark.parametrize("seed", range(20, 26))
def test_scene_is_the_background_where_alpha_is_0_and_the_person_where_it_is_1(seed):
    made = scene(seed, 128)
    picture = made.composite()
    nowhere, everywhere = made.alpha == 0, made.alpha == 1
    assert everywhere.any()
    np.testing.assert_array_equal(picture[nowhere], made.background[nowhere])
    np.testing.assert_array_equal(picture[everywhere], made.person[everywhere])
    # Multiplied by alpha, so never brighter than it: the composite is a true mixture of two colours.
    assert (made.person <= made.alpha[..., None]).all()
    assert picture.min() >= 0
    assert picture.max() <= 1 + 1e-6


def test_layers_compose_as_if_painted_one_by_one_on_the_background():
    rng = np.random.default_rng(0)
    background = rng.random((8, 8, 3), dtype=np.float32)
    layers, painted = Layers(8), background.copy()
    for _ in range(6):
        mask = rng.random((8, 8), dtype=np.float32) * (rng.random((8, 8)) < 0.5)
        colour = rng.random(3)
        layers.paint(mask, colour)
        painted = mask[..., None] * colour + (1 - mask[..., None]) * painted
    composite = layers.colour + (1 - layers.alpha[..., None]) * background
    np.testing.assert_allclose(composite, painted, atol=1e-6)


def test_painting_agrees_with_pillow():
    rng = np.random.default_rng(1)
    base = Image.new("RGBA", (16, 16))
    layers = Layers(16)
    for _ in range(3):
        mask, colour = (
            rng.integers(0, 256, (16, 16)).astype(np.uint8),
            rng.integers(0, 256, 3).astype(np.uint8),
        )
        layers.paint(mask.astype(np.float32) / 255, colour / 255)
        base.alpha_composite(Image.fromarray(np.dstack([np.broadcast_to(colour, (16, 16, 3)), mask])))
    theirs = np.asarray(base).astype(np.float32) / 255
    np.testing.assert_allclose(layers.alpha, theirs[..., 3], atol=0.01)
    np.testing.assert_allclose(layers.colour, theirs[..., :3] * theirs[..., 3:], atol=0.015)


def test_tint_leaves_alpha_alone_and_paints_nothing_beyond_it():
    layers = Layers(4)
    layers.paint(np.eye(4, dtype=np.float32), (1, 0, 0))
    layers.tint(np.ones((4, 4), np.float32), (0, 1, 0))
    np.testing.assert_array_equal(layers.alpha, np.eye(4))
    np.testing.assert_array_equal(layers.colour[..., 1], np.eye(4))
    assert not layers.colour[..., [0, 2]].any()


def test_an_empty_mask_paints_nothing():
    layers = Layers(4)
    layers.paint(np.zeros((4, 4), np.float32), (1, 1, 1))
    assert not layers.alpha.any()


def test_masks_are_anti_aliased(canvas):
    radius = 0.3
    mask = canvas.polygons(ellipse(0.75, 0.5, radius, radius, points=200))
    area = float(mask.mean()) * canvas.aspect  # in units of the photo's height, squared
    assert area == pytest.approx(np.pi * radius**2, rel=0.02)
    assert ((mask > 0) & (mask < 1)).sum() > 40


def test_a_polygon_out_of_the_picture_is_empty(canvas):
    assert not canvas.polygons([(5, 5), (6, 5), (6, 6)]).any()


def test_a_limb_covers_its_joints_and_nothing_far_from_them(canvas):
    mask = canvas.polygons(*limb([(0.3, 0.3), (0.9, 0.6)], [0.08, 0.04]))
    assert mask[int(0.3 * 64), int(0.3 / 1.5 * 64)] == 1
    assert mask[int(0.45 * 64), int(0.6 / 1.5 * 64)] == 1
    assert mask[-5:].max() == 0


def test_smoothing_cuts_corners_inwards():
    square = [(0, 0), (1, 0), (1, 1), (0, 1)]
    smooth = smoothed(square, 3)
    assert smooth.shape == (32, 2)
    assert smooth.min() >= 0
    assert smooth.max() <= 1
    assert np.hypot(*(smooth - 0.5).T).max() < np.hypot(0.5, 0.5)


def test_blur_keeps_the_mean_and_lowers_the_contrast(canvas):
    noise = canvas.rng.random((64, 64)).astype(np.float32)
    soft = blurred(noise, 2)
    assert soft.mean() == pytest.approx(noise.mean(), abs=0.01)
    assert soft.std() < 0.3 * noise.std()
    assert blurred(noise, 0) is noise


def test_pictures_are_varied():
    made = [portrait(seed, 64) for seed in range(500, 560)]
    areas = np.array([alpha.mean() for _, alpha in made])
    assert np.count_nonzero(areas == 0) <= 8  # sometimes there is nobody
    present = areas[areas > 0]
    assert present.min() < 0.2
    assert present.max() > 0.5
    means = np.array([picture.mean() for picture, _ in made])
    assert means.std() > 20
    grey = [np.ptp(picture.astype(int), axis=2).max() < 12 for picture, _ in made]
    assert 1 <= sum(grey) <= 25
    partial = np.array([((alpha > 0.02) & (alpha < 0.98)).mean() for _, alpha in made])
    assert np.median(partial[areas > 0]) > 0.02  # hair and soft edges


def test_person_and_background_differ_for_a_network_to_learn(canvas):
    differences = []
    for seed in range(600, 620):
        picture, alpha = portrait(seed, 64)
        if alpha.any():
            inside, outside = picture[alpha > 0.9], picture[alpha < 0.1]
            differences.append(np.abs(inside.mean(axis=0) - outside.mean(axis=0)).mean())
    assert np.median(differences) > 15
    assert min(differences) < 15  # some clothes match what is behind them


def test_written_portraits_are_pairs_of_whole_files(tmp_path):
    folder = tmp_path / "new" / "folder"
    paths = write_portraits(folder, 3, seed=40, size=64)
    assert [path.name for path in paths] == [
        "portrait_000040.jpg",
        "portrait_000041.jpg",
        "portrait_000042.jpg",
    ]
    assert sorted(folder.iterdir()) == sorted([*paths, *(p.with_name(f"{p.stem}_alpha.png") for p in paths)])
    picture, alpha = portrait(41, 64)
    stored = np.asarray(Image.open(paths[1])).astype(int)
    assert np.abs(stored - picture).mean() < 6
    matte = Image.open(folder / "portrait_000041_alpha.png")
    assert matte.mode == "L"
    np.testing.assert_array_equal(np.asarray(matte), np.rint(alpha * 255))


def test_a_picture_that_cannot_be_written_leaves_nothing_under_its_name(tmp_path):
    (tmp_path / ".portrait_000001.jpg.partial").mkdir()  # in the way of the temporary file
    with pytest.raises(OSError, match="portrait_000001"):
        write_portraits(tmp_path, 1, seed=1, size=32)
    assert not (tmp_path / "portrait_000001.jpg").exists()


def test_the_command_draws_into_a_folder(tmp_path):
    main([str(tmp_path / "drawn"), "--count", "2", "--seed", "5", "--size", "32"])
    names = sorted(path.name for path in (tmp_path / "drawn").iterdir())
    assert names == [f"portrait_00000{n}{end}" for n in (5, 6) for end in (".jpg", "_alpha.png")]


def test_a_folder_that_cannot_be_made_is_an_error_in_one_line(tmp_path, capsys):
    (tmp_path / "file").write_text("")
    with pytest.raises(SystemExit) as stop:
        main([str(tmp_path / "file" / "drawn"), "--count", "1"])
    assert stop.value.code == 1
    assert "file" in capsys.readouterr().err
