"""The graph passes in words, and what each did to a model."""

from __future__ import annotations

from dataclasses import dataclass

import onnx

from ncnn_tools.onnx2ncnn import convert_onnx
from ncnn_tools.passes import PASSES, Pass, apply_passes


@dataclass(frozen=True)
class PassFacts:
    """A pass: its name, what it does in one line, and how often it applied (None without a model)."""

    name: str
    summary: str
    applied: int | None = None


def list_passes(model: onnx.ModelProto | None = None) -> list[PassFacts]:
    """Return all passes in the order in which they run; with a model, how often each applied to it.

    Raises what `convert_onnx` does for a model that can't be converted.
    """
    applied = apply_passes(convert_onnx(model)) if model is not None else None
    names = dict.fromkeys(apply.__name__ for apply in PASSES)
    by_name = {apply.__name__: apply for apply in PASSES}
    return [
        PassFacts(name, _summary(by_name[name]), None if applied is None else applied[name]) for name in names
    ]


def _summary(apply: Pass) -> str:
    """Return what the first line of a pass's docstring says that it does, without what it returns."""
    return (apply.__doc__ or "").strip().split("\n")[0].split("; return")[0].rstrip(".")
