"""What the tests of ncnn_tools share: small ONNX models, their values by onnxruntime, the same by ncnn."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt
import onnx
import onnxruntime
import pytest
from hypothesis import HealthCheck, settings
from onnx import TensorProto, helper, numpy_helper

from ncnn_tools.errors import UnsupportedOperatorError
from ncnn_tools.graph import Graph, Layer, new_layer
from ncnn_tools.onnx2ncnn import convert_onnx
from ncnn_tools.onnx2ncnn.view import ncnn_shape
from ncnn_tools.passes import insert_splits
from ncnn_tools.runtime import Runtime, RuntimeOptions

Array = npt.NDArray[Any]
Shapes = Mapping[str, Sequence[int]]
Values = dict[str, Array]

TOLERANCE = 1e-4  # of the largest expected value (or of 1)

# `--hypothesis-profile=explore` looks further than a normal run does.
settings.register_profile(
    "steady",
    deadline=None,
    derandomize=True,
    max_examples=40,
    suppress_health_check=[HealthCheck.too_slow],  # says more of a busy machine than of a test
)
settings.register_profile("explore", deadline=None, max_examples=1500)


def pytest_configure(config: pytest.Config) -> None:
    if not config.getoption("--hypothesis-profile", default=None):
        settings.load_profile("steady")


def _make_model(
    nodes: Sequence[onnx.NodeProto],
    inputs: Shapes,
    outputs: Sequence[str],
    constants: Mapping[str, npt.ArrayLike] | None = None,
    *,
    opset: int = 18,
) -> onnx.ModelProto:
    """Make a model of float32 inputs; the outputs' shapes are left to inference."""
    constants = {name: np.asarray(value) for name, value in (constants or {}).items()}
    known = {**inputs, **{name: value.shape for name, value in constants.items()}}
    graph = helper.make_graph(
        list(nodes),
        "test",
        [
            helper.make_tensor_value_info(name, TensorProto.FLOAT, list(shape))
            for name, shape in inputs.items()
        ],
        [helper.make_tensor_value_info(name, TensorProto.FLOAT, known.get(name)) for name in outputs],
        [numpy_helper.from_array(value, name) for name, value in constants.items()],
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", opset)], ir_version=8)
    return _with_output_shapes(model)


def _with_output_shapes(model: onnx.ModelProto) -> onnx.ModelProto:
    """Note the outputs' shapes, which a valid model has: inferred, or those of a run where inference finds none."""
    result = onnx.shape_inference.infer_shapes(model, data_prop=True)
    unknown = [output for output in result.graph.output if not output.type.tensor_type.HasField("shape")]
    for output in unknown:
        output.type.tensor_type.shape.SetInParent()
    try:
        values = (
            _run_onnx(result, _random_inputs(model), [output.name for output in unknown]) if unknown else {}
        )
    except Exception:  # onnxruntime has no such operator, or only for other types or attributes
        return result
    for output in unknown:
        for size in values[output.name].shape:
            output.type.tensor_type.shape.dim.add().dim_value = size
    return result


def _random_inputs(model: onnx.ModelProto, seed: int = 0) -> Values:
    """Draw values for each input of a model, ONNX shape, normally distributed."""
    rng = np.random.default_rng(seed)
    constants = {tensor.name for tensor in model.graph.initializer}
    return {
        value.name: rng.normal(0, 1.5, [axis.dim_value for axis in value.type.tensor_type.shape.dim]).astype(
            np.float32
        )
        for value in model.graph.input
        if value.name not in constants
    }


def _run_onnx(model: onnx.ModelProto, feeds: Values, outputs: Sequence[str] | None = None) -> Values:
    """Return a model's outputs, or any of its tensors, by onnxruntime without its optimizations."""
    if outputs is not None:
        model = onnx.ModelProto.FromString(model.SerializeToString())
        del model.graph.output[:]
        model.graph.output.extend(
            helper.make_tensor_value_info(name, TensorProto.FLOAT, None) for name in outputs
        )
    options = onnxruntime.SessionOptions()
    options.graph_optimization_level = onnxruntime.GraphOptimizationLevel.ORT_DISABLE_ALL
    options.intra_op_num_threads = 1
    options.log_severity_level = 4
    session = onnxruntime.InferenceSession(
        model.SerializeToString(), options, providers=["CPUExecutionProvider"]
    )
    names = [output.name for output in session.get_outputs()]
    return dict(zip(names, session.run(names, feeds), strict=True))


def _run_graph(graph: Graph, feeds: Values, options: RuntimeOptions | None = None) -> Values:
    """Return a graph's outputs by ncnn, for inputs of ONNX shape; Splits are put in where they are missing."""
    complete = graph.copy()
    insert_splits(complete)
    runtime = Runtime.from_graph(complete, options)
    return runtime.run(
        {name: value.reshape(ncnn_shape(value.shape)) for name, value in feeds.items()}, graph.outputs
    )


def _assert_close(actual: Array, expected: Array, what: str = "") -> None:
    """Compare a blob with the ONNX tensor it stands for: its shape in ncnn, values within TOLERANCE."""
    assert actual.shape == ncnn_shape(expected.shape), what
    expected = expected.reshape(actual.shape)
    finite = np.isfinite(expected)
    np.testing.assert_array_equal(actual[~finite], expected[~finite], what)
    scale = max(1.0, float(np.abs(expected[finite]).max(initial=0)))
    worst = float(np.abs(actual - expected)[finite].max(initial=0))
    assert worst <= TOLERANCE * scale, f"{what}: off by {worst} of {scale}"


def _check_model(
    model: onnx.ModelProto,
    feeds: Values | None = None,
    options: RuntimeOptions | None = None,
) -> Graph:
    """Convert a model, assert that ncnn computes what onnxruntime does, and return the graph."""
    feeds = _random_inputs(model) if feeds is None else feeds
    graph = convert_onnx(model)
    expected = _run_onnx(model, feeds)
    actual = _run_graph(graph, feeds, options)
    for blob, (tensor, value) in zip(graph.outputs, expected.items(), strict=True):
        _assert_close(actual[blob], value, tensor)
    return graph


def _one_node(
    operator: str,
    inputs: Shapes,
    constants: Mapping[str, npt.ArrayLike] | None = None,
    *,
    order: Sequence[str] | None = None,
    outputs: Sequence[str] = ("y",),
    opset: int = 18,
    **attributes: Any,
) -> onnx.ModelProto:
    """Make a model of one node, called "the_node"; it takes the inputs, then the constants, or both in `order`."""
    names = [*inputs, *(constants or {})] if order is None else list(order)
    node = helper.make_node(operator, names, list(outputs), name="the_node", **attributes)
    return _make_model([node], inputs, [name for name in outputs if name], constants, opset=opset)


@pytest.fixture(scope="session")
def make_model() -> Callable[..., onnx.ModelProto]:
    return _make_model


@pytest.fixture(scope="session")
def random_inputs() -> Callable[..., Values]:
    return _random_inputs


@pytest.fixture(scope="session")
def run_onnx() -> Callable[..., Values]:
    return _run_onnx


@pytest.fixture(scope="session")
def run_graph() -> Callable[..., Values]:
    return _run_graph


@pytest.fixture(scope="session")
def assert_close() -> Callable[..., None]:
    return _assert_close


@pytest.fixture(scope="session")
def check_model() -> Callable[..., Graph]:
    return _check_model


@pytest.fixture(scope="session")
def check_operator() -> Callable[..., Graph]:
    """Make a model of one node (see `_one_node`) and check it (see `_check_model`)."""

    def check(*args: Any, feeds: Values | None = None, **kwargs: Any) -> Graph:
        return _check_model(_one_node(*args, **kwargs), feeds)

    return check


@pytest.fixture(scope="session")
def check_refused() -> Callable[..., UnsupportedOperatorError]:
    """Make a model of one node and assert that it is refused, with its name, operator and `attribute`."""

    def check(
        operator: str, *args: Any, attribute: str | None = None, **kwargs: Any
    ) -> UnsupportedOperatorError:
        model = _one_node(operator, *args, **kwargs)
        with pytest.raises(UnsupportedOperatorError) as caught:
            convert_onnx(model)
        assert caught.value.operator == operator
        assert "the_node" in str(caught.value)
        assert caught.value.attribute == attribute
        return caught.value

    return check


@pytest.fixture(scope="session")
def refusal() -> Callable[..., UnsupportedOperatorError | None]:
    """Check a model of one node as `check_operator` does, or return the error with which it was refused."""

    def check(*args: Any, feeds: Values | None = None, **kwargs: Any) -> UnsupportedOperatorError | None:
        try:
            _check_model(_one_node(*args, **kwargs), feeds)
        except UnsupportedOperatorError as error:
            return error
        return None

    return check


@pytest.fixture(scope="session")
def make_graph() -> Callable[..., Graph]:
    """Make a graph of an Input layer "x" of an ncnn shape, and further layers."""

    def make(shape: Sequence[int], layers: Sequence[Layer], outputs: Sequence[str]) -> Graph:
        axes = {1: ("w",), 2: ("h", "w"), 3: ("c", "h", "w"), 4: ("c", "d", "h", "w")}[len(shape)]
        first = new_layer("Input", "x", [], ["x"], **dict(zip(axes, shape, strict=True)))
        return Graph([first, *layers], list(outputs))

    return make


# activation_type → activation_params, for the six that ncnn fuses
PARAMS: dict[int, tuple[float, ...]] = {2: (0.25,), 3: (-1.0, 2.0), 6: (1 / 6, 0.5)}


def _convolution(
    source: str,
    target: str,
    weight: np.ndarray,
    activation: int = 0,
    kind: str = "Convolution",
    **params: Any,
) -> Layer:
    """Make a convolution or InnerProduct that reads and gives these blobs; `weight` is (outputs, …)."""
    if kind == "ConvolutionDepthWise":
        params["group"] = len(weight)
    if kind != "InnerProduct":
        params.setdefault("kernel_w", weight.shape[-1])
        params.setdefault("pad_left", params["kernel_w"] // 2)
    layer = new_layer(
        kind,
        target,
        [source],
        [target],
        num_output=len(weight),
        weight_data_size=weight.size,
        bias_term=1,
        activation_type=activation,
        activation_params=PARAMS.get(activation, ()),
        **params,
    )
    layer.set_weight("weight", weight)
    layer.set_weight("bias", np.random.default_rng(len(weight)).normal(0, 0.5, len(weight)))
    return layer


@pytest.fixture(scope="session")
def convolution() -> Callable[..., Layer]:
    return _convolution
