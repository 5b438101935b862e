"""What a plan says of why: from findings that are made up."""

from __future__ import annotations

from types import SimpleNamespace

import pytest

from mobiledeploy.mixed.bound import Bound, Figures
from mobiledeploy.mixed.document import Findings, plan_document
from mobiledeploy.mixed.prices import PriceModel
from mobiledeploy.mixed.rewriting import Rewriting
from mobiledeploy.mixed.surroundings import find_surroundings
from mobiledeploy.mixed.trial import Prices
from ncnn_tools.graph import Graph
from ncnn_tools.mixed import Choice

FLOAT, DIRECT, INT8 = Choice("fp16"), Choice("fp16", winograd=False), Choice("int8")

OWN = {
    "stem": {FLOAT: 3.0, DIRECT: 2.0, INT8: 1.0},
    "left": {FLOAT: 3.0, DIRECT: 2.0, INT8: 1.0},
    "right": {FLOAT: 1.0, INT8: 2.0},
    "joined": {FLOAT: 1.0, INT8: 0.5},
    "deep": {FLOAT: 3.0, DIRECT: 2.0},
}
MIX = {"stem": INT8, "left": DIRECT, "right": FLOAT, "joined": INT8, "deep": FLOAT}
ERRORS = {"stem": {INT8: 3e-4}, "left": {INT8: 9e-2}, "joined": {INT8: 1e-4}}


@pytest.fixture
def bench() -> SimpleNamespace:
    """What a document needs of a bench: words about the device, no device."""
    facts = SimpleNamespace(
        label="Phone 6", primary_abi="arm64-v8a", emulated=False, cpu_features=("asimddp",)
    )
    return SimpleNamespace(
        device=SimpleNamespace(facts=facts), manifest={"name": "net"}, threads=1, unit="ms"
    )


def findings(graph: Graph, winner: str = "mixed-0") -> Findings:
    names = ("fp32", "fp16", "int8", "mixed-0")
    layers = {layer.name: 1.0 for layer in graph.layers if layer.type != "Input"}
    fp32, fp16 = ({layer.name: Choice(name) for layer in graph.layers} for name in ("fp32", "fp16"))
    contenders = {"fp32": fp32, "fp16": fp16, "int8": {**fp16, **MIX}, "mixed-0": {**fp16, **MIX}}
    return Findings(
        graph,
        contenders,
        winner,
        Rewriting(["grouped"], {"stem": 16}),
        dict(zip(names, (4.0, 3.5, 3.0, 2.0), strict=True)),
        dict.fromkeys(names, Figures({"min_iou": [0.995, 0.995]})),
        PriceModel(find_surroundings(graph), OWN, {}, {}, {}, {}),
        ERRORS,
        before=Prices({**layers, "stem": 3.0}, 13.0),
        after=Prices(layers, 10.0),
    )


def document(graph: Graph, bench: SimpleNamespace, winner: str = "mixed-0") -> dict:
    return plan_document(findings(graph, winner), bench, Bound(min_iou=0.99), ["a note"])


def test_every_layer_has_its_choice_and_prices(graph: Graph, bench) -> None:
    made = document(graph, bench)
    entries = {entry["name"]: entry for entry in made["layers"]}
    assert list(entries) == [layer.name for layer in graph.layers]
    for name, choice in MIX.items():
        entry = entries[name]
        assert Choice(entry["precision"], entry["winograd"], entry["sgemm"]) == choice
        assert entry["has_choice"]
    assert (entries["stem"]["before"], entries["stem"]["after"]) == (3.0, 1.0)
    assert not entries["concat"]["has_choice"]
    assert (entries["x"]["before"], entries["x"]["after"]) == (0, 0)  # an Input does not run


def test_shares_of_error_add_up(graph: Graph, bench) -> None:
    shares = {entry["name"]: entry["error_share"] for entry in document(graph, bench)["layers"]}
    assert (shares["stem"], shares["joined"]) == (0.75, 0.25)
    assert sum(shares.values()) == pytest.approx(1)


@pytest.mark.parametrize(
    ("name", "why"),
    [
        ("stem", "int8 1, float 2 ms"),
        ("left", "int8 saves 1 ms for an error of 9.0e-02; no winograd: 2 instead of 3"),
        ("right", "int8 not faster: 2 ms"),
        ("joined", "int8 0.5, float 1 ms"),
        ("concat", "ncnn runs it in one way"),
    ],
)
def test_why(graph: Graph, bench, name: str, why: str) -> None:
    [entry] = [entry for entry in document(graph, bench)["layers"] if entry["name"] == name]
    assert entry["why"] == why


def test_what_was_measured_of_wholes_and_of_the_bound(graph: Graph, bench) -> None:
    made = document(graph, bench)
    assert made["wholes"] == {"fp32": 4.0, "fp16": 3.5, "int8": 3.0, "mixed": 2.0}
    assert made["figures"]["mixed"]["min_iou"]["worse_end"] == pytest.approx(0.995)
    assert made["bound"] == {"min_iou": 0.99}
    assert made["device"] == {
        "label": "Phone 6",
        "abi": "arm64-v8a",
        "emulated": False,
        "int8_dot_product": True,
    }
    assert made["advice"] == ["a note"]


def test_a_uniform_variant_that_won_is_said_to_have(graph: Graph, bench) -> None:
    fp32 = document(graph, bench, "fp32")
    assert fp32["advice"][1] == "No mix was faster than fp32 and within the bound: mixed is fp32."
    assert fp32["wholes"]["mixed"] == 4.0
    assert {entry["precision"] for entry in fp32["layers"]} == {"fp32"}
    [stem] = [entry for entry in fp32["layers"] if entry["name"] == "stem"]
    assert stem["why"] == "as in the uniform variant that won"
    assert "No mix was faster than int8 (3.00 ms)" in document(graph, bench, "int8")["advice"][1]
