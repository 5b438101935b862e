"""`mobiledeploy inspect`."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import click

from mobiledeploy.cli.options import format_option, precision_option
from mobiledeploy.cli.output import print_table
from mobiledeploy.errors import CheckFailedError, UsageError

if TYPE_CHECKING:
    from ncnn_tools.inspect import ModelFacts

Shapes = tuple[tuple[int, ...], ...]


@click.command(short_help="Show a model's layers, sizes, kernels and memory, or what the graph passes do.")
@click.argument("model", required=False, type=click.Path(path_type=Path))
@precision_option("all that the bundle has, one row each; one precision shows its layers")
@click.option(
    "--input-shape", "shapes", multiple=True, metavar="1x3xHxW", help="One for each input that has no size."
)
@click.option("--by-type", is_flag=True, help="Show one row for each type of layer.")
@click.option("--plan", is_flag=True, help="Show what each layer of a mixed variant runs in, and why.")
@click.option("--passes", is_flag=True, help="List the graph passes; with a model, how often each applies.")
@format_option
def command(
    model: Path | None,
    precision: tuple[str, ...] | None,
    shapes: tuple[str, ...],
    by_type: bool,
    plan: bool,
    passes: bool,
    form: str,
) -> None:
    """Show a model's layers, sizes, kernels and memory, or what the graph passes do.

    MODEL is an .onnx file, a .param file (with its .bin beside it, or without) or a bundle; with --plan a bundle or
    a plan's file. Each layer has its type,
    shapes, parameters, multiply-adds, bytes, and whether ncnn has kernels in fp16 and int8 for it on ARM.

    \b
    mobiledeploy inspect bundles/net --precision int8 --by-type
    mobiledeploy inspect --plan bundles/net
    """
    from mobiledeploy.convert.request import parse_shape

    input_shapes = tuple(parse_shape(text) for text in shapes) or None
    if passes:
        if precision or by_type:
            raise UsageError(
                "--passes is about a conversion, not about layers", hint="Leave the other options out."
            )
        _print_passes(model, input_shapes, form)
    elif model is None:
        raise UsageError(
            "no model to inspect", hint="Give an .onnx file, a .param file or a bundle, or --passes."
        )
    elif plan:
        if precision or by_type or shapes:
            raise UsageError("--plan is about choices, not about layers", hint="Leave the other options out.")
        _print_plan(model, form)
    elif model.is_dir():
        _print_bundle(model, precision, input_shapes, form, by_type)
    elif precision:
        raise UsageError(f"{model}: --precision chooses variants of a bundle, and this is a file")
    else:
        from mobiledeploy.inspect import inspect_file

        _print_model(inspect_file(model, input_shapes), form, by_type)


def _print_passes(model: Path | None, shapes: Shapes | None, form: str) -> None:
    from mobiledeploy.inspect import passes_of
    from mobiledeploy.report.inspect_table import passes_document, passes_table

    found = passes_of(model, shapes)
    print_table(passes_table(found), form, document=passes_document(found), notes=[])


def _print_plan(path: Path, form: str) -> None:
    from mobiledeploy.mixed import read_plan
    from mobiledeploy.report.plan_table import plan_notes, plan_table

    plan = read_plan(path)
    print_table(plan_table(plan), form, document=dict(plan.document), notes=plan_notes(plan))


def _print_bundle(
    path: Path, precision: tuple[str, ...] | None, shapes: Shapes | None, form: str, by_type: bool
) -> None:
    from mobiledeploy.bundle import open_bundle
    from mobiledeploy.inspect import inspect_bundle
    from mobiledeploy.report.inspect_table import variants_notes, variants_table

    bundle = open_bundle(path)
    if by_type and len(precision or bundle.variants) > 1:
        raise UsageError(
            "--by-type is about one variant", hint=f"Add --precision {next(iter(bundle.variants))}."
        )
    variants = inspect_bundle(bundle, precision, shapes)
    if by_type or (precision and len(precision) == 1):
        [facts] = variants.values()
        _print_model(facts, form, by_type)
        return
    document = {name: facts.to_json() for name, facts in variants.items()}
    print_table(
        variants_table(variants),
        form,
        document={"kind": "bundle", "name": bundle.name, "variants": document},
        notes=variants_notes(variants),
    )


def _print_model(model: ModelFacts, form: str, by_type: bool) -> None:
    from mobiledeploy.report.inspect_table import layers_table, model_notes, types_table

    table = types_table(model) if by_type else layers_table(model)
    print_table(table, form, document=model.to_json(), notes=model_notes(model))
    if model.unknown:
        listed = ", ".join(f"{layer.type!r} ({layer.name!r})" for layer in model.unknown)
        raise CheckFailedError(
            f"ncnn has no such layer: {listed}",
            hint="The converter left these behind, and ncnn will refuse to load the model. `mobiledeploy convert` "
            "either converts a model whole or says what it can't.",
        )
