from __future__ import annotations

from mobiledeploy.mixed.trials import CHAINED, layers_with_choices, uniform_trials
from ncnn_tools.mixed import Choice, Stock
from ncnn_tools.quantization.chains import gives_int8
from ncnn_tools.quantization.layers import is_int8


def test_every_layer_is_seen_in_every_way(stock: Stock) -> None:
    layers = layers_with_choices(stock, ["fp32", "int8"])
    trials = uniform_trials(stock, ["fp32", "int8"])
    seen = {name: {trial.choices[name] for trial in trials.values()} for name in layers}
    assert seen == {name: set(choices) for name, choices in layers.items()}
    assert set(layers) == {"stem", "left", "right", "joined", "deep", "tail"}
    assert next(iter(trials)) == "fp32"


def test_trials_do_what_they_say(stock: Stock) -> None:
    for name, trial in uniform_trials(stock, ["fp16", "int8"]).items():
        for layer in trial.graph.layers:
            if choice := trial.choices.get(layer.name):
                assert is_int8(layer) == (choice.precision == "int8")
                assert layer.feature_mask == choice.mask
        giving = {layer.name for layer in trial.graph.layers if gives_int8(layer)}
        assert giving == ({"stem", "joined"} if name == CHAINED else set())


def test_of_floats_alone_only_algorithms_are_chosen(stock: Stock) -> None:
    trials = uniform_trials(stock, ["fp32"])
    assert list(trials) == ["fp32", "fp32-no-sgemm", "fp32-no-winograd", "fp32-direct"]
    assert "right" not in trials["fp32"].choices
    assert trials["fp32-direct"].choices["joined"] == Choice(
        "fp32", sgemm=False
    )  # 1x1: no winograd to leave out


def test_a_layer_that_cannot_be_int8_has_float_choices(stock: Stock) -> None:
    left = next(layer for layer in stock.float.layers if layer.name == "left")
    without = [layer if layer.name != "left" else left for layer in stock.exact.layers]
    exact = stock.exact.copy()
    exact.layers = without
    choices = layers_with_choices(Stock(stock.float, exact, exact), ["fp16", "int8"])
    assert {choice.precision for choice in choices["left"]} == {"fp16"}


def test_nothing_runs_twice(stock: Stock) -> None:
    pointwise = [layer for layer in stock.float.layers if layer.name in ("x", "joined")]
    graph = stock.float.copy()
    graph.layers = [pointwise[0], pointwise[1]]
    graph.layers[1].inputs = ["x"]
    graph.outputs = ["joined"]
    assert list(uniform_trials(Stock(graph, graph, graph), ["fp16"])) == ["fp16", "fp16-no-sgemm"]
