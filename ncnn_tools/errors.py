"""Errors of this library; all share one base."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path


class NcnnToolsError(Exception):
    """The base of every error that this library raises on purpose."""


class FormatError(NcnnToolsError):
    """A .param or .bin file is malformed; `where` names the line (.param) or the byte offset (.bin)."""

    def __init__(self, path: Path | None, where: str, message: str) -> None:
        name = str(path) if path else "<memory>"
        super().__init__(f"{name}: {where}: {message}")
        self.path = path
        self.where = where


class GraphError(NcnnToolsError):
    """A graph in memory breaks a rule: an unknown layer or parameter, a weight of the wrong size, a cycle."""


class UnknownLayersError(GraphError):
    """A model holds layer types that ncnn does not have; `types` counts the layers of each."""

    def __init__(self, types: Mapping[str, int]) -> None:
        listed = ", ".join(f"{name} ({count})" if count > 1 else name for name, count in types.items())
        super().__init__(f"ncnn has no layer type {listed}")
        self.types = dict(types)


class InvalidModelError(NcnnToolsError):
    """An ONNX model breaks ONNX's own rules: a tensor that no node gives, a missing attribute, a wrong order."""


class UnsupportedOperatorError(NcnnToolsError):
    """An ONNX node that can't be converted exactly; names the node, its operator and the attribute."""

    def __init__(self, node: str, operator: str, reason: str, *, attribute: str | None = None) -> None:
        about = f", attribute {attribute}" if attribute else ""
        super().__init__(f"node {node!r} ({operator}{about}): {reason}")
        self.node = node
        self.operator = operator
        self.attribute = attribute
        self.reason = reason


class RuntimeFailedError(NcnnToolsError):
    """The ncnn runtime refused to load or to run a model."""


class RuntimeCrashedError(RuntimeFailedError):
    """The process that ran a model was ended by a signal, or took longer than its limit."""
