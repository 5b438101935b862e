"""What turns the ONNX reference into an ncnn graph: our own converter, or another that was asked for by name.

`program` runs someone else's program where it can do no harm, `foreign` says how to run each and takes what it
wrote apart. A foreign graph has the names of the ONNX model's inputs and outputs, fp32 weights and only layers that
ncnn has; the check that every graph passes (`convert.check`) sees whether it computes the right thing.
"""

from __future__ import annotations

from mobiledeploy.convert.converters.foreign import FOREIGN_CONVERTERS, TRY_OURS, ForeignConverter
from mobiledeploy.errors import UsageError

OURS = "mobiledeploy"
CONVERTERS = (OURS, *FOREIGN_CONVERTERS)

__all__ = ["CONVERTERS", "FOREIGN_CONVERTERS", "OURS", "TRY_OURS", "ForeignConverter", "foreign_converter"]


def foreign_converter(name: str) -> ForeignConverter | None:
    """Return a converter by its name, None for ours; UsageError for an unknown one."""
    if name not in CONVERTERS:
        raise UsageError(f"there is no converter {name!r}", hint=f"There are: {', '.join(CONVERTERS)}.")
    return FOREIGN_CONVERTERS.get(name)
