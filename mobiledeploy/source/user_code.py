"""A person's own Python code: imported from where it lies, and its failures told in one line."""

from __future__ import annotations

import contextlib
import importlib
import importlib.machinery
import importlib.util
import sys
import sysconfig
import traceback
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType

from mobiledeploy.errors import ConversionError, MobileDeployError, UsageError

_LIBRARIES = tuple({sysconfig.get_path(name) for name in ("stdlib", "purelib", "platlib")})
_THIS_PACKAGE = str(Path(__file__).resolve().parents[1])

# Top-level modules that earlier calls imported from a person's folder, and that folder: another network's
# folder may hold a different `blocks.py`, and must not be given the first one's.
_imported_from: dict[str, Path] = {}


def import_file(path: Path) -> ModuleType:
    """Import a Python file; what lies beside it, and the package that it belongs to, can be imported by it.

    Raises:
        UsageError: there is no such file.
        ConversionError: running the file failed.
    """
    path = path.expanduser().resolve()
    if not path.is_file():
        raise UsageError(f"{path}: no such file", hint="--model takes FILE.py:NAME or package.module:NAME.")
    parts = [path.stem]
    folder = path.parent
    while (folder / "__init__.py").is_file():
        parts.insert(0, folder.name)
        folder = folder.parent
    package = parts[0] if len(parts) > 1 else ""
    with running(f"{path}: importing it"), _importing_from(path.parent, folder, package=package):
        return importlib.import_module(".".join(parts)) if package else _execute(path)


def import_module(name: str) -> ModuleType:
    """Import a module by its dotted name, from the current folder or wherever Python finds it.

    Raises:
        UsageError: there is no such module.
        ConversionError: importing it failed.
    """
    # A console script, unlike `python -m`, does not look into the current folder by itself.
    with running(f"{name}: importing it"), _importing_from(Path.cwd()):
        try:
            return importlib.import_module(name)
        except ModuleNotFoundError as error:
            if error.name is None or not f"{name}.".startswith(f"{error.name}."):
                raise  # found, but something that it imports is missing
            raise UsageError(
                f"no module {name!r} can be imported",
                hint="Run from the folder that holds the package, or give the file: path/to/FILE.py:NAME.",
            ) from error


@contextlib.contextmanager
def running(what: str) -> Iterator[None]:
    """Run the person's code: its prints go to standard error, its exceptions become a ConversionError.

    Standard output belongs to the command, which may be writing a JSON document there.
    """
    try:
        with contextlib.redirect_stdout(sys.stderr):
            yield
    except MobileDeployError:
        raise
    except (Exception, SystemExit) as error:  # a script without a main guard may exit
        raise ConversionError(f"{what} failed: {describe(error)}") from error


def describe(error: BaseException) -> str:
    """Return `Type: first line of the message (at FILE, line N: code)`.

    The error described is the one at the root of the `raise … from …` chain. The place is left out where no
    frame of it belongs to the person's own code.
    """
    chain = [error]
    while chain[-1].__cause__ is not None and chain[-1].__cause__ not in chain:
        chain.append(chain[-1].__cause__)
    root = chain[-1]
    lines = str(root).strip().splitlines()
    text = f"{type(root).__name__}: {lines[0]}" if lines else type(root).__name__
    places = [place for link in chain if (place := _own_line(link))]
    return f"{text} (at {places[-1]})" if places else text


def _own_line(error: BaseException) -> str:
    if isinstance(error, SyntaxError) and error.filename:
        return f"{error.filename}, line {error.lineno}: {(error.text or '').strip()}"
    for frame in reversed(traceback.extract_tb(error.__traceback__)):
        if not frame.filename.startswith(("<", *_LIBRARIES, _THIS_PACKAGE)):
            return f"{frame.filename}, line {frame.lineno}: {frame.line}"
    return ""


def _execute(path: Path) -> ModuleType:
    """Run a file that is in no package as a module, under its own name where that is free."""
    name = path.stem
    taken = sys.modules.get(name)
    if taken is not None and getattr(taken, "__file__", None) != str(path):
        name = f"mobiledeploy_network_{path.stem}"
    spec = importlib.util.spec_from_file_location(name, path)
    if spec is None or spec.loader is None:
        raise UsageError(f"{path}: not a Python file")
    module = importlib.util.module_from_spec(spec)
    sys.modules[name] = module  # dataclasses and pickle look a class's module up there
    try:
        spec.loader.exec_module(module)
    except BaseException:
        del sys.modules[name]
        raise
    return module


@contextlib.contextmanager
def _importing_from(*folders: Path, package: str = "") -> Iterator[None]:
    """Put `folders` first on the import path for a while, and let `package` be the one found there.

    Modules that earlier networks brought are forgotten before. What was imported from `folders` stays loaded
    under its name only where that name means nothing else outside: a person's `models` must not take the
    place of this project's.
    """
    for name in [name for name, home in _imported_from.items() if home not in folders]:
        _unload(name)
    displaced = {}
    if package in sys.modules and _home(sys.modules[package]) not in folders:
        displaced = _unload(package)
    path_before, modules_before = list(sys.path), set(sys.modules)
    sys.path[:0] = [str(folder) for folder in folders]
    importlib.invalidate_caches()
    try:
        yield
    finally:
        sys.path[:] = path_before
        for name in set(sys.modules) - modules_before:
            home = _home(sys.modules[name]) if "." not in name and name in sys.modules else None
            if home in folders and home is not None:
                _imported_from[name] = home
                if (displaced and name == package) or _means_something_else(name, home):
                    _unload(name)
        sys.modules.update(displaced)


def _means_something_else(name: str, home: Path) -> bool:
    spec = importlib.machinery.PathFinder.find_spec(name)
    return spec is not None and spec.origin is not None and _home_of(spec.origin) != home


def _home(module: ModuleType) -> Path | None:
    """Return the folder from which a top-level module or package is imported; None for a built-in one."""
    origin = getattr(module, "__file__", None)
    if origin:
        return _home_of(origin)
    places = list(getattr(module, "__path__", []))  # a package without __init__.py
    return Path(places[0]).resolve().parent if places else None


def _home_of(origin: str) -> Path:
    file = Path(origin).resolve()
    return file.parent.parent if file.name == "__init__.py" else file.parent


def _unload(name: str) -> dict[str, ModuleType]:
    """Take a top-level module and everything below it out of `sys.modules`; returns what was taken out."""
    _imported_from.pop(name, None)
    names = [key for key in sys.modules if key == name or key.startswith(f"{name}.")]
    return {key: sys.modules.pop(key) for key in names}
