"""Reading and writing .param files, against what upstream's tools write and what the ncnn wheel reads."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import ncnn
import numpy as np
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from ncnn_tools.errors import FormatError, GraphError, NcnnToolsError
from ncnn_tools.graph import Graph, Layer, new_layer
from ncnn_tools.param_file import MAX_BYTES, read_param, write_param
from ncnn_tools.schema import LAYERS

FLOATS = st.floats(width=32, allow_nan=False, allow_infinity=False)
INTEGERS = st.integers(-(2**31), 2**31 - 1)
NAMES = st.text(
    st.characters(exclude_categories=["Z", "C"], exclude_characters='="'), min_size=1, max_size=60
)
VALUES = st.one_of(
    INTEGERS,
    FLOATS,
    st.lists(INTEGERS, max_size=40).map(tuple),
    st.lists(FLOATS, min_size=1, max_size=40).map(tuple),
    st.text(st.characters(codec="ascii", exclude_characters='"', exclude_categories=["C"]), max_size=80),
)


@st.composite
def graphs(draw: st.DrawFn) -> Graph:
    """Draw layers of any type with any parameters that a .param can hold, in an order that can be computed."""
    names = draw(st.lists(NAMES, min_size=3, max_size=12, unique=True))
    layers: list[Layer] = []
    given_blobs: list[str] = []
    while names:
        count = draw(st.integers(1, 3))
        outputs, names = names[:count], names[count:]
        inputs = draw(st.lists(st.sampled_from(given_blobs), max_size=3)) if given_blobs else []
        params = draw(st.dictionaries(st.integers(0, 31), VALUES, max_size=8))
        layers.append(Layer(draw(st.sampled_from(sorted(LAYERS))), draw(NAMES), inputs, outputs, params))
        given_blobs += outputs
    return Graph(layers)


def as_bits(value: Any) -> Any:
    """Make floats comparable bit by bit: -0.0 is not 0.0."""
    if isinstance(value, float):
        return "float", np.float32(value).tobytes()
    return tuple(map(as_bits, value)) if isinstance(value, tuple) else value


def same(first: Graph, second: Graph) -> bool:
    def content(graph: Graph) -> list[Any]:
        return [
            (
                layer.type,
                layer.name,
                layer.inputs,
                layer.outputs,
                {k: as_bits(v) for k, v in layer.params.items()},
            )
            for layer in graph.layers
        ]

    return content(first) == content(second)


@settings(max_examples=150)
@given(graph=graphs())
def test_what_is_written_reads_back_equal(graph: Graph) -> None:
    text = write_param(graph)
    back = read_param(text)
    assert same(back, graph)
    assert write_param(back) == text


@settings(max_examples=300)
@given(value=FLOATS)
@example(1e-45)
@example(1.1754942e-38)
@example(-1.17549435e-38)
@example(3.4028234663852886e38)
@example(-0.0)
def test_floats_are_exact_and_short(value: float) -> None:
    text = write_param(Graph([new_layer("ReLU", "relu", [], ["y"], slope=value)]))
    token = text.split()[-1].removeprefix("0=")
    assert len(token) <= 15
    assert "." in token
    assert as_bits(read_param(text).layers[0].params[0]) == as_bits(value)


@settings(max_examples=60)
@given(values=st.lists(FLOATS, min_size=1, max_size=8))
@example([1e-45, 1.1754942e-38, -1.1754944e-38, 3.4028234663852886e38, -3.4028234663852886e38, -0.0])
def test_ncnn_reads_the_same_floats(tmp_path_factory: pytest.TempPathFactory, values: list[float]) -> None:
    """x, which is -0.0, plus b is b, whatever b is."""
    layers = [
        new_layer("Input", "x", [], ["x"]),
        new_layer("Split", "s", ["x"], [f"x{i}" for i in range(len(values))]),
    ]
    layers += [
        new_layer("BinaryOp", f"y{i}", [f"x{i}"], [f"y{i}"], op_type=0, with_scalar=1, b=value)
        for i, value in enumerate(values)
    ]
    path = tmp_path_factory.mktemp("floats") / "model.param"
    path.write_text(write_param(Graph(layers)))
    net = ncnn.Net()
    assert net.load_param(str(path)) == 0
    assert net.load_model(ncnn.DataReaderFromEmpty()) == 0
    extractor = net.create_extractor()
    extractor.input("x", ncnn.Mat(np.full(1, -0.0, np.float32)).clone())
    for i, value in enumerate(values):
        _, mat = extractor.extract(f"y{i}")
        assert np.array(mat).tobytes() == np.float32(value).tobytes()


UPSTREAM = """7767517
5 6
Input            data             0 1 data 0=4 1=4 2=3
Convolution conv1 1 1 data conv1_relu 0=8 1=3 11=3 3=1 4=1 5=1 6=216 9=3 -23310=2,0.000000e+00,6.000000e+00
Split            splitncnn_0      1 2 conv1_relu conv1_relu_splitncnn_0 conv1_relu_splitncnn_1
BinaryOp         add_1            2 1 conv1_relu_splitncnn_0 conv1_relu_splitncnn_1 3 0=0
ReLU             relu             1 1 3 out 0=1.000000e-01
"""


def test_a_file_as_upstream_writes_it() -> None:
    graph = read_param(UPSTREAM)
    assert [layer.type for layer in graph.layers] == ["Input", "Convolution", "Split", "BinaryOp", "ReLU"]
    convolution = graph.layers[1]
    assert convolution.get("kernel_h") == 3
    assert convolution.get("pad_bottom") == 1
    assert convolution.get("activation_params") == (0.0, 6.0)
    assert graph.layers[4].get("slope") == pytest.approx(0.1)
    assert (graph.inputs, graph.outputs) == (["data"], ["out"])


VARIANTS = {
    "tabs": UPSTREAM.replace(" ", "\t"),
    "Windows line ends": UPSTREAM.replace("\n", "\r\n"),
    "blank lines": UPSTREAM.replace("\n", "\n\n").replace("7767517\n\n", "7767517\n"),
    "no last line end": UPSTREAM.rstrip(),
    "spaces around": "\n".join(f"  {line}  " for line in UPSTREAM.splitlines()),
    "array without count": UPSTREAM.replace("-23310=2,0.000000e+00,6.000000e+00", "10=0.0,6.0"),
    "array of a float and an integer": UPSTREAM.replace("-23310=2,0.000000e+00,6.000000e+00", "10=0.0,6"),
    "zero without a point": UPSTREAM.replace("-23310=2,0.000000e+00", "-23310=2,0"),
    "other floats": UPSTREAM.replace("6.000000e+00", "+.6E1").replace("0.000000e+00", "-0."),
    "signs and zeros": UPSTREAM.replace("0=8", "00=+8"),
    "parameters in another order": UPSTREAM.replace("0=8 1=3 11=3", "11=3 1=3 0=8"),
    "a parameter given twice": UPSTREAM.replace("0=8", "0=7 0=8"),
}


@pytest.mark.parametrize("text", VARIANTS.values(), ids=VARIANTS.keys())
def test_ways_to_write_the_same(text: str, tmp_path: Path) -> None:
    assert read_param(text).layers == read_param(UPSTREAM).layers
    path = tmp_path / "model.param"
    path.write_bytes(text.encode())
    assert read_param(path).layers == read_param(UPSTREAM).layers
    assert ncnn.Net().load_param(str(path)) == 0


def parameters(text: str) -> dict[int, Any]:
    return dict(read_param(f"7767517\n1 1\nNoop n 0 1 b {text}\n").layers[0].params)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("-23300=0", {0: ()}),
        ("-23309=1,7", {9: (7,)}),
        ("9=7,", {9: (7,)}),
        ("9=-1,2,-3", {9: (-1, 2, -3)}),
        ("9=1.5,2", {9: (1.5, 2.0)}),
        ("-23330=5,3,4,4,1,3", {30: (3, 4, 4, 1, 3)}),
        ("30=4,3,4,4,3", {30: (4, 3, 4, 4, 3)}),
        ("31=64", {31: 64}),
        ('6="add(@0, @1)"', {6: "add(@0, @1)"}),
        ('6="a=b,c" 0=1', {6: "a=b,c", 0: 1}),
        ('6=""', {6: ""}),
        ("6=word", {6: "word"}),
        ("0=-2147483648 1=2147483647", {0: -(2**31), 1: 2**31 - 1}),
        ("0=1e-60", {0: 0.0}),
    ],
)
def test_values(text: str, expected: dict[int, Any], tmp_path: Path) -> None:
    assert parameters(text) == expected
    path = tmp_path / "model.param"
    path.write_text(f"7767517\n1 1\nNoop n 0 1 b {text}\n")
    assert ncnn.Net().load_param(str(path)) == 0


def test_hints_and_masks_are_kept() -> None:
    text = UPSTREAM.replace("0=1.000000e-01", "0=1.0e-01 -23330=4,3,4,4,8 31=66")
    relu = read_param(write_param(read_param(text))).layers[-1]
    assert relu.params[30] == (3, 4, 4, 8)
    assert relu.feature_mask == 66


def layer_line(rest: str) -> str:
    return f"7767517\n2 2\nInput x 0 1 x\n{rest}\n"


MALFORMED = {
    "empty": ("", 1),
    "wrong magic": ("7767516\n1 1\nInput x 0 1 x\n", 1),
    "binary header": ("\x7f\x45\x4c\x46", 1),
    "no counts": ("7767517\n", 2),
    "one count": ("7767517\n1\nInput x 0 1 x\n", 2),
    "counts that are no numbers": ("7767517\none two\n", 2),
    "counts in other digits": ("7767517\n² ²\n", 2),
    "counts of thousands of digits": (f"7767517\n{'9' * 5000} 1\n", 2),
    "no layers": ("7767517\n0 0\n", 2),
    "too many layers announced": ("7767517\n2000000000 1\nInput x 0 1 x\n", 2),
    "layer count too high": ("7767517\n2 1\nInput x 0 1 x\n", 2),
    "layer count too low": ("7767517\n1 2\nInput x 0 1 x\nReLU y 1 1 x y\n", 2),
    "blob count wrong": ("7767517\n1 2\nInput x 0 1 x\n", 2),
    "line cut short": (layer_line("ReLU y 1"), 4),
    "unknown layer": (layer_line("ReLUU y 1 1 x y"), 4),
    "input count no number": (layer_line("ReLU y one 1 x y"), 4),
    "negative count": (layer_line("ReLU y -1 1 x y"), 4),
    "huge count": (layer_line("ReLU y 999999999999 1 x y"), 4),
    "blob missing": (layer_line("ReLU y 1 1 x 0=0.1"), 4),
    "blob given twice": (layer_line("ReLU y 1 1 x x"), 4),
    "name too long": (layer_line(f"ReLU {'n' * 256} 1 1 x y"), 4),
    "parameter without value": (layer_line("ReLU y 1 1 x y 0"), 4),
    "parameter with empty value": (layer_line("ReLU y 1 1 x y 0="), 4),
    "parameter without id": (layer_line("ReLU y 1 1 x y =1"), 4),
    "id no number": (layer_line("ReLU y 1 1 x y a=1"), 4),
    "id too high": (layer_line("ReLU y 1 1 x y 32=1"), 4),
    "id negative": (layer_line("ReLU y 1 1 x y -1=1"), 4),
    "array id too high": (layer_line("ReLU y 1 1 x y -23332=1,0"), 4),
    "value no number": (layer_line("ReLU y 1 1 x y 0=1.2.3"), 4),
    "value not finite": (layer_line("ReLU y 1 1 x y 0=-inf"), 4),
    "integer beyond 32 bits": (layer_line("ReLU y 1 1 x y 0=2147483648"), 4),
    "integer of thousands of digits": (layer_line(f"ReLU y 1 1 x y 0={'1' * 5000}"), 4),
    "float beyond float32": (layer_line("ReLU y 1 1 x y 0=1e39"), 4),
    "array too short": (layer_line("ReLU y 1 1 x y -23300=3,1,2"), 4),
    "array too long": (layer_line("ReLU y 1 1 x y -23300=1,1,2"), 4),
    "array without count": (layer_line("ReLU y 1 1 x y -23300=1.0,2.0"), 4),
    "array of mixed types": (layer_line("ReLU y 1 1 x y -23300=2,1,2.5"), 4),
    "float among integers": (layer_line("ReLU y 1 1 x y 0=1,2.5"), 4),
    "array with a hole": (layer_line("ReLU y 1 1 x y 0=1,,2"), 4),
    "string without end": (layer_line('ReLU y 1 1 x y 0="abc'), 4),
    "text after a string": (layer_line('ReLU y 1 1 x y 0="abc"d'), 4),
    "string too long": (layer_line(f'ReLU y 1 1 x y 0="{"s" * 256}"'), 4),
}


@pytest.mark.parametrize(("text", "line"), MALFORMED.values(), ids=MALFORMED.keys())
def test_malformed_files_name_the_line(text: str, line: int, tmp_path: Path) -> None:
    path = tmp_path / "bad.param"
    path.write_text(text)
    with pytest.raises(FormatError) as caught:
        read_param(path)
    assert caught.value.where == f"line {line}"
    assert str(caught.value).startswith(f"{path}: line {line}: ")


def test_bytes_that_are_no_text_name_the_offset(tmp_path: Path) -> None:
    path = tmp_path / "bad.param"
    path.write_bytes(b"7767517\n1 1\n\xff\xfe")
    with pytest.raises(FormatError, match="offset 12"):
        read_param(path)


def test_an_oversized_file_is_not_read(tmp_path: Path) -> None:
    path = tmp_path / "huge.param"
    with path.open("wb") as file:
        file.truncate(MAX_BYTES + 1)  # sparse: takes no room
    with pytest.raises(FormatError, match="too large"):
        read_param(path)


@settings(max_examples=300)
@given(data=st.data())
def test_damaged_files_raise_nothing_but_our_errors(data: st.DataObject) -> None:
    text = UPSTREAM
    for _ in range(data.draw(st.integers(1, 4))):
        start = data.draw(st.integers(0, len(text)))
        end = data.draw(st.integers(start, min(len(text), start + 8)))
        text = (
            text[:start]
            + data.draw(st.text(max_size=4) | st.sampled_from(["=", ",", "9" * 50, "-23300="]))
            + text[end:]
        )
    try:
        graph = read_param(text)
    except NcnnToolsError:
        return
    assert read_param(write_param(graph)).layers == graph.layers


@settings(max_examples=100)
@given(cut=st.integers(0, len(UPSTREAM) - 1))
def test_truncated_files_are_refused_or_lose_only_a_tail(cut: int) -> None:
    try:
        graph = read_param(UPSTREAM[:cut])
    except FormatError:
        return
    assert len(graph.layers) == 5  # nothing but the end of the last parameter can be missing


@pytest.mark.parametrize("name", ["", "two words", "line\nend", "nbsp\u00a0", "n" * 256, "é" * 128])
def test_names_that_a_file_can_not_hold_are_not_written(name: str) -> None:
    with pytest.raises(GraphError, match="can't be a name"):
        write_param(Graph([new_layer("Input", "x", [], [name])]))


@pytest.mark.parametrize(
    "value",
    [float("inf"), float("nan"), 1e39, 2**31, -(2**31) - 1, (0.5, float("-inf")), 'a"b', "a\nb", "s" * 256],
)
def test_values_that_a_file_can_not_hold_are_not_written(value: Any) -> None:
    with pytest.raises(GraphError, match="layer 'n'"):
        write_param(Graph([Layer("Noop", "n", [], ["b"], {0: value})]))


def test_unknown_layers_can_be_left_in() -> None:
    text = "7767517\n2 3\nInput x 0 1 x 0=4\npnnx.Expression e_1 1 2 x y z expr=add(@0,1) $input=x\n"
    with pytest.raises(FormatError, match=r"line 4: ncnn has no layer type 'pnnx.Expression'"):
        read_param(text)
    graph = read_param(text, known_only=False)
    assert graph.layers[1] == Layer("pnnx.Expression", "e_1", ["x"], ["y", "z"])
