"""What each layer's int8 alone does to the outputs, for both ways to quantize it."""

from __future__ import annotations

from collections.abc import Collection

from mobiledeploy.mixed.judge import Judge
from mobiledeploy.mixed.prices import PriceModel
from mobiledeploy.progress import Progress
from ncnn_tools import quantization
from ncnn_tools.calibration import available_cores
from ncnn_tools.graph import Graph
from ncnn_tools.mixed import Choice, Stock

_STEP = "measuring what int8 does in each layer"


def layer_errors(
    stock: Stock, model: PriceModel, judge: Judge, progress: Progress
) -> dict[str, dict[Choice, float]]:
    """Return, for each layer that int8 could make cheaper, the squared error that each of its int8 choices adds.

    One layer is int8 at a time, all else fp32.
    """
    promising = {
        name: [choice for choice in own if choice.precision == "int8"]
        for name, own in model.own.items()
        if model.could_gain(name)
    }

    def errors(int8: Graph, names: Collection[str]) -> dict[str, float]:
        found = quantization.layer_errors(
            stock.float,
            int8,
            judge.samples,
            {"squared": judge.squared},
            names=names,
            threads=available_cores(),
            progress=lambda done, total: progress(_STEP, done, total),
        )
        return {name: measured["squared"] for name, measured in found.items()}

    exact = errors(stock.exact, promising)
    narrow = exact | errors(stock.narrow, [name for name in promising if stock.differs(name)])
    return {
        name: {choice: (narrow if choice.winograd else exact)[name] for choice in choices}
        for name, choices in promising.items()
    }
