"""Whole comparisons: ONNX models with one thing wrong, and a model of plain values that is searched."""

from __future__ import annotations

import json
import re
from pathlib import Path

import numpy as np
import pytest

from mobiledeploy.diff import Bound, compare
from mobiledeploy.diff.inputs import Inputs, noise_inputs
from mobiledeploy.diff.onnx_source import OnnxSource
from mobiledeploy.errors import DeviceError, UsageError
from mobiledeploy.source.onnx_file import load_onnx

INPUT = Inputs((np.zeros((1, 4), np.float32),), "zeros")


def compared(first: Path, second: Path, **options):
    sources = [OnnxSource(path.stem, load_onnx(path)) for path in (first, second)]
    return compare(*sources, noise_inputs(sources[0].inputs), **options)


def test_equal_models_part_nowhere(make_onnx) -> None:
    comparison = compared(make_onnx("a"), make_onnx("b"))
    assert comparison.passed
    assert comparison.complete
    assert comparison.first_bad is None
    assert [row.pair.candidate.key for row in comparison.rows] == [
        "conv0",
        "relu0",
        "conv1",
        "relu1",
        "conv2",
        "y",
    ]
    assert all(row.figures.max_abs == 0 for row in comparison.rows)


def test_a_changed_bias_is_found_where_it_is(make_onnx) -> None:
    comparison = compared(make_onnx("a"), make_onnx("b", bias={1: 0.9}))
    first = comparison.first_bad
    assert first.pair.candidate.layer == "conv1"
    assert first.cause == "a bias: each channel differs by a constant of its own, 0.8 in the mean (rms)"
    assert [row.bad for row in comparison.rows] == [False, False, True, True, True, True]
    assert [row.first for row in comparison.rows] == [False, False, True, False, False, False]
    assert comparison.rows[2].lost_db is None  # its input is equal: nothing to compare with
    assert comparison.rows[3].lost_db == pytest.approx(
        comparison.rows[2].figures.snr_db - comparison.rows[3].figures.snr_db
    )


def test_wrong_padding_is_found_where_it_is(make_onnx) -> None:
    first = compared(make_onnx("a"), make_onnx("b", pads={1: (2, 2, 0, 0)})).first_bad
    assert first.pair.candidate.layer == "conv1"
    assert first.cause == "wrong padding: the map is shifted, by 1 down and 1 right"


def test_a_renamed_graph_is_matched_by_order_and_says_so(make_onnx) -> None:
    comparison = compared(make_onnx("a"), make_onnx("b", prefix="new_", outputs=("z",), bias={2: 0.2}))
    assert [row.pair.by for row in comparison.rows] == ["order"] * 5 + ["output"]
    assert comparison.first_bad.pair.candidate.layer == "new_conv2"
    assert "5 tensors have other names on both sides and were matched by their order." in comparison.notes


def test_the_bound_can_be_given(make_onnx) -> None:
    pair = make_onnx("a"), make_onnx("b", bias={1: 0.101})
    assert not compared(*pair, bound=Bound(max_relative=1e-5)).passed
    assert compared(*pair, bound=Bound(max_relative=0.1)).passed
    assert not compared(*pair, bound=Bound(min_snr_db=120)).passed


def test_other_input_shapes_are_refused(make_onnx) -> None:
    with pytest.raises(UsageError, match="b takes inputs of shape 1x3x20x20"):
        compared(make_onnx("a"), make_onnx("b", side=20))


def test_json_is_a_whole_document(make_onnx) -> None:
    document = compared(make_onnx("a"), make_onnx("b", bias={1: np.inf})).to_json()
    assert json.loads(json.dumps(document, allow_nan=False))["first_bad"]["candidate"]["layer"] == "conv1"
    assert document["tensors"][2]["broken"] == 8 * 16 * 16
    assert document["passed"] is False


def test_an_error_that_grows_slowly_is_called_gradual(plain, tensor) -> None:
    """Each tensor has an SNR of so many dB: 35 are lost in the third, 1.5 in the one that is the first below 20."""
    snrs = [60, 59, 24, 21, 19.5]
    keys = [f"t{number}" for number in range(len(snrs))]
    tensors = [tensor(key, *keys[max(number - 1, 0) : number]) for number, key in enumerate(keys)]
    generator = np.random.default_rng(0)
    right = {key: generator.normal(size=1000).astype(np.float32) for key in keys}
    wrong = {
        key: right[key] + generator.normal(size=1000).astype(np.float32) * 10 ** (-snr / 20)
        for key, snr in zip(keys, snrs, strict=True)
    }
    sides = plain(tensors, keys[-1:], right), plain(tensors, keys[-1:], wrong, kind="int8")
    first = compare(*sides, INPUT, bound=Bound(min_snr_db=20)).first_bad
    assert first.pair.candidate.key == "t4"
    assert re.fullmatch(
        r"gradual: its inputs have an SNR of 2[01]\.\d dB already, just within the bound; "
        r"before it most is lost in t2 \(Conv\), 3[45]\.\d dB",
        first.cause,
    )


@pytest.fixture
def long_chain(plain, tensor):
    """A chain of 100 tensors on a device, of which those from `bad` on are off, and its reference."""

    def make(bad: int):
        keys = [f"t{number}" for number in range(100)]
        tensors = [tensor(key, *keys[max(number - 1, 0) : number]) for number, key in enumerate(keys)]
        right = {key: np.arange(4, dtype=np.float32) + number for number, key in enumerate(keys)}
        wrong = {key: value + (number >= bad) for (number, (key, value)) in enumerate(right.items())}
        return (
            plain(tensors, [keys[-1]], right),
            plain(tensors, [keys[-1]], wrong, kind="fp32", label="phone", on_device=True),
        )

    return make


def test_a_device_is_searched(long_chain) -> None:
    reference, device = long_chain(57)
    comparison = compare(reference, device, INPUT)
    assert comparison.first_bad.pair.candidate.key == "t57"
    assert not comparison.complete
    assert len(comparison.rows) < 20
    assert len(device.asked) <= 6  # one of them for the cause
    assert sorted({key for keys in device.asked for key in keys}) == sorted(
        row.pair.candidate.key for row in comparison.rows
    )


def test_a_device_whose_outputs_are_good_is_asked_for_them_alone(long_chain) -> None:
    reference, device = long_chain(100)
    comparison = compare(reference, device, INPUT)
    assert comparison.passed
    assert device.asked == [["t99"]]


def test_everything_can_be_asked_of_a_device(long_chain) -> None:
    reference, device = long_chain(57)
    comparison = compare(reference, device, INPUT, everything=True)
    assert comparison.complete
    assert len(comparison.rows) == 100


def test_a_device_that_is_lost_leaves_what_was_known(long_chain, monkeypatch: pytest.MonkeyPatch) -> None:
    reference, device = long_chain(57)
    values = device.values

    def lost(keys, inputs):
        if len(device.asked) == 2:
            raise DeviceError("the connection was lost", hint="Plug it in.")
        return values(keys, inputs)

    monkeypatch.setattr(device, "values", lost)
    with pytest.raises(DeviceError) as caught:
        compare(reference, device, INPUT)
    assert caught.value.hint == (
        "Plug it in.\nBy then 5 tensors were measured; the first bad one was 't59' of layer 't59'. "
        "The same command searches again."
    )


def test_the_more_exact_side_is_the_reference(long_chain) -> None:
    reference, device = long_chain(57)
    comparison = compare(device, reference, INPUT)
    assert comparison.reference is reference
    assert comparison.notes[0] == "plain is the reference, since it is the more exact."


def test_models_with_nothing_in_common_are_refused(plain, tensor) -> None:
    first, second = plain([tensor("a")], ["a"]), plain([tensor("b"), tensor("c")], ["b", "c"])
    with pytest.raises(UsageError, match="no tensor in common"):
        compare(first, second, INPUT)
