"""A checkpoint's weights as a plain state dict, loaded without running code from the file.

torch's `weights_only` unpickler builds tensors and plain containers and refuses everything else. Training
scripts also save bookkeeping beside the weights (numpy scalars, argparse namespaces, configuration classes);
for each class or function that the pickle names and torch does not allow, an inert stand-in is registered, so
that such a file loads and nothing in it runs. Where the weights themselves are behind such a name, as in a
pickled module, the file is refused and the name given.
"""

from __future__ import annotations

import pickle
import warnings
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import torch

from mobiledeploy.errors import ConversionError
from mobiledeploy.source.checkpoint_file import CheckpointFormat, globals_named, identify

# The keys under which training scripts keep the weights, in the order in which they are tried.
# Averaged weights come last: they are taken only where the plain ones are not saved.
WRAPPING_KEYS = (
    "state_dict",
    "model_state_dict",
    "model_state",
    "model",
    "net",
    "network",
    "weights",
    "params",
    "module",
    "state_dict_ema",
    "model_ema",
    "ema_state_dict",
    "params_ema",
    "ema",
)
_MAX_NESTING = 4
# Put before every key by DataParallel/DistributedDataParallel and by torch.compile.
_WRAPPER_PREFIXES = ("module.", "_orig_mod.")

_SAVE_HINT = (
    "Save the weights alone where the model can be built: torch.save(model.state_dict(), 'weights.pth').\n"
    "If you trust whoever made this file, --trust-checkpoint loads it and runs the code in it."
)


class _StandIn:
    """Takes the place of a class or function that a checkpoint names: accepts anything, does nothing."""

    def __new__(cls, *_arguments: object) -> _StandIn:
        return super().__new__(cls)

    def __init__(self, *_arguments: object) -> None:
        pass

    def __setstate__(self, _state: object) -> None:
        pass


def load_state_dict(path: Path, *, trust: bool = False) -> dict[str, torch.Tensor]:
    """Load the weights in the checkpoint at `path`, on the CPU.

    The state dict is looked for under the usual keys (`WRAPPING_KEYS`, also nested); the prefixes that
    DataParallel and torch.compile add are removed where all keys have them.

    Args:
        path: a file from torch.save (either format) or safetensors.
        trust: unpickle without restrictions, which **runs any code in the file**; then a pickled module and a
            TorchScript archive are accepted too.

    Returns:
        Parameter and buffer names to dense CPU tensors of the dtype in the file.

    Raises:
        UsageError: there is no such file.
        ConversionError: the file holds no state dict, can't be read, or would need code to be run.
    """
    kind = identify(path)
    if kind is CheckpointFormat.SAFETENSORS:
        content: Any = _load_safetensors(path)
    elif trust:
        content = _load_running_code(path)
    elif kind is CheckpointFormat.TORCHSCRIPT:
        raise ConversionError(
            f"{path}: a TorchScript archive, which holds a program and not only weights", hint=_SAVE_HINT
        )
    else:
        content = _load_weights_only(path, kind)
    state_dict = _find_state_dict(content)
    if state_dict is None:
        raise _no_state_dict(path, content)
    _check_tensors(path, state_dict)
    return _without_wrapper_prefixes(state_dict)


def _load_weights_only(path: Path, kind: CheckpointFormat) -> object:
    names = globals_named(path, kind)
    # torch looks into its own allowed names first, so a stand-in never hides torch's tensor functions.
    stand_ins: list[Callable[..., Any] | tuple[Callable[..., Any], str]] = [
        (type(name, (_StandIn,), {}), name) for name in names
    ]
    try:
        with torch.serialization.safe_globals(stand_ins), warnings.catch_warnings():
            warnings.simplefilter("ignore")
            return torch.load(path, map_location="cpu", weights_only=True)
    except pickle.UnpicklingError as error:
        raise ConversionError(
            f"{path}: refused without running anything in it: its pickle needs more than weights"
            f" ({_unfamiliar(names) or _first_line(error)})",
            hint=_SAVE_HINT,
        ) from error
    except Exception as error:  # a damaged file can make torch's reader raise almost anything
        raise _unreadable(path, error) from error


def _load_running_code(path: Path) -> object:
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            return torch.load(path, map_location="cpu", weights_only=False)
    except (ImportError, AttributeError) as error:
        raise ConversionError(
            f"{path}: the pickled module needs code that is not here: {_first_line(error)}",
            hint="Run from the folder that the checkpoint was saved in, or save model.state_dict() there.",
        ) from error
    except Exception as error:  # the file's own code may raise anything
        raise _unreadable(path, error) from error


def _load_safetensors(path: Path) -> dict[str, torch.Tensor]:
    from safetensors import SafetensorError
    from safetensors.torch import load_file

    try:
        return load_file(path, device="cpu")
    except (SafetensorError, OSError, ValueError) as error:
        raise _unreadable(path, error) from error


def _find_state_dict(content: object, depth: int = 0) -> dict[str, torch.Tensor] | None:
    if isinstance(content, torch.nn.Module):  # only after --trust-checkpoint
        return dict(content.state_dict())
    if not isinstance(content, Mapping) or depth > _MAX_NESTING:
        return None
    if _is_state_dict(content):
        return {str(key): value.detach() for key, value in content.items()}
    wrapped = [content[key] for key in WRAPPING_KEYS if key in content]
    candidates = wrapped or list(content.values())
    found = [state for value in candidates if (state := _find_state_dict(value, depth + 1)) is not None]
    # Under the usual keys the first counts; under an unusual key it must be the only one.
    return found[0] if found and (wrapped or len(found) == 1) else None


def _is_state_dict(content: Mapping[Any, Any]) -> bool:
    return bool(content) and all(
        isinstance(key, str) and isinstance(value, torch.Tensor) for key, value in content.items()
    )


def _no_state_dict(path: Path, content: object) -> ConversionError:
    stand_ins = _stand_ins(content)
    if stand_ins:
        return ConversionError(
            f"{path}: refused without running anything in it: it holds no complete weights outside"
            f" of pickled objects ({', '.join(sorted(stand_ins))})",
            hint=_SAVE_HINT,
        )
    if isinstance(content, Mapping):
        keys = ", ".join(repr(key) for key in list(content)[:10])
        what = f"a dictionary with the keys {keys}" if content else "an empty dictionary"
    else:
        what = f"a {type(content).__name__}"
    return ConversionError(
        f"{path}: no state dict found; the file holds {what}",
        hint=f"Save the weights under one of the usual keys ({', '.join(WRAPPING_KEYS[:7])}) or alone.",
    )


def _stand_ins(content: object, depth: int = 0) -> set[str]:
    """Return the names of the stand-ins in nested dictionaries."""
    if isinstance(content, _StandIn):
        return {type(content).__name__}
    if not isinstance(content, Mapping) or depth > _MAX_NESTING:
        return set()
    return {name for value in content.values() for name in _stand_ins(value, depth + 1)}


def _check_tensors(path: Path, state_dict: Mapping[str, torch.Tensor]) -> None:
    for name, tensor in state_dict.items():
        if tensor.layout is not torch.strided or tensor.is_quantized or tensor.is_nested:
            raise ConversionError(
                f"{path}: the tensor {name!r} is sparse, quantized or nested; only dense tensors are supported",
                hint="Load the float checkpoint that it was made from.",
            )
        if tensor.is_meta:
            raise ConversionError(
                f"{path}: the tensor {name!r} was saved without its data (device 'meta')",
                hint="Save the checkpoint after the model has been materialized.",
            )


def _without_wrapper_prefixes(state_dict: dict[str, torch.Tensor]) -> dict[str, torch.Tensor]:
    for prefix in _WRAPPER_PREFIXES * 2:  # both orders of wrapping
        if all(key.startswith(prefix) for key in state_dict):
            state_dict = {key[len(prefix) :]: value for key, value in state_dict.items()}
    return state_dict


def _unfamiliar(names: list[str]) -> str:
    """Return the names that are not torch's own for tensors, as text; at most five."""
    shown = [name for name in names if not name.startswith("torch.") or name.startswith("torch.nn.modules.")]
    return ", ".join(shown[:5])


def _unreadable(path: Path, error: Exception) -> ConversionError:
    return ConversionError(
        f"{path}: can't be read as a checkpoint: {_first_line(error)}",
        hint="The file may be truncated or damaged: copy or download it again.",
    )


def _first_line(error: BaseException) -> str:
    lines = str(error).strip().splitlines()
    # The message may quote the file: nothing from it may steer the terminal.
    text = "".join(c if c.isprintable() else "?" for c in lines[0]) if lines else ""
    return f"{type(error).__name__}: {text}" if text else type(error).__name__
