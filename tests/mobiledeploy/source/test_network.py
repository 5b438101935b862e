from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from torch import nn

from mobiledeploy.errors import ConversionError, UsageError
from mobiledeploy.source.network import fit, load_network

REPOSITORY = Path(__file__).resolve().parents[3]
SHARED = REPOSITORY.parent / "shared"

NETWORK = """
    import torch
    from torch import nn

    class Net(nn.Module):
        def __init__(self, channels=2):
            super().__init__()
            self.conv = nn.Conv2d(3, channels, 1)

        def forward(self, x):
            return self.conv(x)

    class Sized(Net):
        def __init__(self, channels, *, classes, depth=1):
            super().__init__(channels)

    def build():
        return Net(5)

    def wrong():
        return "a string"

    ready = Net(7)
    number = 3
"""

WriteFile = Callable[[str, str], Path]


@pytest.mark.parametrize(("name", "channels"), [("Net", 2), ("build", 5), ("ready", 7)])
def test_class_function_or_instance(write_file: WriteFile, name: str, channels: int) -> None:
    network = load_network(f"{write_file('net.py', NETWORK)}:{name}")
    assert network(torch.zeros(1, 3, 2, 2)).shape[1] == channels


def test_module_by_dotted_name_from_the_current_folder(
    write_file: WriteFile, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    write_file("dotted_package/deep/arch.py", NETWORK)
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "path", [entry for entry in sys.path if entry])
    assert isinstance(load_network("dotted_package.deep.arch:Net"), nn.Module)


def test_files_beside_it_can_be_imported_from_any_folder(
    write_file: WriteFile, monkeypatch: pytest.MonkeyPatch
) -> None:
    write_file("project/pieces.py", "from torch import nn\ndef conv(): return nn.Conv2d(3, 4, 1)")
    path = write_file("project/net.py", "import pieces\ndef build(): return pieces.conv()")
    monkeypatch.chdir("/")
    before = list(sys.path)
    assert load_network(f"{path}:build").out_channels == 4
    assert sys.path == before


def test_each_network_gets_its_own_files(write_file: WriteFile) -> None:
    for channels in (4, 6):
        write_file(
            f"p{channels}/pieces.py", f"from torch import nn\ndef conv(): return nn.Conv2d(3, {channels}, 1)"
        )
        path = write_file(f"p{channels}/net.py", "import pieces\ndef build(): return pieces.conv()")
        assert load_network(f"{path}:build").out_channels == channels


@pytest.mark.parametrize("line", ["from models.blocks import conv", "from .blocks import conv"])
def test_package_that_the_file_belongs_to_can_be_imported(write_file: WriteFile, line: str) -> None:
    write_file("models/__init__.py", "")
    write_file("models/blocks.py", "from torch import nn\ndef conv(): return nn.Conv2d(3, 9, 1)")
    path = write_file("models/net.py", f"{line}\ndef build(): return conv()")
    # The package has the name of one of this project's own, which is imported before and after.
    for _ in range(2):
        assert load_network(f"{path}:build").out_channels == 9
        import models.seg_matting

        assert Path(models.seg_matting.__file__).is_relative_to(REPOSITORY)


def test_what_a_network_prints_goes_to_standard_error(
    write_file: WriteFile, capsys: pytest.CaptureFixture[str]
) -> None:
    path = write_file(
        "net.py", "import torch\nprint('hello')\ndef build():\n    print('there')\n    return torch.nn.ReLU()"
    )
    load_network(f"{path}:build")
    assert capsys.readouterr() == ("", "hello\nthere\n")


@pytest.mark.parametrize("spec", ["net.py", ":Net", "net.py:", ""])
def test_malformed_spec(spec: str) -> None:
    with pytest.raises(UsageError, match="does not name a network"):
        load_network(spec)


def test_missing_file(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match=r"absent\.py: no such file"):
        load_network(f"{tmp_path / 'absent.py'}:Net")


@pytest.mark.parametrize("name", ["no_such_package_here", "no_such_package_here.arch", "torch.no_such_part"])
def test_missing_module(name: str) -> None:
    with pytest.raises(UsageError, match="no module"):
        load_network(f"{name}:Net")


def test_missing_name_lists_the_networks_there(write_file: WriteFile) -> None:
    with pytest.raises(UsageError, match="has no 'Nett'") as caught:
        load_network(f"{write_file('net.py', NETWORK)}:Nett")
    assert caught.value.hint == "Networks there: Net, Sized, ready."


def test_needed_arguments_are_named(write_file: WriteFile) -> None:
    with pytest.raises(UsageError, match="needs arguments: channels, classes") as caught:
        load_network(f"{write_file('net.py', NETWORK)}:Sized")
    assert "function without arguments" in caught.value.hint


@pytest.mark.parametrize(("name", "what"), [("wrong", "gives a str"), ("number", "is a int")])
def test_what_is_no_network(write_file: WriteFile, name: str, what: str) -> None:
    with pytest.raises(UsageError, match=what):
        load_network(f"{write_file('net.py', NETWORK)}:{name}")


@pytest.mark.parametrize(
    ("text", "message"),
    [
        (
            "import torch\nimport no_such_library\n",
            r"No module named 'no_such_library' \(at .*net\.py, line 2: import",
        ),
        ("x = 1\ny = x / 0\n", r"ZeroDivisionError.*line 2: y = x / 0"),
        ("def f(:\n", r"SyntaxError.*net\.py, line 1: def f\(:"),
        ("import sys\nsys.exit(3)\n", "SystemExit: 3"),
    ],
)
def test_failing_import_shows_the_files_own_line(write_file: WriteFile, text: str, message: str) -> None:
    with pytest.raises(ConversionError, match=message):
        load_network(f"{write_file('net.py', text)}:Net")


def test_failing_constructor_shows_its_line(write_file: WriteFile) -> None:
    path = write_file("net.py", "import torch\ndef build():\n    return torch.nn.Conv2d(3, 4, 1, groups=2)\n")
    with pytest.raises(ConversionError, match=r"ValueError: in_channels must.*net\.py, line 3"):
        load_network(f"{path}:build")


def test_project_network_from_another_folder(tmp_path: Path) -> None:
    path = REPOSITORY / "models/seg_matting.py"
    script = (
        "import sys; from mobiledeploy.source.network import load_network;"
        " print(type(load_network(sys.argv[1])).__name__)"
    )
    environment = {**os.environ, "PYTHONPATH": str(REPOSITORY)}
    output = subprocess.run(
        [sys.executable, "-c", script, f"{path}:SegMatting"],
        cwd=tmp_path, env=environment, check=True, capture_output=True, text=True,
    ).stdout  # fmt: skip
    assert output.strip() == "SegMatting"


def test_fit_copies_the_weights(two_heads: nn.Module) -> None:
    state = {key: torch.randn_like(t.float()).to(t.dtype) for key, t in two_heads.state_dict().items()}
    fit(two_heads, state)
    for key, tensor in two_heads.state_dict().items():
        torch.testing.assert_close(tensor, state[key], rtol=0, atol=0)


def test_fit_accepts_half_precision_and_missing_counters(two_heads: nn.Module) -> None:
    state = {k: t.half() for k, t in two_heads.state_dict().items() if "num_batches" not in k}
    fit(two_heads, state)
    assert two_heads.get_parameter("conv.weight").dtype == torch.float32


def test_fit_lists_every_kind_of_mismatch(two_heads: nn.Module) -> None:
    state = dict(two_heads.state_dict())
    before = {key: tensor.clone() for key, tensor in state.items()}
    state["conv.weight"] = torch.zeros(8, 3, 3, 3)
    state["tail.bias"] = state.pop("head.bias")
    with pytest.raises(ConversionError) as caught:
        fit(two_heads, state)
    assert caught.value.message.splitlines() == [
        "the checkpoint does not fit the network",
        "1 missing from the checkpoint:",
        "  head.bias",
        "1 unknown to the network:",
        "  tail.bias",
        "1 of another shape:",
        "  conv.weight: 8x3x3x3 in the checkpoint, 4x3x3x3 in the network",
    ]
    for key, tensor in two_heads.state_dict().items():
        torch.testing.assert_close(tensor, before[key], rtol=0, atol=0)


def test_fit_shows_the_first_twenty_and_counts_the_rest(two_heads: nn.Module) -> None:
    with pytest.raises(ConversionError, match="300 unknown") as caught:
        fit(two_heads, {f"layer{i}": torch.zeros(1) for i in range(300)})
    assert "… and 280 more" in caught.value.message
    assert "layer20" not in caught.value.message


def test_names_from_a_file_do_not_steer_the_terminal(two_heads: nn.Module) -> None:
    with pytest.raises(ConversionError) as caught:
        fit(two_heads, {"\x1b[2Jname": torch.zeros(1)})
    assert "\x1b" not in caught.value.message


def test_fit_hints(two_heads: nn.Module) -> None:
    state = dict(two_heads.state_dict())
    cases = {
        "begin with 'model.': save it again": {f"model.{k}": t for k, t in state.items()},
        "renamed since": {f"renamed.{i}": t for i, t in enumerate(state.values())},
        "other settings": {**state, "head.bias": torch.zeros(9)},
        "Check that the checkpoint": {"x": torch.zeros(1)},
    }
    for hint, given in cases.items():
        with pytest.raises(ConversionError) as caught:
            fit(two_heads, given)
        assert hint in caught.value.hint
    with pytest.raises(ConversionError) as caught:
        fit(nn.ModuleDict({"net": two_heads}), state)
    assert "network's names begin with 'net.'" in caught.value.hint


@pytest.mark.skipif(not (SHARED / "data").is_dir(), reason="needs ../shared/data")
def test_trained_checkpoint_fits() -> None:
    from mobiledeploy.source.checkpoint import load_state_dict

    network = load_network(f"{REPOSITORY / 'models/seg_matting.py'}:SegMatting")
    fit(network, load_state_dict(SHARED / "data/erd_seg_matting/ckpt_lastest.pth"))
