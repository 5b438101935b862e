from __future__ import annotations

import dataclasses

import pytest

from mobiledeploy.report.verify_table import footnotes, verify_table
from mobiledeploy.verify import Verification
from mobiledeploy.verify.figures import MatteFigures, OutputFigures, PictureFigures, VariantFigures


@pytest.fixture
def verification(tiny_bundle) -> Verification:
    good = MatteFigures(1.0, 0.0, 0.0, 0.0, 0.0, None, None)
    bad = MatteFigures(0.5, 0.25, 16.384, 0.125, 3.0, 0.0625, 0.5)
    outputs = {"seg": OutputFigures(1e-3, 1e-4), "alpha": OutputFigures(2e-2, 3e-4)}
    int8 = (PictureFigures("a", outputs, good, None), PictureFigures("b", outputs, bad, bad))
    reference = (PictureFigures("a", {}, None, None), PictureFigures("b", {}, None, good))
    variants = (VariantFigures("onnx", reference), VariantFigures("int8", int8))
    return Verification(tiny_bundle, "portraits", True, variants)


def test_rows_by_hand(verification) -> None:
    columns, rows = verify_table(verification)
    assert columns == [
        *("precision", "against", "IoU", "worst IoU", "MAE", "SAD", "MSE", "gradient", "edge", "flicker"),
        "max error",
    ]
    assert [[row.get(column) for column in columns] for row in rows] == [
        ["int8", "onnx", "0.7500", "0.5000", "0.125", "8.19", "0.0625", "1.5", "0.0625", "0.5", "2.0e-02"],
        ["onnx", "truth", "1.0000", "1.0000", "0", "0", "0", "0", None, None, None],
        ["int8", "truth", "0.5000", "0.5000", "0.25", "16.4", "0.125", "3", "0.0625", "0.5", None],
    ]
    assert "2 pictures in portraits" in " ".join(footnotes(verification))
    assert "known for 1 of them" in " ".join(footnotes(verification))


def test_pictures_that_are_no_clip_have_no_column_for_flicker(verification) -> None:
    assert "flicker" not in verify_table(dataclasses.replace(verification, clip=False))[0]


def test_without_mattes_the_outputs_are_shown(verification, tiny_bundle) -> None:
    int8 = verification.variants[1]
    bare = tuple(dataclasses.replace(entry, against_onnx=None, against_truth=None) for entry in int8.pictures)
    untrained = dataclasses.replace(tiny_bundle, manifest={**tiny_bundle.manifest, "untrained": True})
    columns, rows = verify_table(Verification(untrained, "samples", False, (VariantFigures("int8", bare),)))
    assert columns == [
        "precision", "max error of seg", "mean error of seg", "max error of alpha", "mean error of alpha"
    ]  # fmt: skip
    assert list(rows[0].values()) == ["int8", "1.0e-03", "1.0e-04", "2.0e-02", "3.0e-04"]
    notes = " ".join(footnotes(Verification(untrained, "samples", False, (VariantFigures("int8", bare),))))
    assert "Untrained" in notes
