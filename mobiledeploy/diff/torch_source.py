"""A torch network whose every tensor can be asked for.

torch's exporter traces the network into a graph of single operators, and names the ONNX tensors after the values of
that graph. So the graph is run here by torch, operator by operator, and each value is matched by that name with the
ONNX tensor that was made of it, and with whatever came of that in a bundle.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import torch
from torch.export.graph_signature import InputKind
from torch.fx import Interpreter, Node

from mobiledeploy.arrays import FloatArray
from mobiledeploy.diff.source import Intermediate
from mobiledeploy.errors import ConversionError
from mobiledeploy.source.export import export_program, forward, input_specs
from mobiledeploy.source.reference import TensorSpec, random_inputs, relative_error
from mobiledeploy.source.user_code import running
from ncnn_tools.graph import Layer

_TOLERANCE = 1e-4  # of the trace against the network: the same operators, so far less in truth


class TorchSource:
    """A network with its weights, traced; the values are torch's own, on this computer."""

    kind = "torch"
    on_device = False
    batched = True
    halves = False
    notes: tuple[str, ...] = ()

    def __init__(
        self,
        label: str,
        network: torch.nn.Module,
        input_shapes: Sequence[Sequence[int]],
        output_names: Sequence[str] | None,
    ) -> None:
        """Trace it; raises what `export_onnx` raises, and ConversionError where the trace computes something else."""
        self.label = label
        self.inputs = input_specs(network, input_shapes)
        program = export_program(network, input_shapes, output_names=output_names)
        exported = program.exported_program
        if exported is None:
            raise ConversionError(f"{label}: torch's exporter gave no traced network")
        self._program = exported
        self.outputs = tuple(value.name for value in program.model_proto.graph.output)
        self._keys = _keys(exported, self.outputs)
        _check_traced(label, network, exported, self.inputs)
        self.tensors = tuple(
            _intermediate(node, self._keys) for node in exported.graph.nodes if _counts(node)
        )

    def values(self, keys: Sequence[str], inputs: Sequence[FloatArray]) -> dict[str, FloatArray]:
        """Run once; returns the tensors of these keys. Raises ConversionError where an operator fails."""
        recorder = _Recorder(self._program.graph_module, set(keys), self._keys)
        with running(f"{self.label}: running the traced network"), torch.no_grad():
            recorder.run(*_arguments(self._program, inputs))
        return recorder.found

    def layer_of(self, key: str) -> Layer | None:  # noqa: ARG002
        """Return None: it has no ncnn layers."""
        return None


class _Recorder(Interpreter):
    """Runs a traced network and keeps the values that are wanted."""

    def __init__(self, module: torch.fx.GraphModule, wanted: set[str], keys: Mapping[str, str]) -> None:
        super().__init__(module)
        self._wanted = wanted
        self._keys = keys
        self.found: dict[str, FloatArray] = {}

    def run_node(self, n: Node) -> Any:
        """Run one operator, as torch's own class does."""
        value = super().run_node(n)
        key = self._keys[n.name]
        if key in self._wanted and isinstance(value, torch.Tensor):
            self.found[key] = value.float().numpy().copy()  # an operator in place may change it later
        return value


def _keys(program: torch.export.ExportedProgram, outputs: Sequence[str]) -> dict[str, str]:
    """Map each value to the name of its ONNX tensor: its own, but for outputs, whose names the exporter was told.

    A value that is given as two outputs goes by the last.
    """
    results = program.graph_signature.user_outputs
    named = dict(zip((str(result) for result in results), outputs, strict=True))
    return {
        node.name: named.get(node.name, f"value {node.name}" if node.name in outputs else node.name)
        for node in program.graph.nodes
    }


def _check_traced(
    label: str, network: torch.nn.Module, program: torch.export.ExportedProgram, inputs: Sequence[TensorSpec]
) -> None:
    """Raise ConversionError unless the traced network gives what the network itself gives, on seeded noise."""
    arguments = random_inputs(inputs, seed=1)
    expected = forward(network, arguments)
    with torch.no_grad():
        results = Interpreter(program.graph_module).run(*_arguments(program, list(arguments.values())))
    for (name, reference), result in zip(
        expected.items(), results[-len(expected) :], strict=True
    ):  # what comes before them are buffers that change
        error = relative_error(result.float().numpy(), reference)
        if not error <= _TOLERANCE:
            raise ConversionError(
                f"{label}: traced by torch, the output {name!r} differs by {error:.1e} from the network's own",
                hint="forward() does not do the same each time: randomness, state, values taken out of tensors.",
            )


def _counts(node: Node) -> bool:
    value = node.meta.get("val")
    return (
        node.op == "call_function"
        and isinstance(value, torch.Tensor)
        and value.is_floating_point()
        and value.numel() > 0
    )


def _intermediate(node: Node, keys: Mapping[str, str]) -> Intermediate:
    modules = list(node.meta.get("nn_module_stack", {}).values())
    return Intermediate(
        key=keys[node.name],
        name=keys[node.name],
        layer=str(modules[-1][0]) if modules and modules[-1][0] else node.name,
        type=_operator(node),
        parents=tuple(keys[parent.name] for parent in _computed(node)),
        shape=tuple(int(extent) for extent in node.meta["val"].shape),
    )


def _computed(node: Node) -> list[Node]:
    """Return what a value is computed from, past the tuples that some operators give."""
    found: list[Node] = []
    for parent in node.all_input_nodes:
        is_tuple = isinstance(parent.meta.get("val"), tuple | list)
        found += _computed(parent) if is_tuple else [parent]
    return found


def _operator(node: Node) -> str:
    """Return the operator's short name; for a part of a tuple that of the operator which gave it."""
    source = node.all_input_nodes[0] if getattr(node.target, "__name__", "") == "getitem" else node
    name = source.target.__name__ if callable(source.target) else str(source.target)
    return name.partition(".")[0]


def _arguments(program: torch.export.ExportedProgram, inputs: Sequence[FloatArray]) -> list[Any]:
    """Return what a traced network takes, in order: its weights and constants, and the inputs among them."""
    given = iter(inputs)
    known = {**program.constants, **program.state_dict}
    return [
        torch.from_numpy(next(given)) if spec.kind is InputKind.USER_INPUT else known[spec.target or ""]
        for spec in program.graph_signature.input_specs
    ]
