"""From calibration files to statistics in the bundle, thresholds, and what there is to say about them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from mobiledeploy.arrays import FloatArray
from mobiledeploy.bundle import Bundle
from mobiledeploy.convert.doubts import InputFacts, doubts_of, input_facts
from mobiledeploy.convert.samples import Inputs
from mobiledeploy.errors import ConversionError, UsageError
from mobiledeploy.progress import Progress
from ncnn_tools.calibration import (
    LEVELS,
    Calibration,
    collect_statistics,
    half_differences,
    read_calibration,
    threshold,
)
from ncnn_tools.errors import NcnnToolsError
from ncnn_tools.graph import Graph
from ncnn_tools.grouped import grouped_layers
from ncnn_tools.quantization import picture_blobs, quantizable_layers

CALIBRATION_FILE = "calibration/statistics.npz"  # in the bundle

# From 8 files on their two halves are worth comparing. The limit on the difference: docs/quantization.md shows what
# differences of this size come with.
_FEW_FILES = 8
_LARGE_DIFFERENCE = 0.2


@dataclass(frozen=True)
class Calibrated:
    """A pass over the calibration files: statistics, and doubts about the files themselves."""

    statistics: Calibration
    doubts: tuple[str, ...]


@dataclass
class _Samples(Sequence[Mapping[str, FloatArray]]):
    """The calibration files as samples, each loaded when it is asked for, with what was seen in it."""

    data: Inputs
    blob: str
    facts: dict[int, InputFacts] = field(default_factory=dict)

    def __len__(self) -> int:
        return len(self.data)

    def __getitem__(self, place: Any) -> Any:
        (values,) = self.data.sample(place).values()
        self.facts[place] = input_facts(self.data.name(place), values[0])
        return {self.blob: values[0]}


def calibrate(graph: Graph, data: Inputs, progress: Progress) -> Calibrated:
    """Run calibration inputs through the fp32 graph; takes statistics of each blob that could be quantized.

    Those that grouped convolutions read are among them: taken apart (`ncnn_tools.grouped`) these can be int8 too.
    Raises ConversionError where a value is not finite, UsageError for a file that can't be read.
    """
    blobs = sorted({layer.inputs[0] for layer in [*quantizable_layers(graph), *grouped_layers(graph)]})
    samples = _Samples(data, graph.inputs[0])
    progress("calibrating", 0, len(samples))
    try:
        statistics = collect_statistics(
            graph, samples, blobs, progress=lambda done: progress("calibrating", done, len(samples))
        )
    except ValueError as error:
        raise ConversionError(
            f"calibration failed: {error}", hint="Check the weights and the preprocessing."
        ) from error
    facts = [samples.facts[place] for place in range(len(samples))]
    return Calibrated(statistics, tuple(doubts_of(facts, data.preprocessing)))


def read_statistics(bundle: Bundle, graph: Graph) -> Calibrated:
    """Read what an older bundle holds; UsageError where it is not of this graph."""
    file = bundle.path / CALIBRATION_FILE
    try:
        statistics = read_calibration(file)
    except (NcnnToolsError, OSError) as error:
        raise UsageError(str(error), hint="Calibrate again, with --calibration DIR.") from error
    missing = {layer.inputs[0] for layer in quantizable_layers(graph)} - set(statistics.blobs)
    if missing:
        raise UsageError(
            f"{file}: has no statistics of blob {min(missing)!r}",
            hint="Calibrate again, with --calibration DIR.",
        )
    return Calibrated(statistics, tuple(bundle.manifest["calibration"]["doubts"]))


def thresholds(graph: Graph, calibration: Calibration, method: str, levels: int = LEVELS) -> dict[str, float]:
    """Return a threshold for each blob to be quantized: of all that were calibrated, but pictures."""
    blobs = set(calibration.blobs) - picture_blobs(graph)
    return {blob: threshold(calibration[blob], method, levels) for blob in sorted(blobs)}


def calibration_facts(calibrated: Calibrated, method: str) -> dict[str, Any]:
    """Say in the manifest how the activations were calibrated, and how far that can be trusted.

    `half_difference` is of thresholds by one half of the files and by the other (`half_differences`): the median over
    blobs and the largest, with its blob; None where there are no halves.
    """
    differences = half_differences(calibrated.statistics, method)
    facts: dict[str, Any] = {
        "images": calibrated.statistics.samples,
        "method": method,
        "file": CALIBRATION_FILE,
        "doubts": list(calibrated.doubts),
        "half_difference": None,
    }
    if differences:
        worst = max(differences, key=lambda blob: differences[blob])
        facts["half_difference"] = {
            "median": float(np.median(list(differences.values()))),
            "largest": differences[worst],
            "blob": worst,
        }
    return facts


def calibration_notes(facts: Mapping[str, Any]) -> list[str]:
    """Put what `calibration_facts` says into sentences, for a reader of the int8 variant's figures."""
    count, difference = facts["images"], facts["half_difference"]
    files = "1 file" if count == 1 else f"{count} files"
    notes = [f"int8: activations calibrated on {files}, by {facts['method']}."]
    if difference:
        notes[0] = (
            f"{notes[0][:-1]}; the thresholds of one half of them and of the other differ by "
            f"{difference['median']:.1%} (median) and {difference['largest']:.0%} (largest, blob {difference['blob']})."
        )
    if count < _FEW_FILES:
        notes.append(
            f"Warning: {files} to calibrate on are few; take {_FEW_FILES} different ones at the least."
        )
    elif difference and difference["median"] > _LARGE_DIFFERENCE:
        notes.append(
            "Warning: the two halves give other thresholds, so more files would change the model. "
            "Add some, of all kinds that it is to see."
        )
    return notes + [f"Warning: {doubt}" for doubt in facts["doubts"]]
