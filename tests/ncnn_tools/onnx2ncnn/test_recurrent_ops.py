"""LSTM, GRU and RNN, against onnxruntime."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, NamedTuple

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

Check = Callable[..., Any]

GATES = {"RNN": 1, "GRU": 3, "LSTM": 4}
OUTPUTS = ["y", "y_h", "y_c"]


class Case(NamedTuple):
    operator: str
    steps: int
    size: int
    hidden: int
    direction: str

    @property
    def directions(self) -> int:
        return 2 if self.direction == "bidirectional" else 1

    @property
    def state(self) -> tuple[int, int, int]:
        return self.directions, 1, self.hidden

    @property
    def outputs(self) -> list[str]:
        return OUTPUTS if self.operator == "LSTM" else OUTPUTS[:2]

    @property
    def attributes(self) -> dict[str, Any]:
        more = {"linear_before_reset": 1} if self.operator == "GRU" else {}
        return {"hidden_size": self.hidden, "direction": self.direction, **more}

    def weights(self) -> dict[str, np.ndarray]:
        rng = np.random.default_rng(self.hidden)
        rows = GATES[self.operator] * self.hidden
        shapes = {"w": (rows, self.size), "r": (rows, self.hidden), "b": (2 * rows,)}
        return {
            name: rng.normal(0, 0.5, (self.directions, *shape)).astype(np.float32)
            for name, shape in shapes.items()
        }


CASES = st.builds(
    Case,
    st.sampled_from(sorted(GATES)),
    st.integers(1, 6),
    st.integers(1, 9),
    st.integers(1, 9),
    st.sampled_from(["forward", "reverse", "bidirectional"]),
)
STANDARD = Case("LSTM", 3, 4, 5, "forward")


@given(case=CASES, bias=st.booleans(), asked=st.sets(st.integers(0, 2), min_size=1))
def test_without_states(check_operator: Check, case: Case, bias: bool, asked: set[int]) -> None:
    outputs = [name if i in asked else "" for i, name in enumerate(case.outputs)]
    if not any(outputs):
        outputs = case.outputs
    constants = case.weights()
    if not bias:
        del constants["b"]
    check_operator(
        case.operator, {"x": (case.steps, 1, case.size)}, constants, outputs=outputs, **case.attributes
    )


@given(
    case=CASES,
    kinds=st.tuples(*[st.sampled_from(["absent", "zero", "constant", "computed"])] * 2),
)
def test_with_initial_states(check_operator: Check, case: Case, kinds: tuple[str, str]) -> None:
    inputs = {"x": (case.steps, 1, case.size)}
    constants = case.weights()
    names = ["x", "w", "r", "b", ""]
    for name, kind in zip(("h0", "c0"), kinds, strict=True):
        if name == "c0" and case.operator != "LSTM":
            break
        names.append("" if kind == "absent" else name)
        if kind == "computed":
            inputs[name] = case.state
        elif kind != "absent":
            rng = np.random.default_rng(7)
            value = np.zeros(case.state) if kind == "zero" else rng.normal(0, 1, case.state)
            constants[name] = value.astype(np.float32)
    check_operator(case.operator, inputs, constants, order=names, outputs=case.outputs, **case.attributes)


@pytest.mark.parametrize("operator", GATES)
def test_default_activations_spelled_out(check_operator: Check, operator: str) -> None:
    case = STANDARD._replace(operator=operator, direction="bidirectional")
    spelled = {"RNN": ["Tanh"], "GRU": ["Sigmoid", "Tanh"], "LSTM": ["Sigmoid", "Tanh", "Tanh"]}[operator]
    check_operator(operator, {"x": (3, 1, 4)}, case.weights(), activations=spelled * 2, **case.attributes)


def test_a_length_that_is_all_of_the_sequence(check_operator: Check) -> None:
    constants = {**STANDARD.weights(), "lengths": np.array([3], np.int32)}
    check_operator("LSTM", {"x": (3, 1, 4)}, constants, **STANDARD.attributes)


REFUSED = [
    ("activations", {"activations": ["Relu", "Tanh", "Tanh"]}),
    ("clip", {"clip": 1.0}),
    ("input_forget", {"input_forget": 1}),
]


@pytest.mark.parametrize(("attribute", "attributes"), REFUSED)
def test_options_that_ncnn_does_not_have_are_refused(
    check_refused: Check, attribute: str, attributes: dict[str, Any]
) -> None:
    check_refused(
        "LSTM",
        {"x": (3, 1, 4)},
        STANDARD.weights(),
        attribute=attribute,
        **STANDARD.attributes,
        **attributes,
    )


def test_inputs_that_ncnn_does_not_take_are_refused(check_refused: Check) -> None:
    weights, attributes = STANDARD.weights(), STANDARD.attributes
    check_refused("LSTM", {"x": (3, 2, 4)}, weights, **attributes)
    check_refused("LSTM", {"x": (3, 1, 4), "w": (1, 20, 4)}, {"r": weights["r"]}, **attributes)
    lengths = {**weights, "lengths": np.array([2], np.int32)}
    check_refused("LSTM", {"x": (3, 1, 4)}, lengths, attribute="sequence_lens", **attributes)
    peepholes = {**weights, "p": np.ones((1, 15), np.float32)}
    names = ["x", "w", "r", "b", "", "", "", "p"]
    check_refused("LSTM", {"x": (3, 1, 4)}, peepholes, order=names, attribute="P", **attributes)


def test_a_gru_that_resets_before_the_product_is_refused(check_refused: Check) -> None:
    case = STANDARD._replace(operator="GRU")
    attributes = {**case.attributes, "linear_before_reset": 0}
    check_refused("GRU", {"x": (3, 1, 4)}, case.weights(), attribute="linear_before_reset", **attributes)
