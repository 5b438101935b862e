"""Sensitivity as table, notes and picture."""

from __future__ import annotations

import dataclasses
import math
import xml.etree.ElementTree
from pathlib import Path

import pytest
from PIL import Image

from mobiledeploy.errors import UsageError
from mobiledeploy.report.sensitivity_plot import check_plot_path, write_plot
from mobiledeploy.report.sensitivity_table import cause, footnotes, sensitivity_table
from mobiledeploy.sensitivity.figures import ALPHA_MAE, MASK_IOU, NOISE, LayerFigures, Sensitivity
from ncnn_tools.quantization import ErrorSources

PLAIN = ErrorSources(
    activation_share=0.75,
    clipped_share=0.1,
    peak=4.0,
    rms=1.0,
    step=1 / 32,
    peak_channel=3,
    channel_spread=1.5,
    weight_peak_to_rms=4.0,
    dead_inputs=0,
    dead_outputs=0,
)


def layer(name: str, noise: float, **changes: object) -> LayerFigures:
    errors = {NOISE: noise, ALPHA_MAE: noise / 4, MASK_IOU: 1 - noise}
    values = {"kernel": "3x3 s2", "channels": (3, 12), "size": (64, 48), "macs": 250, "sources": PLAIN}
    return LayerFigures(name, "Convolution", errors=errors, **(values | changes))


@pytest.fixture
def found(tiny_bundle) -> Sensitivity:
    layers = (layer("bad", 0.009), layer("good", 0.001, kernel="", size=(), macs=0))
    return Sensitivity(tiny_bundle, "photos", 8, 30, layers, {NOISE: 0.1, ALPHA_MAE: 0, MASK_IOU: 1}, 1000)


def test_rows_by_hand(found: Sensitivity) -> None:
    columns, rows = sensitivity_table(found)
    assert [" | ".join(str(row[column]) for column in columns) for row in rows] == [
        "bad | Convolution | 3x3 s2 | 3→12 | 64x48 | 25.0 | 20.5 | 90.0 | 0.00225 | 0.9910 | 75 | input: rounding",
        "good | Convolution |  | 3→12 |  | 0.0 | 30.0 | 10.0 | 0.00025 | 0.9990 | 75 | input: rounding",
    ]


def test_notes_say_what_was_measured_and_what_sums_up(found: Sensitivity) -> None:
    text = " ".join(footnotes(found))
    assert "8 inputs of 30, evenly spaced, in photos" in text
    assert (
        "All 2 layers together (without chains): SNR 10.0 dB; the sum of their errors would be 20.0 dB"
        in text
    )
    assert "1 of them makes 80% of that sum." in text


def test_an_exact_layer_has_an_infinite_snr_and_json_none(found: Sensitivity) -> None:
    exact = dataclasses.replace(found, layers=(layer("exact", 0.0),))
    assert sensitivity_table(exact)[1][0]["SNR (dB)"] == "inf"
    assert exact.to_json()["layers"][0]["snr_db"] is None
    assert found.to_json()["layers"][0]["error_share"] == pytest.approx(0.9)


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({}, "input: rounding"),
        ({"channel_spread": 40.0}, "input: channel 3 reaches 40 times as far as the median channel"),
        ({"peak": 30.0}, "input: outliers, 30 times the rms"),
        ({"clipped_share": 0.8}, "input: clipping makes 80 % of its error"),
        ({"step": 0.25}, "input: its rms is 4.0 steps"),
        ({"activation_share": 0.2}, "weights: rounding"),
        ({"activation_share": 0.2, "weight_peak_to_rms": 20.0}, "weights: outliers, 20 times the rms"),
        ({"dead_inputs": 1, "dead_outputs": 2}, "input: rounding; 1 dead input channel; 2 dead outputs"),
    ],
)
def test_causes_in_words(changes: dict[str, float], words: str) -> None:
    assert cause(dataclasses.replace(PLAIN, **changes)) == words


def test_a_picture_grows_with_its_layers_and_is_readable(found: Sensitivity, tmp_path: Path) -> None:
    sizes = []
    for count in (1, 60):
        layers = tuple(layer(f"node_Conv_{n}", 10 ** (-n / 10)) for n in range(count))
        write_plot(dataclasses.replace(found, layers=layers), tmp_path / "a.png")
        with Image.open(tmp_path / "a.png") as picture:
            sizes.append(picture.size)
    assert sizes[0][0] == sizes[1][0]
    assert (sizes[1][1] - sizes[0][1]) / 59 > 25, "pixels for each name"


def test_names_are_not_read_as_formulas_or_markup(found: Sensitivity, tmp_path: Path) -> None:
    layers = (layer(r"$\frac{<b>&", 0.1), layer("名前\x1b[31m" + 50 * "x", math.inf), layer("zero", 0.0))
    write_plot(dataclasses.replace(found, layers=layers), tmp_path / "a.svg")
    text = (tmp_path / "a.svg").read_text()
    xml.etree.ElementTree.fromstring(text)
    assert "\x1b" not in text
    write_plot(dataclasses.replace(found, layers=layers), tmp_path / "a.png")
    assert sorted(path.name for path in tmp_path.iterdir()) == ["a.png", "a.svg"]


@pytest.mark.parametrize(
    ("name", "message"), [("a.pdf", r"\.svg or \.png"), ("nowhere/a.svg", "no such folder")]
)
def test_where_no_plot_can_be_written(tmp_path: Path, name: str, message: str) -> None:
    with pytest.raises(UsageError, match=message):
        check_plot_path(tmp_path / name)
