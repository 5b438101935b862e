from __future__ import annotations

import numpy as np
import pytest

from mobiledeploy.matte import Matte
from mobiledeploy.mixed.bound import Bound
from mobiledeploy.mixed.judge import Judge
from ncnn_tools.graph import Graph, new_layer
from ncnn_tools.quantization.sensitivity import graph_outputs, mean_measures

MATTE = Matte("mask")


def network(factor: float) -> Graph:
    """Give x again, and a mask that is x times a factor."""
    return Graph(
        [
            new_layer("Input", "x", [], ["x"], w=4, h=3, c=1),
            new_layer("Split", "split", ["x"], ["x0", "x1"]),
            new_layer("BinaryOp", "times", ["x0"], ["m"], op_type=2, with_scalar=1, b=factor),
            new_layer("BinaryOp", "plus", ["x1"], ["y"], op_type=0, with_scalar=1, b=factor - 1),
        ],
        ["m", "y"],
    )


@pytest.fixture(scope="module")
def samples() -> list[dict[str, np.ndarray]]:
    rng = np.random.default_rng(0)
    return [{"x": rng.uniform(0.1, 0.9, (1, 3, 4)).astype(np.float32)} for _ in range(5)]


def judge(samples, bound: Bound, matte: Matte | None = MATTE) -> Judge:
    shape = (1, 1, 3, 4)
    return Judge(network(1), samples, {"mask": ("m", shape), "rest": ("y", shape)}, bound, matte)


def squared(judge: Judge, graph: Graph) -> float:
    outputs, reference = (graph_outputs(each, judge.samples) for each in (graph, judge.reference))
    return mean_measures({"squared": judge.squared}, outputs, reference)["squared"]


def test_figures_are_those_of_numpy(samples) -> None:
    figures = judge(samples, Bound(max_mae=0.1, min_iou=0.5, min_cosine=0.9)).figures(network(1.1))
    for number, sample in enumerate(samples):
        x = sample["x"].astype(np.float64)
        scaled = np.clip(1.1 * x, 0, 1)
        assert figures.values["max_mae"][number] == pytest.approx(np.abs(scaled - x).mean(), rel=1e-5)
        union = ((scaled > 0.5) | (x > 0.5)).sum()
        both = ((scaled > 0.5) & (x > 0.5)).sum()
        assert figures.values["min_iou"][number] == pytest.approx(both / union)
        a, b = np.concatenate([1.1 * x, x + 0.1], 1).ravel(), np.concatenate([x, x], 1).ravel()
        cosine = a @ b / np.linalg.norm(a) / np.linalg.norm(b)
        assert figures.values["min_cosine"][number] == pytest.approx(cosine, rel=1e-6)


def test_the_reference_itself_is_right(samples) -> None:
    own = judge(samples, Bound(max_mae=0, min_iou=1))
    assert own.figures(network(1)).keeps(own.bound)
    assert squared(own, network(1)) == 0


def test_of_a_bounded_mask_the_alphas_error_counts_alone(samples) -> None:
    x = np.concatenate([sample["x"].ravel() for sample in samples]).astype(np.float64)
    found = squared(judge(samples, Bound(min_iou=0.9)), network(1.1))
    assert found == pytest.approx(np.square(np.clip(1.1 * x, 0, 1) - x).mean(), rel=1e-4)


@pytest.mark.parametrize("matte", [MATTE, None])
def test_else_that_of_all_outputs_each_by_its_own_power(samples, matte: Matte | None) -> None:
    found = squared(judge(samples, Bound(min_cosine=0.9), matte), network(1.1))
    powers = [np.square(sample["x"]).sum() for sample in samples]
    expected = np.mean([(0.1**2 + 12 * 0.1**2 / power) / 2 for power in powers])
    assert found == pytest.approx(expected, rel=1e-4)
