"""The sensitivity of a bundle's int8 layers as a picture: one bar a layer, the worst on top."""

from __future__ import annotations

import io
import math
from pathlib import Path

from mobiledeploy.errors import UsageError
from mobiledeploy.report.formats import printable
from mobiledeploy.sensitivity.figures import NOISE, LayerFigures, Sensitivity
from ncnn_tools.files import write_atomically

SUFFIXES = (".svg", ".png")

_ROW_INCHES = 0.22  # a bar with a legible name beside it
_MARGIN_INCHES = 1.3  # title and axis
_WIDTH_INCHES = 9.0
_LONGEST_NAME = 40
# Of the signal's power. What is less is drawn as this, as float32 itself is no better; what is not finite as that.
_SMALLEST, _LARGEST = 1e-12, 1.0
# By what most of the error is of; told apart also without colour vision (Okabe and Ito, 2008).
_COLORS = {"input": "#D55E00", "weights": "#0072B2"}


def check_plot_path(path: Path) -> None:
    """Raise UsageError where a plot can't be written there."""
    if path.suffix.lower() not in SUFFIXES:
        raise UsageError(f"{path}: a plot is written as {' or '.join(SUFFIXES)}")
    if not path.parent.is_dir():
        raise UsageError(f"{path.parent}: no such folder")


def write_plot(found: Sensitivity, path: Path) -> None:
    """Draw each layer's error power relative to the signal's, on a logarithmic scale.

    The file is whole or not there.
    """
    from matplotlib.figure import Figure
    from matplotlib.patches import Patch

    layers = found.layers
    heights = [_height(layer.errors[NOISE]) for layer in layers]
    figure = Figure(figsize=(_WIDTH_INCHES, _MARGIN_INCHES + _ROW_INCHES * len(layers)), layout="constrained")
    axes = figure.add_subplot()
    colors = [_COLORS["input" if layer.sources.activation_share > 0.5 else "weights"] for layer in layers]
    places = range(len(layers))
    axes.barh(places, heights, color=colors, log=True)
    axes.set_yticks(places, [_label(layer) for layer in layers], fontsize=8, parse_math=False)
    axes.set_ylim(len(layers) - 0.5, -0.5)
    # From the decade below the smallest, with room for a label beside the largest.
    axes.set_xlim(10 ** math.floor(math.log10(min(heights))) / 2, 4 * max(heights))
    for place, layer in zip(places, layers, strict=True):
        axes.annotate(
            f"{layer.snr_db:.1f} dB",
            (heights[place], place),
            (3, 0),
            textcoords="offset points",
            va="center",
            fontsize=7,
        )
    axes.grid(axis="x", color="#dddddd")
    axes.set_axisbelow(True)
    axes.set_xlabel("error power / signal power of the outputs, this layer alone in int8")
    title = f"{found.bundle.name}: what int8 costs, layer by layer ({found.inputs} inputs)"
    axes.set_title(_shown(title), fontsize=10, parse_math=False)
    axes.legend(
        handles=[Patch(color=color, label=f"mostly from its {name}") for name, color in _COLORS.items()],
        loc="lower right",
        fontsize=8,
    )
    buffer = io.BytesIO()
    form = path.suffix.lower().removeprefix(".")
    figure.savefig(buffer, format=form, dpi=150, metadata={"Date": None} if form == "svg" else None)
    write_atomically(path, buffer.getvalue())


def _height(noise: float) -> float:
    return max(noise, _SMALLEST) if math.isfinite(noise) else _LARGEST


def _label(layer: LayerFigures) -> str:
    name = _shown(layer.name)
    name = name if len(name) <= _LONGEST_NAME else f"{name[: _LONGEST_NAME - 1]}…"
    return f"{name}  {layer.kernel} {layer.channels[0]}→{layer.channels[1]}"


def _shown(text: str) -> str:
    """Write what the font may not have as escapes."""
    return printable(text).encode("ascii", "backslashreplace").decode()
