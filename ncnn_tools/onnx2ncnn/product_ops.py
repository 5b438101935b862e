"""Gemm, MatMul and Einsum: products of matrices, of which one may be constant."""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np

from ncnn_tools.onnx2ncnn.builder import Builder, as_floats
from ncnn_tools.onnx2ncnn.convolution_ops import add_weighted
from ncnn_tools.onnx2ncnn.source import Array, Node
from ncnn_tools.onnx2ncnn.view import Shape, View
from ncnn_tools.onnx2ncnn.view_ops import transposed

# ncnn's Gemm, constant_broadcast_type_c: one value for each column of the result (src/layer/gemm.cpp).
_ONE_A_COLUMN = 4


def convert_gemm(node: Node, build: Builder) -> None:
    """Gemm of an activation and constant B and C → InnerProduct for one row, Gemm for several."""
    left, right = node.inputs[:2]
    weight = build.constant(right)
    alpha, beta = float(node.attribute("alpha", 1.0)), float(node.attribute("beta", 1.0))
    is_transposed = bool(node.attribute("transA", 0)), bool(node.attribute("transB", 0))
    bias = build.constant(node.inputs[2]) if node.has_input(2) else None
    if node.has_input(2) and bias is None:
        raise node.unsupported("C should be constant")
    if weight is None or build.constant(left) is not None:
        raise node.unsupported("A should be an activation and B constant; write it as MatMul and Add")
    rows = weight if is_transposed[1] else weight.T
    view = build.view(node, left)
    if is_transposed[0]:
        view = transposed(node, build, view, (1, 0))
    if bias is not None:
        bias = beta * bias
        if bias.ndim == 2 and bias.shape[0] != 1:
            raise node.unsupported("C should be one row")
        bias = np.broadcast_to(bias.reshape(-1), (rows.shape[0],))
    _linear(node, build, view, rows if alpha == 1 else alpha * rows, bias)


def convert_matmul(node: Node, build: Builder) -> None:
    """MatMul → InnerProduct or Gemm where the right side is a constant matrix, MatMul otherwise."""
    left, right = node.inputs
    weight = build.constant(right)
    if weight is not None and weight.ndim == 2 and build.constant(left) is None:
        _linear(node, build, build.view(node, left), weight.T, None)
        return
    shapes = [build.shape(tensor) for tensor in node.inputs]
    views = [build.view(node, tensor) for tensor in node.inputs]
    if len(shapes[0]) == 1:
        views[0] = views[0].reshaped((1, *shapes[0]))
    if len(shapes[1]) == 1:
        views[1] = views[1].reshaped((*shapes[1], 1))
    _product(node, build, views[0], views[1])


def convert_einsum(node: Node, build: Builder) -> None:
    """Einsum of two operands whose letters each stand once in an operand → MatMul with views around it."""
    equation = str(node.attribute("equation")).replace(" ", "")
    terms, arrow, result = equation.partition("->")
    inputs = terms.split(",")
    letters = "".join(inputs)
    if len(inputs) != 2 or "." in equation or any(len(set(term)) != len(term) for term in inputs):
        raise node.unsupported(f"{equation!r}: only two operands with plain letters", "equation")
    if not arrow:
        result = "".join(sorted(letter for letter in set(letters) if letters.count(letter) == 1))
    left, right = inputs
    batch = [letter for letter in result if letter in left and letter in right]
    rows = [letter for letter in left if letter in result and letter not in right]
    columns = [letter for letter in right if letter in result and letter not in left]
    inner = [letter for letter in left if letter in right and letter not in result]
    if set(letters) != {*batch, *rows, *columns, *inner} or not inner:
        raise node.unsupported(f"{equation!r}: sums over letters of one operand, or over none", "equation")
    sizes = {
        letter: size
        for term, tensor in zip(inputs, node.inputs, strict=True)
        for letter, size in zip(term, build.shape(tensor), strict=True)
    }
    a = _arranged(node, build, 0, left, [batch, rows, inner], sizes)
    b = _arranged(node, build, 1, right, [batch, inner, columns], sizes)
    order = [*batch, *rows, *columns]
    shape = tuple(sizes[letter] for letter in order)
    blob, target = _multiply(node, build, a, b)
    product = build.add_hidden("MatMul", node, blob, target)
    view = View.of(product, shape)
    build.see(node.outputs[0], transposed(node, build, view, [order.index(letter) for letter in result]))


def _arranged(
    node: Node, build: Builder, index: int, term: str, groups: Sequence[Sequence[str]], sizes: dict[str, int]
) -> View:
    """View an operand with its letters in groups: (batch letters merged, first, second)."""
    order = [term.index(letter) for group in groups for letter in group]
    view = transposed(node, build, build.view(node, node.inputs[index]), order)
    return view.reshaped([math.prod(sizes[letter] for letter in group) for group in groups])


def _linear(node: Node, build: Builder, view: View, rows: Array, bias: Array | None) -> None:
    """Multiply each vector of the last axis with constant `rows` of shape (num_output, num_input)."""
    outputs, inputs = rows.shape
    if not view.shape or view.shape[-1] != inputs:
        raise node.unsupported(f"weights for {inputs} values do not fit shape {view.shape}")
    count = math.prod(view.shape[:-1])
    if count == 0:
        raise node.unsupported(f"shape {view.shape} holds no values")
    if count == 1:
        blob = build.move(view, (inputs,), node.inputs[0])
        add_weighted("InnerProduct", node, build, blob, (outputs,), rows, bias, {})
        return
    # InnerProduct takes matrices too, several times slower than Gemm (measured with the wheel on x86-64).
    blob = build.move(view, (count, inputs), node.inputs[0])
    layer = build.add(
        "Gemm",
        node,
        [blob],
        shapes=[(count, outputs)],
        trans_b=1,
        constant_b=1,
        constant_n=outputs,
        constant_k=inputs,
        constant_c=1,
        constant_broadcast_type_c=-1 if bias is None else _ONE_A_COLUMN,
    )
    layer.set_weight("b", as_floats(rows))
    if bias is not None:
        layer.set_weight("c", as_floats(bias))


def _product(node: Node, build: Builder, a: View, b: View) -> None:
    inputs, target = _multiply(node, build, a, b)
    build.add("MatMul", node, inputs, shapes=[target])


def _multiply(node: Node, build: Builder, a: View, b: View) -> tuple[list[str], Shape]:
    """Return the blobs that MatMul takes for the last two axes of both, and the shape of the result."""
    if a.shape[-1] != b.shape[-2]:
        raise node.unsupported(f"shapes {a.shape} and {b.shape} do not fit")
    batches = np.broadcast_shapes(a.shape[:-2], b.shape[:-2])
    count = math.prod(batches)
    blobs = []
    for view, name in zip((a, b), (*node.inputs, "")[:2], strict=True):
        own = math.prod(view.shape[:-2])
        if own not in (1, count):
            raise node.unsupported(f"the batches of {a.shape} and {b.shape} differ in several axes")
        matrix = view.shape[-2:]
        blobs.append(build.move(view, matrix if count == 1 else (own, *matrix), name))
    result = (a.shape[-2], b.shape[-1])
    return blobs, result if count == 1 else (count, *result)
