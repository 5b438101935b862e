"""`--precision mixed` from end to end: searched for on a virtual phone once, then read, followed and refused."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest

from mobiledeploy.bundle import open_bundle
from mobiledeploy.cli import main
from mobiledeploy.convert import QuantizeRequest, quantize_bundle
from mobiledeploy.convert.variants import load_variant
from mobiledeploy.device import open_device
from mobiledeploy.mixed import Bound, DeviceMixer, read_plan
from mobiledeploy.phone import VirtualPhone
from ncnn_tools.graph import Storage
from ncnn_tools.quantization.layers import is_int8

FILES = ("mixed.param", "mixed.bin", "mixed.plan.json")


@pytest.fixture(scope="session")
def arguments(workshop: Path) -> list[str]:
    """The command that makes the bundle, without its device and its folder."""
    return [
        "convert",
        str(workshop / "net.pth"),
        f"--model={workshop / 'net.py'}:Tiny",
        "--input-shape=1x3x32x32",
        f"--calibration={workshop / 'pictures'}",
        "--outputs=seg,alpha",
        "--mask=alpha",
        "--mean=104,112,121",
        "--scale=1/255",
        "--color=bgr",
        "--precision=fp32,int8,mixed",
        "--min-cosine=0.98",
    ]


@pytest.fixture(scope="session")
def mixed_bundle(arguments: list[str], tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A bundle of the small network with fp32, int8 and mixed. Tests read it only."""
    folder = tmp_path_factory.mktemp("mixed")
    with VirtualPhone(folder / "phone") as phone, pytest.raises(SystemExit) as caught:
        main([*arguments, "-s", phone.serial, "-o", str(folder / "b")])
    assert not caught.value.code
    return folder / "b"


@pytest.fixture
def bundle(mixed_bundle: Path, tmp_path: Path) -> Path:
    """A copy of it."""
    shutil.copytree(mixed_bundle, tmp_path / "b")
    return tmp_path / "b"


@pytest.fixture
def no_device(monkeypatch: pytest.MonkeyPatch) -> None:
    """Make whatever looks for a device fail."""

    def refuse(*_: object) -> None:
        raise AssertionError("a device was looked for")

    monkeypatch.setattr("mobiledeploy.phone.fallback.phone_or_virtual", refuse)


def edited(source: Path, target: Path, change: Callable[[dict], None]) -> Path:
    """Write a plan with something changed."""
    document = json.loads((source / "mixed.plan.json").read_text())
    change(document)
    target.write_text(json.dumps(document))
    return target


def contents(folder: Path) -> dict[str, bytes]:
    return {str(file.relative_to(folder)): file.read_bytes() for file in folder.rglob("*") if file.is_file()}


def test_the_plan_says_what_the_files_are(mixed_bundle: Path) -> None:
    plan = read_plan(mixed_bundle)
    graph = load_variant(open_bundle(mixed_bundle), "mixed")
    layers = {layer.name: layer for layer in graph.layers}
    assert [entry["name"] for entry in plan.layers] == list(layers)
    for name, choice in plan.choices.items():
        layer = layers[name]
        assert is_int8(layer) == (choice.precision == "int8")
        assert layer.feature_mask & choice.mask == choice.mask
        if "weight" in layer.weights and not is_int8(layer):
            assert (layer.weights["weight"].storage is Storage.FP32) == (choice.precision == "fp32")
    document = plan.document
    assert document["unit"] == "ms"
    assert document["bound"] == {"min_cosine": 0.98}
    assert document["figures"]["mixed"]["min_cosine"]["worse_end"] >= 0.98
    assert set(document["wholes"]) == set(document["figures"]) == {"fp32", "fp16", "int8", "mixed"}
    assert document["device"]["emulated"] is False


def test_the_manifest_holds_the_variant_and_the_plan_in_short(mixed_bundle: Path) -> None:
    bundle = open_bundle(mixed_bundle)
    assert list(bundle.variants) == ["fp32", "int8", "mixed"]
    entry = bundle.manifest["variants"]["mixed"]
    assert set(FILES) <= set(bundle.manifest["files"])
    assert "layers" not in entry["plan"]
    assert entry["plan"]["bound"] == {"min_cosine": 0.98}
    assert {"quantization", "parity"} <= set(entry)
    assert bundle.manifest["calibration"]["images"] == 6


def test_the_same_command_does_nothing_on_another_virtual_phone(
    command, arguments: list[str], bundle: Path, chosen_phone
) -> None:
    before = contents(bundle)
    outcome = command(*arguments, "-o", bundle)
    assert outcome.code == 0, outcome.err
    assert f"unchanged: {bundle}" in outcome.err
    assert contents(bundle) == before


def test_inspect_shows_the_plan(command, mixed_bundle: Path) -> None:
    outcome = command("inspect", "--plan", mixed_bundle, "--format", "markdown")
    assert outcome.code == 0, outcome.err
    plan = read_plan(mixed_bundle)
    for entry in plan.layers:
        assert (f"| {entry['name']} |" in outcome.out) == entry["has_choice"]
    assert "layers without a choice" in outcome.out
    assert "1 thread." in outcome.out
    assert "min cosine 0.98" in outcome.out
    as_json = command("inspect", "--plan", mixed_bundle / "mixed.plan.json", "--format", "json")
    assert json.loads(as_json.out) == plan.document


@pytest.mark.usefixtures("no_device")
def test_following_its_own_plan_makes_the_same_files(command, bundle: Path, mixed_bundle: Path) -> None:
    outcome = command("quantize", bundle, "--precision", "mixed", "--plan", mixed_bundle)
    assert outcome.code == 0, outcome.err
    assert (bundle / "mixed.bin").read_bytes() == (mixed_bundle / "mixed.bin").read_bytes()
    assert (bundle / "mixed.param").read_bytes() == (mixed_bundle / "mixed.param").read_bytes()
    assert read_plan(bundle).choices == read_plan(mixed_bundle).choices
    assert command("quantize", bundle, "--precision", "mixed", "--plan", mixed_bundle).err.startswith(
        "unchanged"
    )


@pytest.mark.usefixtures("no_device")
def test_an_edited_plan_is_followed(command, bundle: Path, mixed_bundle: Path, tmp_path: Path) -> None:
    able = [layer.name for layer in load_variant(open_bundle(bundle), "int8").layers if is_int8(layer)]
    assert able
    wanted = {able[0]: "int8", **dict.fromkeys(able[1:], "fp32")}

    def change(document: dict) -> None:
        document["layers"] = [
            {"name": name, "precision": precision, "winograd": True, "sgemm": False}
            for name, precision in wanted.items()
        ]

    plan = edited(mixed_bundle, tmp_path / "edited.json", change)
    outcome = command("quantize", bundle, "--precision", "mixed", "--plan", plan, "--max-mae", "0.5")
    assert outcome.code == 0, outcome.err
    layers = {layer.name: layer for layer in load_variant(open_bundle(bundle), "mixed").layers}
    assert [name for name, layer in layers.items() if is_int8(layer)] == [able[0]]
    for name in able[1:]:
        assert layers[name].weights["weight"].storage is Storage.FP32
    shown = command("inspect", "--plan", bundle)
    assert shown.code == 0, shown.err
    assert "max mae 0.5" in shown.out
    assert "cosine" not in shown.out  # that bound was of another mix
    assert read_plan(bundle).choices == read_plan(plan).choices


@pytest.mark.usefixtures("no_device")
def test_a_plan_that_breaks_the_bound_leaves_the_bundle(
    command, bundle: Path, mixed_bundle: Path, tmp_path: Path
) -> None:
    able = [layer.name for layer in load_variant(open_bundle(bundle), "int8").layers if is_int8(layer)]

    def change(document: dict) -> None:
        document["layers"] = [
            {"name": name, "precision": "int8", "winograd": True, "sgemm": True} for name in able
        ]

    before = contents(bundle)
    plan = edited(mixed_bundle, tmp_path / "edited.json", change)
    outcome = command("quantize", bundle, "--precision", "mixed", "--plan", plan, "--min-cosine", "1")
    assert outcome.code == 1
    assert "breaks the bound (cosine at least 1)" in outcome.err
    assert contents(bundle) == before
    assert sorted(path.name for path in tmp_path.iterdir()) == ["b", "edited.json"]


@pytest.mark.usefixtures("no_device")
@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda plan: plan["layers"][0].update(name="elsewhere"), "no layer 'elsewhere'"),
        (lambda plan: plan["layers"][-1].update(precision="int8"), "can't run in int8"),
        (lambda plan: plan.update(channels={"nowhere": 16}), "'nowhere'"),
        (lambda plan: plan.update(apart=["nowhere"]), "no grouped convolution 'nowhere'"),
    ],
)
def test_a_plan_of_another_network(
    command, bundle: Path, mixed_bundle: Path, tmp_path: Path, change, message: str
) -> None:
    before = contents(bundle)
    plan = edited(mixed_bundle, tmp_path / "edited.json", change)
    outcome = command("quantize", bundle, "--precision", "mixed", "--plan", plan)
    assert outcome.code == 2
    assert "the plan does not fit the network" in outcome.err
    assert message in outcome.err
    assert contents(bundle) == before


@pytest.mark.usefixtures("no_device")
@pytest.mark.parametrize("option", [("--min-iou", "0.9"), ("--min-top1", "1"), ("--plan", "plan.json")])
def test_bounds_and_plans_without_a_mix_are_refused(
    command, mixed_bundle: Path, option: tuple[str, str]
) -> None:
    outcome = command("quantize", mixed_bundle, *option)
    assert outcome.code == 2
    assert "Add mixed to --precision" in outcome.err


def test_bounds_of_masks_need_one(command, arguments: list[str], tmp_path: Path, chosen_phone) -> None:
    without = [argument for argument in arguments if not argument.startswith(("--mask", "--min"))]
    outcome = command(*without, "--min-iou", "0.99", "-o", tmp_path / "b")
    assert outcome.code == 2
    assert "--mask" in outcome.err
    assert not (tmp_path / "b").exists()


def test_mixed_is_benchmarked_like_any_variant(
    command, mixed_bundle: Path, chosen_phone, tmp_path: Path
) -> None:
    options = ("--precision", "fp32,mixed", "--launches", "1", "--runs", "3", "--min-time", "0")
    options += ("--format", "json", "-o", tmp_path / "run.json")
    outcome = command("benchmark", mixed_bundle, *options)
    assert outcome.code == 0, outcome.err
    assert [entry["precision"] for entry in json.loads(outcome.out)["benchmarks"]] == ["fp32", "mixed"]


@pytest.mark.parametrize("step", ["launch 2 of", "searching for the fastest"])
def test_interrupted_half_way(
    mixed_bundle: Path, tmp_path: Path, step: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    def stop(said: str, _done: int, _total: int) -> None:
        if said.startswith(step):
            raise KeyboardInterrupt

    bundle = tmp_path / "b"
    shutil.copytree(mixed_bundle, bundle)
    before = contents(bundle)
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path / "temporary"))
    (tmp_path / "temporary").mkdir()
    with (
        VirtualPhone(tmp_path / "phone") as phone,
        open_device(phone.serial) as device,
        pytest.raises(KeyboardInterrupt),
    ):
        mixer = DeviceMixer(device, Bound(min_cosine=0.97))
        quantize_bundle(QuantizeRequest(bundle, mixer=mixer), stop)
    assert contents(bundle) == before
    assert not list((tmp_path / "temporary").iterdir())
    assert sorted(path.name for path in tmp_path.iterdir()) == ["b", "phone", "temporary"]


def test_of_one_precision_only_algorithms_are_chosen(mixed_bundle: Path, tmp_path: Path) -> None:
    """Also where int8 or fp16 would be faster: --mix says what layers may run in."""
    with VirtualPhone(tmp_path / "phone") as phone, open_device(phone.serial) as device:
        mixer = DeviceMixer(device, floats="fp32", int8=False)
        bundle, _ = quantize_bundle(QuantizeRequest(mixed_bundle, tmp_path / "b", mixer=mixer))
    plan = read_plan(bundle.path)
    assert {choice.precision for choice in plan.choices.values()} == {"fp32"}
    assert plan.document["bound"] == {"min_iou": 0.99}  # the default where there is a mask
    assert plan.document["figures"]["mixed"]["min_iou"]["worse_end"] >= 0.99
    # Nothing is said of int8; that ncnn's own algorithms won may be, as so small a network is all noise.
    assert all(said.startswith("No mix was faster than fp32") for said in plan.document["advice"])
