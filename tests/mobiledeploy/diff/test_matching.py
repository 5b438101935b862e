from __future__ import annotations

from mobiledeploy.diff.matching import match
from mobiledeploy.diff.source import nearest


def pairs_of(matching) -> list[tuple[str, str, str]]:
    return [(pair.reference.key, pair.candidate.key, pair.by) for pair in matching.pairs]


def test_names_in_the_candidates_order(plain, tensor) -> None:
    reference = plain([tensor("a"), tensor("b", "a"), tensor("c", "a"), tensor("d", "b", "c")], ["d"])
    candidate = plain([tensor("a"), tensor("c", "a"), tensor("b", "a"), tensor("d", "b", "c")], ["d"])
    matching = match(reference, candidate)
    assert pairs_of(matching) == [(key, key, "name") for key in "acbd"]
    assert [pair.parents for pair in matching.pairs] == [(), (0,), (0,), (2, 1)]
    assert [pair.is_output for pair in matching.pairs] == [False, False, False, True]
    assert matching.only_reference == matching.only_candidate == ()


def test_fused_tensors_have_no_counterpart_and_are_passed_through(plain, tensor) -> None:
    reference = plain(
        [tensor("conv"), tensor("bn", "conv"), tensor("relu", "bn"), tensor("y", "relu")], ["y"]
    )
    candidate = plain([tensor("relu"), tensor("blob 7", "relu"), tensor("y", "blob 7")], ["y"])
    matching = match(reference, candidate)
    assert [key for key, _, _ in pairs_of(matching)] == ["relu", "y"]
    assert matching.pairs[1].parents == (0,)
    assert [found.key for found in matching.only_reference] == ["conv", "bn"]
    assert [found.key for found in matching.only_candidate] == ["blob 7"]


def test_outputs_of_other_names_are_matched_by_their_order(plain, tensor) -> None:
    reference = plain([tensor("seg"), tensor("alpha", "seg")], ["seg", "alpha"])
    candidate = plain([tensor("0"), tensor("1", "0")], ["0", "1"], kind="fp32")
    assert pairs_of(match(reference, candidate)) == [("seg", "0", "output"), ("alpha", "1", "output")]
    fewer = plain([tensor("0")], ["0"])
    assert match(reference, fewer).pairs == ()


def test_a_renamed_graph_is_matched_by_operator_and_shape(plain, tensor) -> None:
    def side(prefix: str, extra: bool = False):
        shape = (1, 8, 4, 4)
        tensors = [
            tensor(f"{prefix}0", shape=shape),
            tensor(f"{prefix}1", f"{prefix}0", operator="Relu", shape=shape),
            tensor(f"{prefix}2", f"{prefix}1", shape=shape),
        ]
        if extra:
            tensors.append(tensor(f"{prefix}3", f"{prefix}2", shape=shape))
        return plain(tensors, [])

    assert pairs_of(match(side("a"), side("b"))) == [(f"a{n}", f"b{n}", "order") for n in range(3)]
    # With one convolution more on one side it is open which is which; the ReLU is not.
    assert pairs_of(match(side("a"), side("b", extra=True))) == [("a1", "b1", "order")]


def test_nearest_goes_through_what_is_not_wanted() -> None:
    parents = {"a": [], "b": ["a"], "c": ["b", "input"], "d": ["c", "a", "b"]}
    assert nearest(parents, ["a", "d"]) == {"a": (), "d": ("a",)}
    assert nearest(parents, ["b", "c", "d"]) == {"b": (), "c": ("b",), "d": ("c", "b")}
