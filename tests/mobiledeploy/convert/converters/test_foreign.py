"""pnnx and onnx2ncnn: right results are taken over, and nothing else ever becomes a bundle.

Where the real programs are installed they run. What they do only now and then (hang, fail, write nothing) is staged
by small programs that stand on PATH under the name of onnx2ncnn.
"""

from __future__ import annotations

import dataclasses
import shutil
from collections.abc import Callable
from pathlib import Path

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper, numpy_helper

from mobiledeploy.convert import convert
from mobiledeploy.convert.converters import FOREIGN_CONVERTERS, foreign
from mobiledeploy.errors import ConversionError, UsageError
from mobiledeploy.source.onnx_file import load_onnx
from ncnn_tools.files import load, save
from ncnn_tools.graph import Graph, new_layer
from ncnn_tools.passes import optimize
from ncnn_tools.runtime import Runtime

INSTALLED = {name: converter.find() is not None for name, converter in FOREIGN_CONVERTERS.items()}


def needs(name: str) -> pytest.MarkDecorator:
    return pytest.mark.skipif(not INSTALLED[name], reason=f"{name} is not installed")


REAL = [pytest.param(name, marks=needs(name)) for name in FOREIGN_CONVERTERS]


@pytest.fixture
def from_onnx(request_for, tiny_bundle, tmp_path: Path):
    """Make a request for an ONNX file, by default the small network's; only fp32 where it is another."""

    def make(converter: str, model: onnx.ModelProto | None = None, **changes: object):
        source = tmp_path / "net.onnx"
        values = {"source": source, "model": None, "input_shapes": None, "output_names": None}
        if model is None:
            shutil.copy(tiny_bundle.onnx, source)
        else:
            onnx.save(model, source)
            values |= {"precisions": ("fp32",), "mask": None, "preprocessing": None, "calibration": None}
        return request_for(tmp_path / "b", converter=converter, **(values | changes))

    return make


def model_of(
    *nodes: onnx.NodeProto, shape: tuple[int, ...] = (1, 4, 8, 8), constants: dict | None = None
) -> onnx.ModelProto:
    """Make a model from x to y, both of one shape."""
    graph = helper.make_graph(
        list(nodes),
        "g",
        [helper.make_tensor_value_info("x", TensorProto.FLOAT, shape)],
        [helper.make_tensor_value_info("y", TensorProto.FLOAT, shape)],
        [numpy_helper.from_array(value, name) for name, value in (constants or {}).items()],
    )
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", 18)], ir_version=9)


@pytest.mark.parametrize("name", REAL)
def test_all_precisions_are_made_of_its_graph(from_onnx, tiny_bundle, tmp_path: Path, name: str) -> None:
    bundle, _ = convert(from_onnx(name))
    version = FOREIGN_CONVERTERS[name].program().version
    assert bundle.manifest["converter"] == {"name": name, "version": version}
    assert [tensor.blob for tensor in (*bundle.inputs, *bundle.outputs)] == ["picture", "seg", "alpha"]
    assert {"picture", "seg", "alpha"} <= set(bundle.manifest["blobs"])
    for precision, variant in bundle.variants.items():
        assert variant.parity["mask_iou"] >= tiny_bundle.variant(precision).parity["mask_iou"] - 0.02
    assert (
        len(bundle.manifest["variants"]["int8"]["int8_layers"]) == 2
    )  # all but the one that reads the picture
    assert bundle.variant("int8").bin.stat().st_size < bundle.variant("fp16").bin.stat().st_size
    graph = load(bundle.variant("fp32").param, bundle.variant("fp32").bin)
    assert not [blob for blob in ("seg", "alpha") if graph.consumers().get(blob)]
    assert sorted(path.name for path in tmp_path.iterdir()) == ["b", "net.onnx"]


@pytest.mark.parametrize("name", REAL)
def test_layers_that_ncnn_lacks_are_named(from_onnx, tmp_path: Path, name: str) -> None:
    """Both write a layer called Trilu, and exit with 0."""
    with pytest.raises(ConversionError, match="layers that ncnn does not have: Trilu") as caught:
        convert(from_onnx(name, model_of(helper.make_node("Trilu", ["x"], ["y"]))))
    assert "Leave out --converter" in caught.value.hint
    assert [path.name for path in tmp_path.iterdir()] == ["net.onnx"]


@needs("pnnx")
def test_pnnx_that_crashes(from_onnx, tmp_path: Path) -> None:
    """20261020 does on a network that does nothing."""
    with pytest.raises(ConversionError, match="pnnx was ended by SIGSEGV"):
        convert(from_onnx("pnnx", model_of(helper.make_node("Identity", ["x"], ["y"]))))
    assert [path.name for path in tmp_path.iterdir()] == ["net.onnx"]


@needs("onnx2ncnn")
def test_onnx2ncnn_that_passes_over_what_it_does_not_know(from_onnx, tmp_path: Path) -> None:
    """Since opset 13 the sizes of a Split are an input, and it splits evenly without a word."""
    nodes = [
        helper.make_node("Split", ["x", "sizes"], ["a", "b"], axis=1),
        helper.make_node("Tanh", ["b"], ["c"]),
        helper.make_node("Concat", ["c", "a"], ["y"], axis=1),
    ]
    with pytest.raises(ConversionError, match=r"fp32 model|not a model of this network"):
        convert(from_onnx("onnx2ncnn", model_of(*nodes, constants={"sizes": np.array([1, 3])})))
    assert [path.name for path in tmp_path.iterdir()] == ["net.onnx"]


@pytest.mark.parametrize("name", REAL)
def test_a_batch_is_refused(from_onnx, name: str) -> None:
    model = model_of(helper.make_node("Relu", ["x"], ["y"]), shape=(2, 4, 8, 8))
    with pytest.raises(ConversionError, match="batch of 1 only"):
        convert(from_onnx(name, model))


# --- staged ---

Stage = Callable[..., None]


@pytest.fixture
def stage(tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch) -> Stage:
    """Put a shell script on PATH as onnx2ncnn; `$graph.param` and `$graph.bin` are files of the graph given."""
    folder = tmp_path_factory.mktemp("programs")
    monkeypatch.setenv("PATH", str(folder), prepend=":")

    def put(script: str, graph: Graph | None = None) -> None:
        if graph is not None:
            save(graph, folder / "graph.param", folder / "graph.bin")
        (folder / "onnx2ncnn").write_text(f"#!/bin/sh\ngraph={folder}/graph\n{script}\n")
        (folder / "onnx2ncnn").chmod(0o755)

    return put


WRITE = 'cp $graph.param "$2" && cp $graph.bin "$3"'


def slices(output: str = "y", source: str = "x", slope: float = 0.0, **params: object) -> Graph:
    """A graph from `source` to `output`: a ReLU, after another layer if `params` say what a Slice does."""
    layers = [new_layer("Input", source, [], [source])]
    if params:
        layers.append(new_layer("Slice", "slice", [source], ["part"], **params))
    layers.append(new_layer("ReLU", "relu", [layers[-1].outputs[0]], [output], slope=slope))
    return optimize(Graph(layers, [output]))


def relu(from_onnx):
    return from_onnx("onnx2ncnn", model_of(helper.make_node("Relu", ["x"], ["y"])))


def test_a_good_model_is_taken(from_onnx, stage: Stage) -> None:
    stage(WRITE, slices())
    bundle, _ = convert(relu(from_onnx))
    x = np.load(bundle.samples()["x"])
    y = Runtime(bundle.variant("fp32").param, bundle.variant("fp32").bin).run({"x": x[0]}, ["y"])["y"]
    np.testing.assert_array_equal(y, np.maximum(x[0], 0))


@pytest.mark.parametrize(
    ("script", "graph", "message"),
    [
        ("echo bad opset >&2; exit 1", None, "onnx2ncnn failed with exit status 1: bad opset"),
        ("kill -FPE $$", None, "onnx2ncnn was ended by SIGFPE"),
        ("sleep 600", None, "onnx2ncnn took longer than 2 s"),
        ("echo nothing done", None, "onnx2ncnn wrote no model: nothing done"),
        (
            "echo x > $2; echo x > $3",
            None,
            r"wrote what is not a model of this network: model\.param: line 1",
        ),
        ("cp $graph.param $2; echo more > $3", slices(), r"not a model.*bytes are left"),
        (WRITE, slices("out"), r"not a model.*'y' is given by no layer"),
        (WRITE, slices(source="in"), r"not a model.*its inputs are in, not x"),
    ],
)
def test_failures_say_what_happened_and_what_to_do(
    stage: Stage, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, script: str, graph, message: str
) -> None:
    monkeypatch.setattr(foreign, "TIME_LIMIT_S", 2.0)
    stage(script, graph)
    onnx.save(model_of(helper.make_node("Relu", ["x"], ["y"])), tmp_path / "net.onnx")
    with pytest.raises(ConversionError, match=message) as caught:
        FOREIGN_CONVERTERS["onnx2ncnn"].convert(tmp_path / "net.onnx", load_onnx(tmp_path / "net.onnx"))
    assert "Leave out --converter" in caught.value.hint
    assert [path.name for path in tmp_path.iterdir()] == ["net.onnx"]


@pytest.mark.parametrize(
    ("graph", "message"),
    [
        (slices(slope=0.25), "output 'y' of the fp32 model differs from onnxruntime by"),
        (slices(slices=(2,)), "the fp32 model does not work in ncnn"),
        (slices(slices=(100_000,)), "ncnn can't run the fp32 model: ncnn was ended by SIGSEGV"),
    ],
)
def test_a_model_that_is_not_right_leaves_nothing(
    from_onnx, stage: Stage, tmp_path: Path, graph: Graph, message: str
) -> None:
    stage(WRITE, graph)
    with pytest.raises(ConversionError, match=message) as caught:
        convert(relu(from_onnx))
    assert "Leave out --converter" in caught.value.hint
    assert [path.name for path in tmp_path.iterdir()] == ["net.onnx"]


def test_another_converter_or_version_of_it_makes_the_variants_anew(from_onnx, stage: Stage) -> None:
    request = relu(from_onnx)
    first, _ = convert(dataclasses.replace(request, converter="mobiledeploy"))
    stage(WRITE, slices())
    steps: list[str] = []
    second, made = convert(request, lambda step, *_: steps.append(step))
    assert made
    assert "converting with onnx2ncnn" in steps
    assert "simplifying" not in steps
    assert first.manifest["onnx"] == second.manifest["onnx"]
    assert convert(request)[1] is False
    stage(f"{WRITE} # another version", slices())
    third, made = convert(request)
    assert made
    assert second.manifest["converter"] != third.manifest["converter"]


def test_a_program_that_is_not_there_is_said_before_any_work(
    from_onnx, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    request = relu(from_onnx)
    monkeypatch.setenv("PATH", str(tmp_path / "nowhere"))
    with pytest.raises(UsageError, match="onnx2ncnn is not installed") as caught:
        convert(request)
    assert "tools/onnx" in caught.value.hint


def test_an_unknown_converter_is_refused(from_onnx) -> None:
    with pytest.raises(UsageError, match="no converter 'tvm'"):
        convert(from_onnx("tvm"))
