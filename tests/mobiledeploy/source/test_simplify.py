from __future__ import annotations

import re
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
import onnx
import onnxruntime
import pytest
from onnx import TensorProto, helper, numpy_helper

from mobiledeploy.errors import MobileDeployError
from mobiledeploy.source.simplify import Simplification, simplify_onnx


@pytest.fixture
def source(tmp_path: Path) -> Path:
    """A model whose Reshape gets its shape from a chain of constants that folding removes."""
    graph = helper.make_graph(
        [
            helper.make_node("Shape", ["x"], ["s"]),
            helper.make_node("Slice", ["s", "zero", "one"], ["head"]),
            helper.make_node("Concat", ["head", "rest"], ["target"], axis=0),
            helper.make_node("Reshape", ["x", "target"], ["flat"]),
            helper.make_node("Sigmoid", ["flat"], ["y"]),
        ],
        "net",
        [helper.make_tensor_value_info("x", TensorProto.FLOAT, [1, 3, 4, 4])],
        [helper.make_tensor_value_info("y", TensorProto.FLOAT, [1, 48])],
        [
            numpy_helper.from_array(np.array([value], np.int64), name)
            for name, value in {"zero": 0, "one": 1, "rest": 48}.items()
        ],
    )
    path = tmp_path / "source.onnx"
    onnx.save(helper.make_model(graph, opset_imports=[helper.make_opsetid("", 18)], ir_version=10), path)
    return path


@pytest.fixture
def fake_onnxsim(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[[str], None]:
    """Put another module in onnxsim's place, for child processes only."""

    def install(code: str) -> None:
        (tmp_path / "fake").mkdir()
        (tmp_path / "fake/onnxsim.py").write_text(code)
        monkeypatch.setenv("PYTHONPATH", str(tmp_path / "fake"))

    return install


def operators(path: Path) -> list[str]:
    return [node.op_type for node in onnx.load(path).graph.node]


def test_constants_are_folded_and_values_kept(
    source: Path, tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    target = tmp_path / "target.onnx"
    assert simplify_onnx(source, target) == Simplification(simplified=True)
    assert capfd.readouterr() == ("", "")
    assert operators(target) == ["Reshape", "Sigmoid"]
    x = np.random.default_rng(3).random((1, 3, 4, 4), dtype=np.float32)
    old, new = (onnxruntime.InferenceSession(str(p)).run(None, {"x": x})[0] for p in (source, target))
    np.testing.assert_allclose(new, old, atol=1e-6)


@pytest.mark.parametrize(
    ("code", "reason"),
    [
        ("import os, signal; os.kill(os.getpid(), signal.SIGSEGV)", r"crashed \(signal 11\)"),
        ("raise RuntimeError('unknown operator Foo')", "failed: RuntimeError: unknown operator Foo"),
        ("raise SystemExit(7)", "exited with 7"),
        ("pass", "exited with 0"),
        ("import sys; open(sys.argv[2], 'w').write('nonsense')", "does not run: .*not an ONNX model"),
        (
            "import sys, onnx; m = onnx.load(sys.argv[1]); m.graph.node[4].op_type = 'Tanh';"
            "onnx.save(m, sys.argv[2])",
            "changed the result",
        ),
        (
            "import sys, onnx; m = onnx.load(sys.argv[1]); m.graph.node[4].output[0] = 'z';"
            "m.graph.output[0].name = 'z'; onnx.save(m, sys.argv[2])",
            "changed the model's inputs or outputs",
        ),
    ],
)
def test_failing_simplifier_leaves_the_model_as_it_is(
    source: Path, tmp_path: Path, fake_onnxsim: Callable[[str], None], code: str, reason: str
) -> None:
    fake_onnxsim(code)
    target = tmp_path / "target.onnx"
    result = simplify_onnx(source, target)
    assert not result.simplified
    assert re.search(reason, result.reason)
    assert target.read_bytes() == source.read_bytes()


def test_hanging_simplifier_is_ended(
    source: Path, tmp_path: Path, fake_onnxsim: Callable[[str], None]
) -> None:
    fake_onnxsim("import time; time.sleep(600)")
    started = time.monotonic()
    result = simplify_onnx(source, tmp_path / "target.onnx", timeout_s=1)
    assert (result.simplified, result.reason) == (False, "onnxsim took longer than 1 s")
    assert time.monotonic() - started < 300
    assert operators(tmp_path / "target.onnx") == operators(source)


def test_bad_source_is_an_error(tmp_path: Path) -> None:
    (tmp_path / "bad.onnx").write_bytes(b"nonsense")
    with pytest.raises(MobileDeployError, match="not an ONNX model"):
        simplify_onnx(tmp_path / "bad.onnx", tmp_path / "target.onnx")
    assert not (tmp_path / "target.onnx").exists()


def test_weights_that_onnxsim_puts_beside_the_model_are_kept(
    source: Path, tmp_path: Path, fake_onnxsim: Callable[[str], None]
) -> None:
    """onnxsim does so for models of more than about 100 MB."""
    fake_onnxsim(
        "import sys, onnx\n"
        "options = {'save_as_external_data': True, 'size_threshold': 0, 'location': 'weights.data'}\n"
        "onnx.save(onnx.load(sys.argv[1]), sys.argv[2], **options)"
    )
    target = tmp_path / "target.onnx"
    assert simplify_onnx(source, target) == Simplification(simplified=True)
    target = target.rename(tmp_path / "fake/elsewhere.onnx")
    assert [tensor.name for tensor in onnx.load(target).graph.initializer] == ["zero", "one", "rest"]
