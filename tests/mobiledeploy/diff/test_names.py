from __future__ import annotations

from pathlib import Path

import pytest

from mobiledeploy.diff import SourceName, parse_name
from mobiledeploy.errors import UsageError


def test_variants_of_a_bundle(tiny_bundle) -> None:
    path = tiny_bundle.path
    assert parse_name(f"{path}:int8") == SourceName(f"{path}:int8", "variant", path, "int8")
    assert parse_name(f"{path}:onnx") == SourceName(f"{path}:onnx", "reference", path, "onnx")
    on_device = parse_name(f"{path}:fp16@device")
    assert on_device == SourceName(f"{path}:fp16@device", "variant", path, "fp16", on_device=True)


def test_files(workshop: Path, tiny_bundle) -> None:
    assert parse_name(str(workshop / "net.pth")).form == "checkpoint"
    assert parse_name(str(tiny_bundle.onnx)).form == "onnx"


def test_a_path_with_a_colon_and_an_at_sign(tmp_path: Path) -> None:
    file = tmp_path / "a:b@c.onnx"
    file.write_bytes(b"")
    assert parse_name(str(file)).path == file


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("nowhere", "nowhere: no such file or bundle"),
        ("nowhere:int8", "nowhere: no such bundle"),
        ("{net}:int8", "only a bundle has variants"),
        ("{bundle}", "which variant of the bundle?"),
        ("{folder}", "not a bundle"),
        ("{bundle}:onnx@device", "only a variant of a bundle runs on the device"),
        ("{net}@device", "only a variant of a bundle runs on the device"),
    ],
)
def test_names_that_say_too_little_or_too_much(
    workshop: Path, tiny_bundle, tmp_path: Path, text: str, message: str
) -> None:
    name = text.format(net=workshop / "net.pth", bundle=tiny_bundle.path, folder=tmp_path)
    with pytest.raises(UsageError) as caught:
        parse_name(name)
    assert message in caught.value.message
