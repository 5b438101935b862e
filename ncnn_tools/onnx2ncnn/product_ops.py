"""Gemm, MatMul and Einsum: products of matrices, of which one may be constant."""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np

from ncnn_tools.onnx2ncnn.broadcasting import broadcast
from ncnn_tools.onnx2ncnn.builder import Builder, as_floats
from ncnn_tools.onnx2ncnn.convolution_ops import add_weighted
from ncnn_tools.onnx2ncnn.shape_ops import tiled
from ncnn_tools.onnx2ncnn.source import Array, Node
from ncnn_tools.onnx2ncnn.view import Shape, View
from ncnn_tools.onnx2ncnn.view_ops import transposed
from ncnn_tools.schema import binary_op

# ncnn's Gemm, constant_broadcast_type_c: one value for each column, or for each value, of the result
# (src/layer/gemm.cpp).
_ONE_A_COLUMN, _ONE_A_VALUE = 4, 3


def convert_gemm(node: Node, build: Builder) -> None:
    """Gemm of an activation and constant B and C → InnerProduct for one row, Gemm for several; others → MatMul."""
    alpha, beta = float(node.attribute("alpha", 1.0)), float(node.attribute("beta", 1.0))
    turned = [bool(node.attribute("transA", 0)), bool(node.attribute("transB", 0))]
    constants = [build.constant(tensor) if tensor else None for tensor in node.inputs]
    weight = constants[1]
    bias = constants[2] if node.has_input(2) else None
    views = []
    if weight is None or constants[0] is not None or (node.has_input(2) and bias is None):
        for tensor, swap in zip(node.inputs, turned, strict=False):
            view = build.view(node, tensor)
            views.append(transposed(node, build, view, (1, 0)) if swap else view)
        _gemm_in_parts(node, build, views, alpha, beta)
        return
    view = build.view(node, node.inputs[0])
    if turned[0]:
        view = transposed(node, build, view, (1, 0))
    rows = weight if turned[1] else weight.T
    if bias is not None:
        # One value for each column, or one for each value of the result.
        whole = bias.ndim == 2 and bias.shape[0] > 1
        bias = np.broadcast_to(beta * bias, (view.shape[0], len(rows)) if whole else (1, len(rows)))
    # An alpha of 1, as exporters write it, is not worth a copy of the weights.
    _linear(node, build, view, rows if alpha == 1 else alpha * rows, bias)


def _gemm_in_parts(node: Node, build: Builder, views: Sequence[View], alpha: float, beta: float) -> None:
    """Multiply two matrices, of which both or none are activations, and add a third one."""
    inputs, shape = _multiply(node, build, *views)
    product = build.add_hidden("MatMul", node, inputs, shape)
    if alpha != 1:
        product = build.add_hidden(
            "BinaryOp", node, [product], shape, op_type=binary_op.MUL, with_scalar=1, b=alpha
        )
    if not node.has_input(2) or beta == 0:
        build.see(node.outputs[0], View.of(product, shape))
        return
    added = node.inputs[2]
    if beta != 1:
        blob = build.blob_in_order(node, added)
        held = build.graph.shapes[blob]
        scaled = build.add_hidden(
            "BinaryOp", node, [blob], held, op_type=binary_op.MUL, with_scalar=1, b=beta
        )
        build.see_hidden(f"{node.name}_c", scaled, build.shape(added))
        added = f"{node.name}_c"
    build.see_hidden(f"{node.name}_product", product, shape)
    blobs, target = broadcast(node, build, [f"{node.name}_product", added])
    build.add("BinaryOp", node, blobs, shapes=[target], op_type=binary_op.ADD)


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
    inputs, target = _multiply(node, build, *views)
    build.add("MatMul", node, inputs, shapes=[target])


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
        if bias.size != outputs:
            layer.set("constant_broadcast_type_c", _ONE_A_VALUE)
            layer.set("constant_m", count)
        layer.set_weight("c", as_floats(bias))


def _multiply(node: Node, build: Builder, a: View, b: View) -> tuple[list[str], Shape]:
    """Return the blobs that MatMul takes for the last two axes of both, and the shape of the result."""
    if a.shape[-1] != b.shape[-2]:
        raise node.unsupported(f"shapes {a.shape} and {b.shape} do not fit")
    batches = np.broadcast_shapes(a.shape[:-2], b.shape[:-2])
    count = math.prod(batches)
    blobs = []
    for given, name in zip((a, b), (*node.inputs, "")[:2], strict=True):
        view, matrix = given, given.shape[-2:]
        own = math.prod(view.shape[:-2])
        if own not in (1, count):  # ncnn repeats the batch as a whole, not some of its axes
            own = count
            shape = (1,) * (len(batches) + 2 - len(view.shape)) + view.shape
            repeats = [wanted // size for wanted, size in zip(batches, shape, strict=False)]
            view = tiled(node, build, view.reshaped(shape), repeats)
        blobs.append(build.move(view, matrix if count == 1 else (own, *matrix), name))
    result = (a.shape[-2], b.shape[-1])
    return blobs, result if count == 1 else (count, *result)
