"""From times to figures, counted by hand."""

from __future__ import annotations

import json

import pytest

from mobiledeploy.profile.figures import profile_figures
from mobiledeploy.profile.roofline import Roofline


@pytest.fixture
def limits(roofline: dict) -> Roofline:
    return Roofline.from_launches([roofline])


def test_a_layer(run, graph, limits) -> None:
    layers, _ = profile_figures(run.benchmarks[0], graph, limits)
    conv = layers[0]
    # 2500 pixels x 576 weights; 4 and 16 maps of 2500 floats, 576 weights of four bytes
    assert (conv.macs, conv.bytes, conv.weight_bytes) == (1_440_000, 10_000 * (4 + 16) + 2304, 2304)
    assert conv.median_ms == pytest.approx(0.288)
    assert conv.mean_ms == pytest.approx(0.292)
    assert conv.gmacs == pytest.approx(5.0)
    assert conv.gbs == pytest.approx(202_304 / 0.288e6)
    assert conv.arithmetic == "fp32"
    # 0.144 ms at 10 GMAC/s, 0.0405 ms at 5 GB/s
    assert (conv.bound, conv.roofline) == ("compute", pytest.approx(0.5))


def test_layers_that_move_or_only_hand_on(run, graph, limits) -> None:
    _, split, relu = profile_figures(run.benchmarks[0], graph, limits)[0]
    assert (split.macs, split.bytes, split.gmacs, split.gbs, split.roofline) == (0, 0, None, None, None)
    assert (relu.macs, relu.gmacs) == (0, None)
    # 320 kB at 5 GB/s
    assert (relu.bound, relu.roofline) == ("memory", pytest.approx(0.064 / 0.2))


def test_totals(run, graph, limits) -> None:
    layers, totals = profile_figures(run.benchmarks[0], graph, limits)
    assert totals.medians_ms == pytest.approx(0.489)
    assert totals.layers_ms == pytest.approx(0.51)  # of 0.489, 0.551 and 0.49
    assert totals.outputs_ms == pytest.approx(0.03)  # of 0.011, 0.049 and 0.03
    assert totals.sum_ms == pytest.approx(0.54)
    assert (totals.whole_ms, totals.profiled_ms) == (0.6, 0.52)
    assert totals.difference == pytest.approx(0.54 / 0.6 - 1)
    assert totals.macs == totals.convolution_macs == 1_440_000
    assert totals.roofline == pytest.approx((0.144 + 0.064) / 0.6)
    assert sum(layer.share for layer in layers) == pytest.approx(0.51 / 0.54)


def test_interruptions_do_not_make_the_sum_less_than_the_whole(run, graph, limits) -> None:
    entry = json.loads(json.dumps(run.benchmarks[0]))
    # Every inference is interrupted once for 1 ms, in one of two layers; outliers beyond the quartiles don't count.
    times = [[1.3, 0.0, 0.2], [0.3, 0.0, 1.2]] * 4 + [[0.3, 0.0, 0.2], [0.3, 9.0, 0.2]]
    wholes = [sum(row) for row in times]
    entry["layers"] |= {"times_ms": times, "whole_ms": wholes}
    entry["times_ms"] = [1.5] * 10
    layers, totals = profile_figures(entry, graph, limits)
    assert [layer.median_ms for layer in layers] == pytest.approx([0.3, 0.0, 0.2])
    assert totals.sum_ms == pytest.approx(1.5)
    assert totals.difference == pytest.approx(0.0)


def test_a_quantized_layer_is_held_against_int8(run, graph, limits) -> None:
    graph.layers[1].set("int8_scale_term", 2)
    conv = profile_figures(run.benchmarks[0], graph, limits)[0][0]
    # 0.036 ms of multiply-adds is less than 0.040 ms of bytes
    assert (conv.arithmetic, conv.bound) == ("int8", "memory")
    assert conv.weight_bytes == 576 + 4 * (16 + 1)


@pytest.mark.parametrize(("supported", "arithmetic"), [(True, "fp16"), (False, "fp32")])
def test_half_floats_are_computed_with_where_the_cpu_can(
    run, graph, roofline, supported: bool, arithmetic: str
) -> None:
    if supported:
        roofline["peaks"].append({"arithmetic": "fp16", "instruction": "fmla", "threads": 1, "gmacs": 20.0})
    entry = json.loads(json.dumps(run.benchmarks[0]))
    for layer in entry["layers"]["network"]:
        for blob in layer["inputs"] + layer["outputs"]:
            blob["elembits"] = 16
    conv = profile_figures(entry, graph, Roofline.from_launches([roofline]))[0][0]
    assert conv.arithmetic == arithmetic
    assert conv.bytes == (10_000 * (4 + 16) + 2304) // 2
