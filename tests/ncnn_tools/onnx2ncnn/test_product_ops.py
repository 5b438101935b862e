"""Gemm, MatMul and Einsum, against onnxruntime."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

Check = Callable[..., Any]
Shape = tuple[int, ...]


def normal(*shape: int, seed: int = 0) -> np.ndarray:
    return np.random.default_rng(seed).normal(0, 1, shape).astype(np.float32)


@given(
    sizes=st.tuples(st.integers(1, 40), st.integers(1, 20)),
    trans_b=st.booleans(),
    alpha=st.sampled_from([1.0, 0.5, -2.0]),
    beta=st.sampled_from([1.0, 0.25]),
    bias=st.sampled_from([None, (), (1,), (1, 1), "outputs", "row"]),
)
def test_gemm(
    check_operator: Check, sizes: tuple[int, int], trans_b: bool, alpha: float, beta: float, bias: Any
) -> None:
    depth, outputs = sizes
    constants = {"b": normal(outputs, depth) if trans_b else normal(depth, outputs)}
    if bias is not None:
        shape = {"outputs": (outputs,), "row": (1, outputs)}.get(bias, bias)
        constants["c"] = normal(*shape, seed=1)
    check_operator("Gemm", {"x": (1, depth)}, constants, transB=int(trans_b), alpha=alpha, beta=beta)


@given(
    sizes=st.tuples(st.integers(1, 9), st.integers(1, 24), st.integers(1, 17)),
    trans_a=st.booleans(),
    trans_b=st.booleans(),
)
def test_gemm_of_several_rows(
    check_operator: Check, sizes: tuple[int, int, int], trans_a: bool, trans_b: bool
) -> None:
    rows, depth, outputs = sizes
    shape = (depth, rows) if trans_a else (rows, depth)
    constants = {"b": normal(outputs, depth) if trans_b else normal(depth, outputs), "c": normal(outputs)}
    check_operator("Gemm", {"x": shape}, constants, transA=int(trans_a), transB=int(trans_b))


@given(
    sizes=st.tuples(st.integers(1, 5), st.integers(1, 5), st.integers(1, 5)),
    added=st.sampled_from([None, (), (1,), "columns", "rows", "values"]),
    factors=st.sampled_from([(1.0, 1.0), (0.5, 1.0), (1.0, -2.0), (2.0, 0.5)]),
    constants=st.sets(st.sampled_from("abc"), max_size=2),
    turned=st.tuples(st.booleans(), st.booleans()),
)
def test_gemm_of_any_kind(
    check_operator: Check,
    sizes: tuple[int, int, int],
    added: Any,
    factors: tuple[float, float],
    constants: set[str],
    turned: tuple[bool, bool],
) -> None:
    rows, depth, columns = sizes
    named = {"columns": (columns,), "rows": (rows, 1), "values": (rows, columns)}
    shapes = {"a": (depth, rows) if turned[0] else (rows, depth)}
    shapes["b"] = (columns, depth) if turned[1] else (depth, columns)
    if added is not None:
        shapes["c"] = named.get(added, added)
    assume(constants < set(shapes))
    check_operator(
        "Gemm",
        {name: shape for name, shape in shapes.items() if name not in constants},
        {name: normal(*shape, seed=i) for i, (name, shape) in enumerate(shapes.items()) if name in constants},
        order=list(shapes),
        alpha=factors[0],
        beta=factors[1],
        transA=int(turned[0]),
        transB=int(turned[1]),
    )


@given(rows=st.none() | st.integers(1, 9), depth=st.integers(1, 24), outputs=st.integers(1, 17))
def test_matmul_with_a_constant_matrix(
    check_operator: Check, rows: int | None, depth: int, outputs: int
) -> None:
    shape = (1, depth) if rows is None else (1, rows, depth)
    check_operator("MatMul", {"x": shape}, {"w": normal(depth, outputs)})


@given(
    batch=st.lists(st.integers(1, 4), max_size=2),
    sizes=st.tuples(st.integers(1, 9), st.integers(1, 9), st.integers(1, 9)),
    constant=st.sampled_from(["", "left", "right"]),
)
def test_matmul_of_equal_rank(
    check_operator: Check, batch: list[int], sizes: tuple[int, int, int], constant: str
) -> None:
    rows, depth, columns = sizes
    left, right = (1, *batch, rows, depth), (1, *batch, depth, columns)
    if constant == "left":
        check_operator("MatMul", {"r": right}, {"l": normal(*left)}, order=["l", "r"])
    elif constant == "right":
        check_operator("MatMul", {"l": left}, {"r": normal(*right)})
    else:
        check_operator("MatMul", {"l": left, "r": right})


@pytest.mark.parametrize(
    ("left", "right"),
    [((1, 1, 3, 4), (1, 5, 4, 2)), ((1, 5, 3, 4), (1, 1, 4, 2)), ((3, 1, 2, 4), (4, 5)), ((2, 4), (3, 4, 5))],
)
def test_matmul_that_broadcasts(check_operator: Check, left: tuple[int, ...], right: tuple[int, ...]) -> None:
    check_operator("MatMul", {"l": left, "r": right})


def test_matmul_with_constants_of_other_ranks(check_operator: Check) -> None:
    check_operator("MatMul", {"x": (1, 2, 3, 4)}, {"w": normal(4, 5)})
    check_operator("MatMul", {"x": (1, 4)}, {"w": normal(1, 4, 5)})
    check_operator("MatMul", {"x": (1, 3, 4)}, {"w": normal(4)})
    check_operator("MatMul", {"x": (1, 4)}, {"w": normal(3, 1)}, order=["w", "x"])
    check_operator("MatMul", {"x": (4,)}, {"w": normal(4)})


@given(
    batches=st.lists(st.tuples(st.integers(1, 3), st.booleans(), st.booleans()), max_size=2),
    sizes=st.tuples(st.integers(1, 4), st.integers(1, 4), st.integers(1, 4)),
)
def test_matmul_of_batches_that_both_broadcast(
    check_operator: Check, batches: list[tuple[int, bool, bool]], sizes: tuple[int, int, int]
) -> None:
    left = (*(1 if whole else size for size, whole, _ in batches), sizes[0], sizes[1])
    right = (*(1 if whole else size for size, _, whole in batches), sizes[1], sizes[2])
    check_operator("MatMul", {"l": left, "r": right})


LETTERS = "bnhqkd"


@given(data=st.data())
def test_einsum(refusal: Check, data: st.DataObject) -> None:
    """Any product of two operands; a letter of one operand alone that the result lacks is a sum, and refused."""
    draw = data.draw
    left, right = (
        "".join(draw(st.lists(st.sampled_from(LETTERS), unique=True, min_size=1, max_size=4)))
        for _ in range(2)
    )
    letters = sorted(set(left + right))
    result = "".join(draw(st.lists(st.sampled_from(letters), unique=True, max_size=4)))
    sizes = {letter: draw(st.integers(1, 4)) for letter in letters}
    shapes = {name: tuple(sizes[c] for c in term) for name, term in (("l", left), ("r", right))}
    error = refusal("Einsum", shapes, equation=f"{left},{right}->{result}")
    alone = set(left) ^ set(right)
    shared = set(left) & set(right)
    if error is not None:
        assert error.attribute == "equation"
        assert alone - set(result) or not shared - set(result)


@pytest.mark.parametrize(
    ("equation", "left", "right"),
    [
        ("bhqd,bhkd->bhqk", (1, 2, 3, 4), (1, 2, 5, 4)),
        ("bhqk,bhkd->bhqd", (1, 2, 3, 5), (1, 2, 5, 4)),
        ("bqhd,bkhd->bhqk", (1, 3, 2, 4), (1, 5, 2, 4)),
        ("bhqk,bkhd->bqhd", (1, 2, 3, 5), (1, 5, 2, 4)),
        ("bchw,bkc->bkhw", (1, 4, 3, 5), (1, 2, 4)),
        ("ij,jk", (3, 4), (4, 5)),
        ("i,i->", (4,), (4,)),
    ],
)
def test_usual_einsums(
    check_operator: Check, equation: str, left: tuple[int, ...], right: tuple[int, ...]
) -> None:
    check_operator("Einsum", {"l": left, "r": right}, equation=equation)


def test_einsum_of_a_constant(check_operator: Check) -> None:
    check_operator("Einsum", {"x": (2, 3, 4)}, {"w": normal(4, 5)}, equation="abc,cd->abd")
    check_operator("Einsum", {"x": (1, 3, 4)}, {"w": normal(5, 4)}, order=["w", "x"], equation="dc,abc->adb")
