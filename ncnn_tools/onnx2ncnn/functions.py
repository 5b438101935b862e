"""Operators that ONNX defines by other ones: their function bodies, node by node.

Where there is no converter for an operator but ONNX gives it a body of operators for which there may be some, the
converter reads that body instead. Its tensors and nodes are named after the node that they stand for.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import onnx


def expand(proto: onnx.NodeProto, opset: int, types: Mapping[str, onnx.TypeProto]) -> list[onnx.NodeProto]:
    """Return the nodes that ONNX defines a node's operator by; none where it defines none, or with subgraphs.

    `types` are those of the node's inputs: some bodies depend on them.
    """
    try:
        schema = onnx.defs.get_schema(proto.op_type, opset, "")
        function = _function(schema, proto, opset, types)
    except (onnx.defs.SchemaError, RuntimeError, KeyError):
        return []
    if function is None or _has_subgraphs(function.node):
        return []
    return _instantiate(function, proto, _attributes(schema, proto))


def _function(
    schema: Any, proto: onnx.NodeProto, opset: int, types: Mapping[str, onnx.TypeProto]
) -> onnx.FunctionProto | None:
    """Return the newest body that an opset may use: later ones may have changed an operator of it."""
    given = [types[name].SerializeToString() if name else b"" for name in proto.input]
    for version in range(opset, schema.since_version - 1, -1):
        body = b""
        if schema.has_context_dependent_function:
            body = schema.get_context_dependent_function_with_opset_version(
                version, proto.SerializeToString(), given
            )
        elif schema.has_function:
            body = schema.get_function_with_opset_version(version)
        if body:
            function = onnx.FunctionProto.FromString(body)
            return function if _means_the_same(function, version, opset) else None
    return None


def _means_the_same(function: onnx.FunctionProto, version: int, opset: int) -> bool:
    """Say whether the body's operators take the same inputs and attributes in both opsets."""

    def signature(operator: str, at: int) -> tuple[set[str], set[str]]:
        schema = onnx.defs.get_schema(operator, at, "")
        return {formal.name for formal in schema.inputs}, set(schema.attributes)

    return all(
        signature(inner.op_type, version) == signature(inner.op_type, opset) for inner in function.node
    )


def _attributes(schema: onnx.defs.OpSchema, proto: onnx.NodeProto) -> dict[str, onnx.AttributeProto]:
    defaults = {name: attribute.default_value for name, attribute in schema.attributes.items()}
    known = {name: value for name, value in defaults.items() if value is not None and value.name}
    return {**known, **{attribute.name: attribute for attribute in proto.attribute}}


def branch(proto: onnx.NodeProto, condition: bool) -> list[onnx.NodeProto]:
    """Return the nodes of the branch that an If takes; none where it has subgraphs, or gives what it did not make."""
    name = "then_branch" if condition else "else_branch"
    graph = next(attribute.g for attribute in proto.attribute if attribute.name == name)
    results = [value.name for value in graph.output]
    made = {output for inner in graph.node for output in inner.output}
    if graph.initializer or not made.issuperset(results) or _has_subgraphs(graph.node):
        return []
    names = {output: f"{_prefix(proto)}/{output}" for output in made if output}
    return _renamed(graph.node, _prefix(proto), {**names, **_bound(results, proto.output)}, {})


def _instantiate(
    function: onnx.FunctionProto, proto: onnx.NodeProto, attributes: Mapping[str, onnx.AttributeProto]
) -> list[onnx.NodeProto]:
    made = [output for inner in function.node for output in inner.output if output]
    names = {output: f"{_prefix(proto)}/{output}" for output in made}
    results = {formal: actual for formal, actual in _bound(function.output, proto.output).items() if actual}
    inputs = _bound(function.input, proto.input)
    return _renamed(function.node, _prefix(proto), {**names, **inputs, **results}, attributes)


def _prefix(proto: onnx.NodeProto) -> str:
    return proto.name or proto.output[0]


def _renamed(
    body: Sequence[onnx.NodeProto],
    prefix: str,
    names: Mapping[str, str],
    attributes: Mapping[str, onnx.AttributeProto],
) -> list[onnx.NodeProto]:
    """Copy nodes with other names for some tensors, and with the attributes that theirs refer to."""
    nodes = []
    for index, inner in enumerate(body):
        node = onnx.NodeProto(op_type=inner.op_type, domain=inner.domain)
        node.name = f"{prefix}/{inner.op_type}_{index}"
        node.input.extend(names.get(name, name) for name in inner.input)
        node.output.extend(names.get(name, name) for name in inner.output)
        node.attribute.extend(_resolved(inner.attribute, attributes))
        nodes.append(node)
    return nodes


def _has_subgraphs(nodes: Iterable[onnx.NodeProto]) -> bool:
    return any(attribute.HasField("g") for node in nodes for attribute in node.attribute)


def _bound(formal: Sequence[str], actual: Sequence[str]) -> dict[str, str]:
    """Map the body's names to the node's; what the node leaves out to no name."""
    given = [*actual, *[""] * (len(formal) - len(actual))]
    return dict(zip(formal, given, strict=True))


def _resolved(
    inner: Sequence[onnx.AttributeProto], attributes: Mapping[str, onnx.AttributeProto]
) -> list[onnx.AttributeProto]:
    """Give attributes that refer to one of the node's that one's value; without a value they are left out."""
    resolved = []
    for attribute in inner:
        value = attributes.get(attribute.ref_attr_name) if attribute.ref_attr_name else attribute
        if value is not None:
            twin = onnx.AttributeProto.FromString(value.SerializeToString())
            twin.name = attribute.name
            resolved.append(twin)
    return resolved
