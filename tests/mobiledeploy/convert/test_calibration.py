"""What is said of a calibration beside the table."""

from __future__ import annotations

import numpy as np
import pytest

from mobiledeploy.convert.calibration import Calibrated, calibration_facts, calibration_notes, thresholds
from ncnn_tools.calibration import BlobStatistics, Calibration
from ncnn_tools.graph import Graph, new_layer


def calibrated(samples: list[list[float]], *doubts: str) -> Calibrated:
    """Calibrate blobs "a" and "b" on samples of one value each; of "b" it is always the same."""
    halves: tuple[dict[str, BlobStatistics], ...] = tuple(
        {"a": BlobStatistics(), "b": BlobStatistics()} for _ in range(2)
    )
    for number, values in enumerate(samples):
        halves[number % 2]["a"].add(np.array([values], np.float32), number)
        halves[number % 2]["b"].add(np.ones((1, 4), np.float32), number)
    return Calibrated(Calibration(len(samples), (halves[0], halves[1])), doubts)


def test_thresholds_are_of_all_samples_and_of_no_picture() -> None:
    statistics = calibrated([[1.0], [-5.0], [2.0]]).statistics
    assert thresholds(Graph(), statistics, "absmax") == {"a": 5, "b": 1}
    picture = Graph([new_layer("Input", "a", [], ["a"], w=4, h=4, c=3)])
    assert thresholds(picture, statistics, "absmax") == {"b": 1}


def test_the_halves_are_compared() -> None:
    facts = calibration_facts(calibrated([[1.0], [4.0]] * 8), "absmax")
    assert facts["half_difference"] == {"median": 0.375, "largest": 0.75, "blob": "a"}
    notes = calibration_notes(facts)
    assert "16 files, by absmax" in notes[0]
    assert "37.5% (median) and 75% (largest, blob a)" in notes[0]
    assert "halves give other thresholds" in notes[1]


def test_enough_files_that_agree_raise_no_warning() -> None:
    assert len(calibration_notes(calibration_facts(calibrated([[1.0], [1.1]] * 4), "absmax"))) == 1


@pytest.mark.parametrize("count", [1, 7])
def test_few_files_do(count: int) -> None:
    facts = calibration_facts(calibrated([[1.0]] * count), "mse")
    assert (facts["half_difference"] is None) == (count == 1)
    notes = calibration_notes(facts)
    assert len(notes) == 2
    assert "are few" in notes[1]


def test_doubts_become_warnings() -> None:
    notes = calibration_notes(calibration_facts(calibrated([[1.0]] * 8, "all is grey."), "absmax"))
    assert notes[1:] == ["Warning: all is grey."]
