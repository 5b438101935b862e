from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from mobiledeploy.mixed.surroundings import find_surroundings
from ncnn_tools.graph import Graph
from ncnn_tools.mixed import Choice, Stock, mix
from ncnn_tools.quantization.chains import gives_int8

ABLE = ("stem", "left", "right", "joined", "deep", "tail")


def test_who_reads_whose_blobs(graph: Graph) -> None:
    found = find_surroundings(graph)
    assert found.readers == {
        "stem": {"left", "right"},  # through the Split
        "left": None,  # a Concat
        "right": None,
        "joined": {"deep"},
        "deep": None,  # an output, and pooling
    }


def test_what_stands_before_layers_that_cannot_be_int8(graph: Graph) -> None:
    before = find_surroundings(graph).before
    assert before["split"] == {"stem"}
    assert before["concat"] == {"left", "right"}
    assert before["pool"] == before["fork"] == {"deep"}
    assert before["x"] == frozenset()
    assert not set(before) & set(ABLE)


def test_sizes_are_of_the_first_blobs(graph: Graph) -> None:
    sizes = find_surroundings(graph).sizes
    assert sizes["joined"] == (16 * 36, 8 * 36)
    assert sizes["tail"] == (8, 8)
    unknown = graph.copy()
    unknown.shapes = {}
    assert find_surroundings(unknown).sizes["joined"] == (1, 1)


@given(st.sets(st.sampled_from(ABLE)))
def test_those_hand_int8_on_whom_a_mix_lets(graph: Graph, stock: Stock, int8: set[str]) -> None:
    surroundings = find_surroundings(graph)
    mixed = mix(stock, dict.fromkeys(int8, Choice("int8")))
    giving = {layer.name for layer in mixed.layers if gives_int8(layer)}
    assert {name for name in ABLE if surroundings.chains(name, int8)} == giving


def test_the_share_behind(graph: Graph) -> None:
    surroundings = find_surroundings(graph)
    assert surroundings.share_behind("concat", {"left"}) == 0.5
    assert surroundings.share_behind("concat", {"left", "right", "deep"}) == 1
    assert surroundings.share_behind("x", {"stem"}) == 0
    assert surroundings.share_behind("stem", {"stem"}) == 0
