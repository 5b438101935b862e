"""The person's network, from `FILE.py:NAME` or `package.module:NAME`, and its weights put into it."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Mapping
from pathlib import Path
from types import ModuleType

import torch

from mobiledeploy.errors import ConversionError, UsageError
from mobiledeploy.source.user_code import import_file, import_module, running

_LISTED = 20  # names of each kind of mismatch that an error shows


def load_network(spec: str) -> torch.nn.Module:
    """Import and build the network that `spec` names.

    Args:
        spec: `FILE.py:NAME` or `package.module:NAME`. NAME is a class or function that is called without
            arguments, or a ready `torch.nn.Module`. Imports of files beside FILE.py work from any folder, and
            so do absolute imports of the package that FILE.py belongs to (`__init__.py` beside it).

    Returns:
        The network, as its code built it.

    Raises:
        UsageError: the spec is malformed, the file or the name does not exist, or NAME is no network.
        ConversionError: the network's own code failed.
    """
    place, separator, name = spec.rpartition(":")
    if not separator or not place or not name:
        raise UsageError(
            f"{spec!r} does not name a network",
            hint="Give FILE.py:NAME or package.module:NAME, e.g. models/seg_matting.py:SegMatting.",
        )
    is_file = place.endswith(".py") or "/" in place or "\\" in place
    module = import_file(Path(place)) if is_file else import_module(place)
    if not hasattr(module, name):
        raise UsageError(f"{place} has no {name!r}", hint=_networks_in(module))
    return _build(getattr(module, name), spec)


def fit(network: torch.nn.Module, state_dict: Mapping[str, torch.Tensor]) -> None:
    """Copy the weights in `state_dict` into `network`, strictly: all names and shapes must agree.

    Only `num_batches_tracked` counters may be missing: torch before 0.4.1 did not save them, and inference
    does not use them.

    Raises:
        ConversionError: names or shapes differ; the message lists them, the hint says what may be the reason.
    """
    wanted = network.state_dict()
    missing = [key for key in wanted if key not in state_dict and not key.endswith("num_batches_tracked")]
    unexpected = [key for key in state_dict if key not in wanted]
    shapes = [
        f"{key}: {_shape(state_dict[key])} in the checkpoint, {_shape(wanted[key])} in the network"
        for key in wanted
        if key in state_dict and wanted[key].shape != state_dict[key].shape
    ]
    if missing or unexpected or shapes:
        lists = [
            _listing("missing from the checkpoint", missing),
            _listing("unknown to the network", unexpected),
            _listing("of another shape", shapes),
        ]
        raise ConversionError(
            "the checkpoint does not fit the network\n" + "\n".join(text for text in lists if text),
            hint=_near_miss(wanted, state_dict, missing, unexpected),
        )
    network.load_state_dict(dict(state_dict), strict=False)  # strictness was checked above


def _build(target: object, spec: str) -> torch.nn.Module:
    if isinstance(target, torch.nn.Module):
        return target
    if not callable(target):
        raise UsageError(f"{spec} is a {type(target).__name__}, not a network or a function that builds one")
    needed = _required_arguments(target)
    if needed:
        raise UsageError(
            f"{spec} needs arguments: {', '.join(needed)}",
            hint="Write a function without arguments that returns the network, and name that one, e.g.\n"
            "def build(): return Net(classes=2)",
        )
    with running(f"{spec}: building the network"):
        network = target()
    if not isinstance(network, torch.nn.Module):
        raise UsageError(f"{spec} gives a {type(network).__name__}, not a torch.nn.Module")
    return network


def _required_arguments(target: Callable[..., object]) -> list[str]:
    try:
        parameters = inspect.signature(target).parameters.values()
    except (TypeError, ValueError):  # some C types have none; calling will tell
        return []
    variadic = (inspect.Parameter.VAR_POSITIONAL, inspect.Parameter.VAR_KEYWORD)
    return [p.name for p in parameters if p.default is p.empty and p.kind not in variadic]


def _networks_in(module: ModuleType) -> str:
    own = [
        name
        for name, value in vars(module).items()
        if isinstance(value, torch.nn.Module)
        or (
            inspect.isclass(value)
            and issubclass(value, torch.nn.Module)
            and value.__module__ == module.__name__
        )
    ]
    return f"Networks there: {', '.join(own)}." if own else "No torch.nn.Module is defined there."


def _listing(what: str, items: list[str]) -> str:
    if not items:
        return ""
    more = [f"  … and {len(items) - _LISTED} more"] if len(items) > _LISTED else []
    # Names come from the file: one with control characters must not steer the terminal.
    shown = [f"  {item if item.isprintable() else ascii(item)}" for item in items[:_LISTED]]
    return "\n".join([f"{len(items)} {what}:", *shown, *more])


def _shape(tensor: torch.Tensor) -> str:
    return "x".join(str(extent) for extent in tensor.shape) or "scalar"


def _near_miss(
    wanted: Mapping[str, torch.Tensor],
    given: Mapping[str, torch.Tensor],
    missing: list[str],
    unexpected: list[str],
) -> str:
    """Say what would make the names agree, where something simple would."""
    if not missing and not unexpected:
        return (
            "Same names, other sizes: the network was probably built with other settings than the saved one."
        )
    for key in unexpected:
        if missing and key.endswith(f".{missing[0]}"):
            prefix = key[: -len(missing[0])]
            if all(prefix + name in given for name in missing):
                return (
                    f"The checkpoint's names begin with {prefix!r}: save it again with that prefix removed."
                )
    for key in missing:
        if unexpected and key.endswith(f".{unexpected[0]}"):
            prefix = key[: -len(unexpected[0])]
            if all(prefix + name in wanted for name in unexpected):
                return f"The network's names begin with {prefix!r}: name the part of it that was saved."
    if [t.shape for t in wanted.values()] == [t.shape for t in given.values()]:
        return "The shapes agree in order: the layers were renamed since the checkpoint was saved."
    return "Check that the checkpoint was saved from this network, built with the same settings."
