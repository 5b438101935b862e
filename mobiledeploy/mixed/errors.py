"""What each layer's int8 alone does to the outputs."""

from __future__ import annotations

from mobiledeploy.mixed.judge import Judge
from mobiledeploy.mixed.prices import PriceModel
from mobiledeploy.progress import Progress
from ncnn_tools.mixed import FLOAT32, Choice, Stock, mix

_STEP = "measuring what int8 does in each layer"


def layer_errors(
    stock: Stock, model: PriceModel, judge: Judge, progress: Progress
) -> dict[str, dict[Choice, float]]:
    """Return, for each layer that int8 could make cheaper, the squared error that each of its int8 choices adds.

    One layer is int8 at a time, all else fp32. The two ways to round a layer (`Stock`) are measured once each.
    """
    promising = {
        name: [choice for choice in own if choice.precision == "int8"]
        for name, own in model.own.items()
        if model.could_gain(name)
    }
    exact = {layer.name: FLOAT32 for layer in stock.float.layers}
    found: dict[str, dict[Choice, float]] = {}
    for done, (name, choices) in enumerate(promising.items()):
        progress(_STEP, done, len(promising))
        by_weights: dict[bytes, float] = {}
        found[name] = {}
        for choice in choices:
            weights = stock.layer(name, choice).weights["weight"].data.tobytes()
            if weights not in by_weights:
                by_weights[weights] = judge.squared_error(mix(stock, {**exact, name: choice}))
            found[name][choice] = by_weights[weights]
    return found
