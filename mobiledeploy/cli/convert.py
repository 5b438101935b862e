"""`mobiledeploy convert`."""

from __future__ import annotations

import dataclasses
from fractions import Fraction
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from mobiledeploy.cli.mixing import mixed_options, mixer_of
from mobiledeploy.cli.options import calibration_method_option, format_option, precision_option
from mobiledeploy.cli.output import print_table
from mobiledeploy.cli.progress import step_progress
from mobiledeploy.errors import UsageError

if TYPE_CHECKING:
    from mobiledeploy.convert import ConvertRequest


@click.command(short_help="Turn a checkpoint or an ONNX file into a bundle of ncnn models.")
@click.argument("source", type=click.Path(path_type=Path))
@click.option("--model", metavar="FILE.py:NAME", help="The network; also package.module:NAME. Not for ONNX.")
@click.option(
    "--input-shape", "shapes", multiple=True, metavar="1x3xHxW", help="One for each input of the network."
)
@precision_option(
    "fp32,fp16, and int8 where --calibration or a QDQ model gives its scales; mixed is measured on a device"
)
@click.option(
    "--calibration",
    type=click.Path(path_type=Path),
    metavar="DIR",
    help="Pictures or .npy for int8 and mixed.",
)
@calibration_method_option
@click.option(
    "--converter",
    type=click.Choice(["mobiledeploy", "pnnx", "onnx2ncnn"]),
    default="mobiledeploy",
    show_default=True,
    help="What makes the ncnn model: our own, or another program, whose result is checked alike.",
)
@click.option(
    "-o", "--output", type=click.Path(path_type=Path), help="The bundle's folder.  [default: bundles/NAME]"
)
@click.option("--name", help="The model's name in tables.  [default: from --model or SOURCE]")
@click.option("--outputs", metavar="A,B", help="Names for the network's outputs, in order. Not for ONNX.")
@click.option("--mask", metavar="OUTPUT", help="The output that says where the subject is.")
@click.option(
    "--mask-activation",
    type=click.Choice(["none", "sigmoid", "softmax"]),
    help="What makes that output 0..1; of softmax the last map.  [default: none]",
)
@click.option(
    "--preprocessing",
    "toml",
    type=click.Path(path_type=Path),
    metavar="FILE.toml",
    help="Tables [preprocessing] and [network].  [default: the .toml beside the model]",
)
@click.option("--mean", metavar="A[,B,C]", help="Subtracted from grey levels 0..255.")
@click.option("--scale", metavar="A[,B,C]", help="Multiplied after that; 1/255 is a number here.")
@click.option("--color", type=click.Choice(["rgb", "bgr"]), help="Order of the channels.")
@click.option(
    "--trust-checkpoint", is_flag=True, help="Run the code inside a pickled checkpoint. Only for your own."
)
@click.option("--untrained", is_flag=True, help="The weights are random: show no accuracy of its masks.")
@mixed_options
@format_option
def command(
    source: Path,
    model: str | None,
    shapes: tuple[str, ...],
    precision: tuple[str, ...] | None,
    calibration: Path | None,
    method: str,
    converter: str,
    output: Path | None,
    name: str | None,
    outputs: str | None,
    mask: str | None,
    mask_activation: str | None,
    toml: Path | None,
    mean: str | None,
    scale: str | None,
    color: str | None,
    trust_checkpoint: bool,
    untrained: bool,
    form: str,
    **mixing: Any,
) -> None:
    """Turn a checkpoint or an ONNX file into a bundle of ncnn models.

    SOURCE is a checkpoint (.pth, .pt, .ckpt, .safetensors; weights only, no code in it is run) together with
    --model, or an .onnx file. The bundle holds one ncnn model for each precision, each compared with onnxruntime.
    A quantized ONNX file (QDQ) brings the scales of its int8.

    \b
    mobiledeploy convert net.pth --model net.py:Net --input-shape 1x3x256x256 \\
        --calibration photos/ --mean 104,112,121 --scale 1/255 --color bgr -o bundles/net
    """
    from mobiledeploy.convert import ConvertRequest, convert
    from mobiledeploy.convert.request import describing_file, parse_shape
    from mobiledeploy.report.bundle_table import bundle_table, footnotes

    if toml is not None and not toml.is_file():
        raise UsageError(f"{toml}: no such file")
    name = name or _default_name(source, model)
    request = ConvertRequest(
        source=source,
        output=output or Path("bundles", name),
        name=name,
        precisions=precision or ("fp32", "fp16", "int8"),
        model=model,
        input_shapes=tuple(parse_shape(text) for text in shapes) or None,
        output_names=tuple(outputs.split(",")) if outputs else None,
        mask=mask,
        mask_activation=mask_activation,
        calibration=calibration,
        method=method,
        converter=converter,
        trust_checkpoint=trust_checkpoint,
        untrained=untrained,
    )
    if not precision and calibration is None and not request.own_scales:
        request = dataclasses.replace(request, precisions=("fp32", "fp16"))
    if toml := toml or describing_file(source, model):
        request = request.described_by(toml)
    request = _with_preprocessing(request, mean=mean, scale=scale, color=color)
    with mixer_of(wanted="mixed" in request.precisions, **mixing) as mixer, step_progress() as progress:
        bundle, made = convert(request, progress, mixer)
    click.echo(f"{'wrote' if made else 'unchanged:'} {bundle.path}", err=True)
    print_table(bundle_table(bundle), form, document=bundle.manifest, notes=footnotes(bundle))


def _default_name(source: Path, model: str | None) -> str:
    if model is None:
        return source.stem
    place = model.rpartition(":")[0]
    return Path(place).stem if place.endswith(".py") else place.rpartition(".")[2]


def _with_preprocessing(
    request: ConvertRequest, *, mean: str | None, scale: str | None, color: str | None
) -> ConvertRequest:
    """Let what the command line says of the preprocessing take precedence over what a file says."""
    from mobiledeploy.preprocessing import Preprocessing

    given = {key: _numbers(key, text) for key, text in (("mean", mean), ("scale", scale)) if text is not None}
    values: dict[str, object] = {**given, **({"color": color} if color else {})}
    if not values:
        return request
    base = request.preprocessing or Preprocessing(request.picture_size())
    return dataclasses.replace(request, preprocessing=Preprocessing.from_json({**base.to_json(), **values}))


def _numbers(key: str, text: str) -> list[float]:
    try:
        numbers = [float(Fraction(part.strip())) for part in text.split(",")]
    except (ValueError, ZeroDivisionError):
        numbers = []
    if len(numbers) not in (1, 3):
        raise UsageError(
            f"--{key} {text!r}: give one number or three", hint="For example --mean 104,112,121."
        )
    return numbers * 3 if len(numbers) == 1 else numbers
