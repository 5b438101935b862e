"""The node tests that the onnx package itself ships, as a whole: each passes, is out of scope by a rule, is refused
with the converter's own message, or fails.

    python -m benchmarks.backend_nodes [--write docs/operators.md] [--list VERDICT] [--only NAME]

A test is a model of one operator (or, its name ending in `_expanded`, of what ONNX defines it by) and the values that
it should give. Parameters that networks hold as constants are given as initializers: integers and booleans (shapes,
axes, indices, conditions) beside a float input, and the float inputs that PARAMETERS names. Nothing else is changed.
"""

from __future__ import annotations

import argparse
import re
import tempfile
import warnings
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from enum import Enum
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import onnx
from onnx import TensorProto, numpy_helper

from ncnn_tools.errors import NcnnToolsError, UnsupportedOperatorError
from ncnn_tools.files import save
from ncnn_tools.isolated import IsolatedRuntime
from ncnn_tools.onnx2ncnn import convert_onnx
from ncnn_tools.onnx2ncnn.view import ncnn_shape
from ncnn_tools.passes import insert_splits

TOLERANCE = 1e-4  # of the largest expected value (or of 1), as for whole networks

# By operator, the places of float inputs that a network holds as constants.
PARAMETERS: dict[str, tuple[int, ...]] = {
    "Attention": (3,),
    "BatchNormalization": (1, 2, 3, 4),
    "CausalConvWithState": (1, 2),
    "Clip": (1, 2),
    "Conv": (1, 2),
    "ConvTranspose": (1, 2),
    "DeformConv": (1, 3),
    "GRU": (1, 2, 3),
    "Gemm": (1, 2),
    "GroupNormalization": (1, 2),
    "InstanceNormalization": (1, 2),
    "LSTM": (1, 2, 3, 7),
    "LayerNormalization": (1, 2),
    "PRelu": (1,),
    "Pad": (2,),
    "Pow": (1,),
    "RMSNormalization": (1,),
    "RNN": (1, 2, 3),
    "Resize": (1, 2),
    "RotaryEmbedding": (1, 2),
    "Upsample": (1,),
}

RANDOM = {
    *("Bernoulli", "Multinomial", "RandomNormal", "RandomNormalLike", "RandomUniform", "RandomUniformLike")
}
INTEGERS = {
    *(
        TensorProto.BOOL,
        TensorProto.INT4,
        TensorProto.UINT4,
        TensorProto.INT8,
        TensorProto.UINT8,
        TensorProto.INT16,
    ),
    *(TensorProto.UINT16, TensorProto.INT32, TensorProto.UINT32, TensorProto.INT64, TensorProto.UINT64),
    *(TensorProto.INT2, TensorProto.UINT2),
}

Array = npt.NDArray[Any]


class Verdict(str, Enum):
    """What became of a test."""

    PASSED = "passed"
    OUT_OF_SCOPE = "out of scope"  # by one of the rules below
    REFUSED = "refused"  # the converter says that it can't, and why
    FAILED = "failed"  # wrong, crashed, or an error that is no refusal


@dataclass(frozen=True)
class Result:
    """One test: its name, the operator, the verdict and its reason (a rule or a message)."""

    name: str
    operator: str
    verdict: Verdict
    reason: str = ""


def main() -> None:
    """Run the tests and print or write the counts."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--write", type=Path, metavar="FILE", help="put the counts between its two marks")
    parser.add_argument("--list", type=Verdict, choices=list(Verdict), help="name each test of one verdict")
    parser.add_argument("--only", default="", metavar="NAME", help="tests whose name contains this")
    options = parser.parse_args()
    results = run_all(options.only)
    if options.write:
        text = options.write.read_text()
        options.write.write_text(text.replace(section(text), markdown(results)))
    elif options.list:
        for result in results:
            if result.verdict is options.list:
                print(f"{result.name} ({result.operator}): {result.reason}")
    else:
        print(markdown(results))


def run_all(only: str = "") -> list[Result]:
    """Judge every test whose name contains `only`."""
    with warnings.catch_warnings(), np.errstate(all="ignore"):
        warnings.simplefilter("ignore")  # the expected values of some tests overflow on purpose
        from onnx.backend.test.case.node import collect_testcases

        cases = collect_testcases()
    nodes = {case.name: case.model.graph.node[0] for case in cases}
    with IsolatedRuntime() as runtime:
        return [
            # An expanded test has the inputs of the operator whose body it is.
            judge(case, nodes.get(case.name.split("_expanded")[0], nodes[case.name]), runtime)
            for case in cases
            if only in case.name
        ]


def judge(case: Any, node: onnx.NodeProto, runtime: IsolatedRuntime) -> Result:
    """Convert and run one test of an operator's `node`."""
    model, feeds = with_constants(case, node)
    if rule := out_of_scope(model):
        return Result(case.name, node.op_type, Verdict.OUT_OF_SCOPE, rule)
    try:
        graph = convert_onnx(model)
    except UnsupportedOperatorError as error:
        return Result(case.name, node.op_type, Verdict.REFUSED, about(error, node.op_type))
    except Exception as error:
        return Result(case.name, node.op_type, Verdict.FAILED, f"{type(error).__name__}: {error}")
    insert_splits(graph)
    try:
        with tempfile.TemporaryDirectory() as folder:
            param, weights = Path(folder, "model.param"), Path(folder, "model.bin")
            save(graph, param, weights)
            runtime.load(param, weights)
            inputs = {name: value.reshape(ncnn_shape(value.shape)) for name, value in feeds.items()}
            values = runtime.run(inputs, graph.outputs)
    except NcnnToolsError as error:
        return Result(case.name, node.op_type, Verdict.FAILED, f"{type(error).__name__}: {error}")
    for blob, expected in zip(graph.outputs, case.data_sets[0][1], strict=True):
        if said := difference(values[blob], np.asarray(expected, np.float32)):
            return Result(case.name, node.op_type, Verdict.FAILED, said)
    return Result(case.name, node.op_type, Verdict.PASSED)


def with_constants(case: Any, node: onnx.NodeProto) -> tuple[onnx.ModelProto, dict[str, Any]]:
    """Return the model with its parameters as initializers, and the values of the inputs that are left."""
    model = onnx.ModelProto.FromString(case.model.SerializeToString())
    places = PARAMETERS.get(node.op_type, ())
    parameters = {node.input[place] for place in places if place < len(node.input)}
    feeds = dict(zip((value.name for value in model.graph.input), case.data_sets[0][0], strict=True))
    has_float = any(element_type(value) == TensorProto.FLOAT for value in model.graph.input)
    for value in list(model.graph.input):
        if value.name in parameters or (has_float and element_type(value) in INTEGERS):
            model.graph.initializer.append(_tensor(feeds.pop(value.name), value.name))
            model.graph.input.remove(value)
    return model, feeds


def _tensor(value: Any, name: str) -> onnx.TensorProto:
    if not isinstance(value, onnx.TensorProto):
        return numpy_helper.from_array(np.asarray(value), name)
    tensor = onnx.TensorProto.FromString(value.SerializeToString())  # of a type that numpy does not have
    tensor.name = name
    return tensor


def out_of_scope(model: onnx.ModelProto) -> str:
    """Return the first rule by which a test is out of scope; none where it is not."""
    graph = model.graph
    values = [*graph.input, *graph.output]
    kinds = {element_type(value) for value in values}
    rules = {
        "an operator of a preview or machine learning domain": any(
            node.domain not in ("", "ai.onnx") for node in graph.node
        ),
        "sequences, optional values or maps": None in kinds,
        "control flow": any(attribute.HasField("g") for node in graph.node for attribute in node.attribute),
        "random results": any(node.op_type in RANDOM for node in graph.node),
        "strings": TensorProto.STRING in kinds,
        "other floats than float32": bool(kinds - INTEGERS - {TensorProto.FLOAT, TensorProto.STRING, None}),
        "nothing to compute from float inputs": not graph.input,
        "integers or booleans to compute with, or as result": bool(kinds & INTEGERS),
        "sizes that are not fixed": any(
            not axis.HasField("dim_value") for value in values for axis in value.type.tensor_type.shape.dim
        ),
        "tensors without values": any(
            axis.dim_value == 0 for value in values for axis in value.type.tensor_type.shape.dim
        ),
        "training": any(
            attribute.name == "training_mode" and attribute.i
            for node in graph.node
            for attribute in node.attribute
        ),
    }
    return next((rule for rule, holds in rules.items() if holds), "")


def element_type(value: onnx.ValueInfoProto) -> int | None:
    """Return the ONNX element type of a tensor; None for what is no tensor."""
    kind = value.type
    return kind.tensor_type.elem_type if kind.HasField("tensor_type") else None


def difference(actual: Array, expected: Array) -> str:
    """Say how a blob differs from the tensor that it stands for; nothing where it does not."""
    if actual.shape != ncnn_shape(expected.shape):
        return f"shape {actual.shape}, not {ncnn_shape(expected.shape)}"
    expected = expected.reshape(actual.shape)
    finite = np.isfinite(expected)
    if not np.array_equal(actual[~finite], expected[~finite], equal_nan=True):
        return "infinities or NaN differ"
    worst = float(np.abs(actual[finite] - expected[finite]).max(initial=0))
    scale = max(1.0, float(np.abs(expected[finite]).max(initial=0)))
    return "" if worst <= TOLERANCE * scale else f"off by {worst:.3g} of {scale:.3g}"


def about(error: UnsupportedOperatorError, operator: str) -> str:
    """Return a refusal without what is the test's own: names, shapes and sizes, the operator that is tested."""
    named = [error.operator] if error.operator != operator else []
    named += [error.attribute] if error.attribute else []
    reason = ": ".join([", ".join(named), error.reason]) if named else error.reason
    reason = re.sub(r"tensor '[^']*'", "a tensor", reason)
    return re.sub(r"\([\d, ]+\)|\[[\d., ]+\]|(?<=from )\d+|(?<=to )\d+", "…", reason)


BEGIN, END = "<!-- backend nodes: begin -->", "<!-- backend nodes: end -->"


def section(text: str) -> str:
    """Return the part of a document between the marks, with them."""
    return text[text.index(BEGIN) : text.index(END) + len(END)]


def markdown(results: Sequence[Result]) -> str:
    """Return the counts, the rules and the refusals as a section of a document."""
    return "\n".join([BEGIN, *_lines(results), END])


def _lines(results: Sequence[Result]) -> Iterator[str]:
    counts = Counter(result.verdict for result in results)
    named = ", ".join(f"{counts[verdict]} {verdict.value}" for verdict in Verdict)
    yield f"Of {len(results)} tests: {named}."
    yield ""
    yield "| out of scope | tests |"
    yield "| --- | ---: |"
    for rule, count in _counted(results, Verdict.OUT_OF_SCOPE):
        yield f"| {rule} | {count} |"
    yield ""
    yield "| refused | because | tests |"
    yield "| --- | --- | ---: |"
    reasons = Counter(
        (result.operator, result.reason.replace("|", "/"))
        for result in results
        if result.verdict is Verdict.REFUSED
    )
    for (operator, reason), count in sorted(reasons.items()):
        yield f"| {operator} | {reason} | {count} |"


def _counted(results: Sequence[Result], verdict: Verdict) -> list[tuple[str, int]]:
    return Counter(result.reason for result in results if result.verdict is verdict).most_common()


if __name__ == "__main__":
    main()
