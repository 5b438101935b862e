from __future__ import annotations

import dataclasses
import math

import pytest

from mobiledeploy.diff import Bound, Comparison
from mobiledeploy.diff.comparison import Row
from mobiledeploy.diff.matching import Matching, Pair
from mobiledeploy.diff.measures import Figures
from mobiledeploy.diff.source import Intermediate
from mobiledeploy.report.diff_table import diff_table, first_bad_text, footnotes


class Side:
    """What a table asks of a model."""

    def __init__(self, label: str, kind: str) -> None:
        self.label, self.kind, self.on_device = label, kind, False


@pytest.fixture
def comparison() -> Comparison:
    """Five tensors: good, first bad, bad, good, and a bad output."""
    snrs = [60.0, 10.0, 5.0, 50.0, -math.inf]
    pairs, rows = [], []
    for place, snr in enumerate(snrs):
        reference = Intermediate(f"t{place}", f"t{place}", f"module.{place}", "conv", ())
        candidate = Intermediate(f"t{place}", f"blob{place}", f"layer{place}", "Convolution", ())
        above = (place - 1,) if place else ()
        pair = Pair(reference, candidate, "name" if place else "order", place == 4, above)
        pairs.append(pair)
        figures = Figures(1.5, 0.25, 0.5, snr) if place != 4 else None
        lost = snrs[0] - snrs[1] if place == 1 else None
        rows.append(
            Row(
                pair=pair,
                place=place,
                shapes=((8, 4, 4), (8, 4, 4)),
                figures=figures,
                bad=snr < 20,
                lost_db=lost,
                first=place in (1, 4),
                cause="a bias" if place == 1 else None,
            )
        )
    extra = Intermediate("bn", "bn", "module.bn", "batch_norm", ())
    return Comparison(
        reference=Side("net.onnx", "onnx"),
        candidate=Side("net:int8", "int8"),
        matching=Matching(tuple(pairs), (extra,), ()),
        bound=Bound(min_snr_db=20),
        input="noise",
        rows=tuple(rows),
        complete=True,
        notes=("A note.",),
    )


def test_rows_by_hand(comparison) -> None:
    columns, rows = diff_table(comparison, worst=10, everything=False)
    assert columns == [
        *("#", "layer", "type", "tensor", "shape"),
        *("max abs", "relative", "cosine", "SNR (dB)", "lost (dB)", "note"),
    ]
    cells = [[row.get(column) for column in columns] for row in rows]
    start = [2, "layer1", "Convolution", "t1", "8x4x4", "1.5", "0.25", "0.500000", "10.0", "50.0"]
    assert cells[1] == [*start, "bad, its inputs are good"]
    assert cells[0][-1] == "matched by order"
    assert cells[4] == [
        5,
        "layer4",
        "Convolution",
        "t4",
        "8x4x4",
        *[None] * 5,
        "output, bad, its inputs are good",
    ]


def test_the_first_bad_the_outputs_and_the_worst_in_order(comparison) -> None:
    shown = {
        worst: [row["#"] for row in diff_table(comparison, worst=worst, everything=False)[1]]
        for worst in (0, 2, 3)
    }
    assert shown == {0: [2, 5], 2: [2, 3, 5], 3: [2, 3, 5]}


def test_everything_has_what_was_not_matched(comparison) -> None:
    rows = diff_table(comparison, worst=0, everything=True)[1]
    assert len(rows) == 6
    assert rows[-1]["note"] == "only in net.onnx"
    assert rows[-1]["tensor"] == "bn"


def test_a_torch_reference_names_its_modules(comparison) -> None:
    torch = dataclasses.replace(comparison, reference=Side("net.pth", "torch"))
    columns, rows = diff_table(torch, worst=0, everything=False)
    assert "module" in columns
    assert rows[0]["module"] == "module.1"


def test_the_notes_name_the_first_bad_layer_and_its_cause(comparison) -> None:
    notes = footnotes(comparison)
    assert notes[0] == (
        "net:int8 against net.onnx on noise: all 5 matched tensors; 1 of the reference and 0 of the other have no "
        "counterpart (fused or rewritten). The bound: an SNR of at least 20 dB."
    )
    assert notes[1:] == [
        "A note.",
        "First bad layer: layer1 (Convolution), which gives t1. Likely cause: a bias.",
        "1 more tensor is bad though its inputs are good.",
    ]
    unknown = first_bad_text(dataclasses.replace(comparison.rows[1], cause=None))
    assert unknown.endswith("Likely cause: not known.")


def test_what_was_searched_is_shown_as_it_was_measured(comparison) -> None:
    good = tuple(dataclasses.replace(row, bad=False, first=False) for row in comparison.rows[:3])
    searched = dataclasses.replace(comparison, rows=good, complete=False)
    assert len(diff_table(searched, worst=0, everything=False)[1]) == 3
    notes = footnotes(searched)
    assert "3 of 5 matched tensors" in notes[0]
    assert notes[-1] == (
        "All of these are within the bound. Errors that do not reach an output are found with --all."
    )
