"""A contact sheet: what each variant of a bundle makes of one photo, and where it differs from fp32."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import numpy as np
from PIL import Image, ImageDraw, ImageFont

from mobiledeploy.arrays import FloatArray
from mobiledeploy.metrics import mask_iou, max_abs, mean_abs
from mobiledeploy.portrait.compose import Background
from mobiledeploy.portrait.network import Network
from mobiledeploy.portrait.photo import Photo, read_photo, write_photo
from mobiledeploy.portrait.pipeline import Made, require_suffix
from mobiledeploy.portrait.refine import refine

REFERENCE = "fp32"
_TILE = 360  # long side of each picture, in pixels
_GAP = 12
_PAPER = "gainsboro"  # neither the white nor the black of an alpha
_TEXT = 14  # height of letters
_LABEL = 2 * _TEXT + _GAP
_ERROR_FULL = 0.25  # |difference of alpha| that is shown white


def write_sheet(source: Path, target: Path, networks: Mapping[str, Network], background: Background) -> Made:
    """Write the contact sheet of a photo as PNG; UsageError where that can't be read, or the target is no .png."""
    require_suffix(target, (".png",), "a contact sheet")
    sheet = contact_sheet(networks, read_photo(source).picture, background)
    write_photo(Photo(sheet, None), target)
    return Made(target, 1)


def contact_sheet(
    networks: Mapping[str, Network], picture: Image.Image, background: Background
) -> Image.Image:
    """Return a sheet with a column for the photo and one for each network: its result, its alpha, its error.

    `networks` has "fp32", which the others are compared with, as the network's own alphas, before they are refined.
    """
    alphas = {name: network.alphas([picture]) for name, network in networks.items()}
    size = _fit(picture.size)
    columns = [("the photo", "", [picture.resize(size, Image.Resampling.LANCZOS)])]
    for name, alpha in alphas.items():
        refined = refine(alpha[0], picture)
        result = background(picture, refined)
        tiles = [image.resize(size, Image.Resampling.LANCZOS) for image in (result, refined.convert("RGB"))]
        figures = "what the others are compared with"
        if name != REFERENCE:
            tiles.append(_error_map(alpha[0], alphas[REFERENCE][0], size))
            figures = _figures(alpha, alphas[REFERENCE])
        columns.append((name, figures, tiles))
    return _lay_out(columns, size)


def _fit(size: tuple[int, int]) -> tuple[int, int]:
    scale = _TILE / max(size)
    return max(1, round(size[0] * scale)), max(1, round(size[1] * scale))


def _figures(alpha: FloatArray, reference: FloatArray) -> str:
    return (
        f"IoU {mask_iou(alpha, reference):.4f}, error mean {mean_abs(alpha, reference):.4f}, "
        f"max {max_abs(alpha, reference):.3f}"
    )


def _error_map(alpha: FloatArray, reference: FloatArray, size: tuple[int, int]) -> Image.Image:
    """Return |alpha - reference| as a picture: black is equal, then red, yellow, and white from _ERROR_FULL on."""
    error = np.abs(alpha - reference) / _ERROR_FULL
    ramps = np.clip(3 * error[..., None] - np.arange(3), 0, 1)
    colours = np.round(255 * ramps).astype(np.uint8)
    return Image.fromarray(colours).resize(size, Image.Resampling.NEAREST)


def _lay_out(columns: list[tuple[str, str, list[Image.Image]]], tile: tuple[int, int]) -> Image.Image:
    """Put columns of (title, figures, pictures) side by side."""
    font = ImageFont.load_default(_TEXT)
    texts = [text for title, figures, _ in columns for text in (title, figures)]
    width = max(tile[0], *(round(font.getlength(text)) for text in texts))
    rows = max(len(tiles) for _, _, tiles in columns)
    sheet_size = (
        _GAP + len(columns) * (width + _GAP),
        _GAP + _LABEL + rows * (tile[1] + _GAP) + _TEXT + _GAP,
    )
    sheet = Image.new("RGB", sheet_size, _PAPER)
    draw = ImageDraw.Draw(sheet)
    for number, (title, figures, tiles) in enumerate(columns):
        left = _GAP + number * (width + _GAP)
        draw.text((left, _GAP), title, "black", font)
        draw.text((left, _GAP + _TEXT + 2), figures, "dimgrey", font)
        for row, image in enumerate(tiles):
            sheet.paste(image, (left, _GAP + _LABEL + row * (tile[1] + _GAP)))
    legend = (
        f"Rows: result; alpha; |alpha - fp32| at the network's size, black 0 to white {_ERROR_FULL} and more."
    )
    draw.text((_GAP, sheet.height - _GAP - _TEXT), legend, "dimgrey", font)
    return sheet
