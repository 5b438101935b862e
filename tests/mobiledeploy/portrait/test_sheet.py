from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from mobiledeploy.errors import UsageError
from mobiledeploy.portrait import HostNetwork, contact_sheet, write_sheet
from mobiledeploy.portrait.compose import grey


class Shifted:
    """The network with all of its alphas moved by as much."""

    batch = workers = 1

    def __init__(self, network: HostNetwork, shift: float) -> None:
        self.network, self.shift = network, shift

    def alphas(self, pictures):
        return self.network.alphas(pictures) + np.float32(self.shift)


@pytest.mark.parametrize("size", [(160, 120), (60, 200), (1000, 700)])
def test_a_column_for_the_photo_and_one_a_variant(network, media, size: tuple[int, int]) -> None:
    picture = Image.fromarray(media.scene()).resize(size)
    one, two, three = (
        contact_sheet(dict.fromkeys(names, network), picture, grey)
        for names in (["fp32"], ["fp32", "int8"], ["fp32", "int8", "mixed"])
    )
    column = three.width - two.width
    assert column >= min(360, 360 * size[0] // size[1])
    assert two.width == 3 * column + 12
    assert three.height == two.height > one.height  # fp32 alone has no error map
    assert two.height > 3 * round(360 * size[1] / max(size))


@pytest.mark.parametrize(
    ("shift", "colour"),
    [(0, (0, 0, 0)), (-1 / 12, (255, 0, 0)), (-1 / 6, (255, 255, 0)), (-0.3, (255, 255, 255))],
)
def test_the_error_map_shows_how_far_a_variant_is_off(network, media, shift: float, colour) -> None:
    picture = Image.fromarray(media.scene())
    sheet = contact_sheet({"fp32": network, "int8": Shifted(network, shift)}, picture, grey)
    lowest_row = sheet.crop(
        (sheet.width - 12 - 360, sheet.height - 38 - 270, sheet.width - 12, sheet.height - 38)
    )
    np.testing.assert_allclose(np.asarray(lowest_row)[100, 40], colour, atol=1)


def test_it_is_written_as_png(network, media, tmp_path: Path) -> None:
    Image.fromarray(media.scene()).save(tmp_path / "a.jpg")
    made = write_sheet(tmp_path / "a.jpg", tmp_path / "b.png", {"fp32": network}, grey)
    with Image.open(made.path) as sheet:
        assert sheet.format == "PNG"
    with pytest.raises(UsageError, match=r"b\.jpg"):
        write_sheet(tmp_path / "a.jpg", tmp_path / "b.jpg", {"fp32": network}, grey)
