"""A network to ONNX by torch's exporter, and the ONNX file against torch."""

from __future__ import annotations

import contextlib
import inspect
import io
import logging
import warnings
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

import numpy as np
import onnx
import torch
from torch.utils import _pytree as pytree

from mobiledeploy.arrays import FloatArray
from mobiledeploy.errors import ConversionError, UsageError
from mobiledeploy.source.onnx_file import save_onnx
from mobiledeploy.source.reference import (
    TensorSpec,
    open_session,
    random_inputs,
    relative_error,
    run,
)
from mobiledeploy.source.user_code import describe, running

# The opset of torch.onnx's own function library: no conversion between versions takes place.
OPSET = 18
_CHECKED_INPUTS = 2


def export_onnx(
    network: torch.nn.Module,
    input_shapes: Sequence[Sequence[int]],
    path: Path,
    *,
    output_names: Sequence[str] | None = None,
) -> None:
    """Export `network` in evaluation mode to one self-contained ONNX file with static shapes.

    Inputs are named as forward()'s arguments. Outputs are named `output_names`, else by their keys where
    forward() returns a dictionary, else `output`, or `output0`, `output1`, … where there are several.
    Nested tuples and lists are flattened. The network is left in evaluation mode.

    Args:
        network: float32 parameters on the CPU.
        input_shapes: one shape an input, e.g. `[(1, 3, 256, 256)]`; the inputs are float32.
        path: the file to write, whole or not at all.
        output_names: one name an output, in forward()'s order.

    Raises:
        UsageError: the shapes or names don't fit forward().
        ConversionError: forward() fails at these shapes, or can't be exported.
    """
    model = export_program(network, input_shapes, output_names=output_names).model_proto
    _strip_notes(model)
    save_onnx(model, path)


def export_program(
    network: torch.nn.Module,
    input_shapes: Sequence[Sequence[int]],
    *,
    output_names: Sequence[str] | None = None,
) -> torch.onnx.ONNXProgram:
    """Export as `export_onnx` does, but keep what the exporter knows: `exported_program` is the traced network.

    The ONNX tensors have the names of its nodes; inputs and outputs are named as `export_onnx` says.
    Raises what `export_onnx` raises.
    """
    inputs = input_specs(network, input_shapes)
    arguments = random_inputs(inputs, seed=0)
    outputs = forward(network, arguments)
    names = _checked_names(output_names, list(outputs), [spec.name for spec in inputs])
    tensors = tuple(torch.from_numpy(value) for value in arguments.values())
    try:
        with _quiet(), torch.no_grad():
            program = torch.onnx.export(
                network,
                tensors,
                input_names=[spec.name for spec in inputs],
                output_names=names,
                opset_version=OPSET,
                dynamo=True,
                verbose=False,
            )
    except Exception as error:  # the exporter raises anything that the network's code may
        raise ConversionError(
            f"the network can't be exported to ONNX: {describe(error)}",
            hint="Rewrite that line with plain tensor operations whose flow does not depend on values.",
        ) from error
    if program is None:
        raise ConversionError("torch.onnx.export returned no program")
    return program


def check_onnx(
    path: Path,
    network: torch.nn.Module,
    input_shapes: Sequence[Sequence[int]],
    *,
    tolerance: float = 1e-4,
) -> float:
    """Compare the ONNX file, run by onnxruntime, with the network on seeded standard normal inputs.

    Returns:
        The largest error over all outputs: max|onnx - torch| / max(1, max|torch|).

    Raises:
        ConversionError: it is above `tolerance`, or the network gives NaN or infinity.
    """
    session = open_session(path)
    inputs = input_specs(network, input_shapes)
    worst = 0.0
    for seed in range(_CHECKED_INPUTS):
        arguments = random_inputs(inputs, seed)
        expected = forward(network, arguments)
        actual = run(session, arguments)
        if len(actual) != len(expected):
            raise ConversionError(f"{path}: {len(actual)} outputs, where the network has {len(expected)}")
        for name, result, reference in zip(actual, actual.values(), expected.values(), strict=True):
            if not np.isfinite(reference).all():
                raise ConversionError(
                    f"the network itself gives NaN or infinity in its output {name!r} on random input",
                    hint="Check the checkpoint: its training may have diverged.",
                )
            error = relative_error(result, reference)
            if error > tolerance:
                raise ConversionError(
                    f"{path}: the output {name!r} differs from torch's by {error:.1e} (at most {tolerance:g})",
                    hint="Something in forward() is not in the exported graph: randomness, state kept between"
                    " calls, values taken out of tensors (item(), numpy()).",
                )
            worst = max(worst, error)
    return worst


def input_specs(network: torch.nn.Module, input_shapes: Sequence[Sequence[int]]) -> tuple[TensorSpec, ...]:
    """Return the network's inputs: forward()'s argument names with the shapes given.

    Raises:
        UsageError: forward() takes another number of inputs, or a shape is not positive.
    """
    for shape in input_shapes:
        if not shape or min(shape) < 1:
            raise UsageError(f"input shape {tuple(shape)}: every extent must be at least 1")
    parameters = inspect.signature(network.forward).parameters.values()
    positional = [p for p in parameters if p.kind in (p.POSITIONAL_ONLY, p.POSITIONAL_OR_KEYWORD)]
    variadic = any(p.kind is p.VAR_POSITIONAL for p in parameters)
    required = [p.name for p in positional if p.default is p.empty]
    count = len(input_shapes)
    if count < len(required) or (count > len(positional) and not variadic) or count == 0:
        names = ", ".join(p.name for p in positional)
        raise UsageError(
            f"{count} input shapes given; forward() takes ({names})",
            hint="Give --input-shape once an input, in forward()'s order.",
        )
    names_given = [p.name for p in positional[:count]]
    names_given += _numbered("input", count)[len(names_given) :]
    return tuple(TensorSpec(n, tuple(s)) for n, s in zip(names_given, input_shapes, strict=True))


def forward(network: torch.nn.Module, inputs: Mapping[str, FloatArray]) -> dict[str, FloatArray]:
    """Run the network in evaluation mode; returns its outputs, named and in order.

    Raises:
        ConversionError: its code fails, or gives something other than tensors.
    """
    network.eval()
    shapes = ", ".join("x".join(str(extent) for extent in value.shape) for value in inputs.values())
    with running(f"forward() on input {shapes}"), torch.no_grad():
        result = network(*(torch.from_numpy(value) for value in inputs.values()))
    leaves = [leaf for leaf in pytree.tree_leaves(result) if leaf is not None]
    if not leaves or not all(isinstance(leaf, torch.Tensor) for leaf in leaves):
        kinds = sorted({type(leaf).__name__ for leaf in leaves}) or ["nothing"]
        raise ConversionError(f"forward() must return tensors, not {', '.join(kinds)}")
    is_flat_dict = isinstance(result, Mapping) and len(result) == len(leaves)
    names = [str(key) for key in result] if is_flat_dict else _numbered("output", len(leaves))
    return {name: leaf.float().numpy() for name, leaf in zip(names, leaves, strict=True)}


def _numbered(name: str, count: int) -> list[str]:
    return [name] if count == 1 else [f"{name}{index}" for index in range(count)]


def _checked_names(given: Sequence[str] | None, found: list[str], inputs: list[str]) -> list[str]:
    names = list(given) if given is not None else found
    if len(names) != len(found):
        raise UsageError(f"{len(names)} output names given ({', '.join(names)}); forward() has {len(found)}")
    if len({*names, *inputs}) != len(names) + len(inputs) or not all(names):
        raise UsageError(
            f"input and output names must differ and not be empty: {', '.join([*inputs, *names])}",
            hint="Give other names for the outputs.",
        )
    return names


def _strip_notes(model: onnx.ModelProto) -> None:
    """Remove the exporter's notes on each node: they hold source lines and paths of this computer."""
    for node in model.graph.node:
        del node.metadata_props[:]
        node.doc_string = ""
    for value in (*model.graph.value_info, *model.graph.input, *model.graph.output):
        del value.metadata_props[:]
    for tensor in model.graph.initializer:
        del tensor.metadata_props[:]
    del model.graph.metadata_props[:]
    del model.metadata_props[:]
    model.graph.doc_string = ""


@contextlib.contextmanager
def _quiet() -> Iterator[None]:
    """Silence torch's exporter, which prints, warns and logs whether it succeeds or not."""
    previous = logging.root.manager.disable
    logging.disable(logging.CRITICAL)
    try:
        with (
            warnings.catch_warnings(),
            contextlib.redirect_stdout(io.StringIO()),
            contextlib.redirect_stderr(io.StringIO()),
        ):
            warnings.simplefilter("ignore")
            yield
    finally:
        logging.disable(previous)
