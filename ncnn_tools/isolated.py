"""Run a model in a process of its own, which may crash or hang without taking this one along.

ncnn trusts its files: a Slice of more channels than there are reads beyond its input's end. Whoever runs a model for
the first time does it here; `Runtime` is for models that have run. One process serves any number
of models and inferences, so that its start (a Python with numpy and ncnn) is paid once.
"""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
import sys
import tempfile
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import IO, Any

import ncnn_tools
from ncnn_tools.errors import RuntimeCrashedError, RuntimeFailedError
from ncnn_tools.isolated_worker import Array, receive, send

TIME_LIMIT_S = 120.0  # for one step, loading or one inference: the slowest networks of phones take seconds


class IsolatedRuntime:
    """Loads and runs models as `Runtime` does, elsewhere. A context manager; the process starts when it is needed.

    After a crash the next `load` starts another process.
    """

    def __init__(self, *, time_limit_s: float = TIME_LIMIT_S) -> None:
        self._time_limit_s = time_limit_s
        self._process: subprocess.Popen[bytes] | None = None
        self._errors: IO[bytes] | None = None  # what the process writes to standard error
        self._heard = 0  # bytes of it that are of earlier steps

    def __enter__(self) -> IsolatedRuntime:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def load(
        self,
        param: Path,
        weights: Path,
        options: Mapping[str, Any] | None = None,
        *,
        spatial_step: int | None = None,
    ) -> None:
        """Load a pair of files, in place of those before; arguments as for `Runtime`, `options` as a mapping.

        Raises RuntimeFailedError where ncnn refuses them, RuntimeCrashedError where it crashes or hangs on them.
        """
        if self._process is None:
            self._start()
        files = [str(param.resolve()), str(weights.resolve())]
        self._ask({"load": files, "options": dict(options or {}), "spatial_step": spatial_step}, {})

    def run(self, inputs: Mapping[str, Array], outputs: Iterable[str]) -> dict[str, Array]:
        """Run once and return the named blobs; arrays and errors as in `Runtime.run`, and those of `load`."""
        return self._ask({"run": list(outputs)}, inputs)

    def close(self) -> None:
        """End the process."""
        process, self._process = self._process, None
        if process is None:
            return
        process.kill()
        with contextlib.suppress(BrokenPipeError):  # a request that was not sent whole
            process.communicate()
        assert self._errors is not None  # noqa: S101 - opened together with the process
        self._errors.close()

    def _start(self) -> None:
        self._errors = tempfile.TemporaryFile()  # noqa: SIM115 - closed with the process
        self._heard = 0
        home = Path(ncnn_tools.__file__).resolve().parents[1]
        path = os.pathsep.join([str(home), *filter(None, [os.environ.get("PYTHONPATH")])])
        self._process = subprocess.Popen(
            [sys.executable, "-m", "ncnn_tools.isolated_worker"],
            cwd=home.anchor,  # no one's folder: `-m` looks for modules in the current one first
            env={**os.environ, "PYTHONPATH": path},
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=self._errors,
        )

    def _ask(self, request: dict[str, Any], arrays: Mapping[str, Array]) -> dict[str, Array]:
        process = self._process
        if process is None:
            raise RuntimeFailedError("no model is loaded")
        assert process.stdin is not None  # noqa: S101 - they are pipes
        assert process.stdout is not None  # noqa: S101
        with contextlib.suppress(BrokenPipeError):  # it has died; that the answer is missing says so
            send(process.stdin, {**request, "limit_s": self._time_limit_s}, arrays)
        answer = receive(process.stdout)
        if answer is None:
            raise self._crashed(process)
        header, values = answer
        if header.get("error"):
            raise RuntimeFailedError(f"{header['error']}{self._said()}")
        return values

    def _crashed(self, process: subprocess.Popen[bytes]) -> RuntimeCrashedError:
        code = process.wait()
        said = self._said()
        self.close()
        if code == -signal.SIGALRM:
            return RuntimeCrashedError(f"ncnn took longer than {self._time_limit_s:g} s{said}")
        if code < 0:
            return RuntimeCrashedError(f"ncnn was ended by {signal_text(-code)}{said}")
        return RuntimeCrashedError(f"ncnn's process ended with exit status {code}{said}")

    def _said(self) -> str:
        """Return the last line that the process wrote to standard error since it was last asked for."""
        assert self._errors is not None  # noqa: S101 - opened together with the process
        descriptor = self._errors.fileno()
        size = os.fstat(descriptor).st_size
        # Not by reading: that would move the place at which the process writes, which shares it.
        text = os.pread(descriptor, size - self._heard, self._heard)
        self._heard = size
        lines = text.decode(errors="replace").strip().splitlines()
        return f"; it says: {lines[-1][:200]}" if lines else ""


def signal_text(number: int) -> str:
    """Name a signal and say what it means: SIGSEGV (Segmentation fault)."""
    try:
        name = signal.Signals(number).name
    except ValueError:  # a real-time signal
        return f"signal {number}"
    meaning = signal.strsignal(number)
    return f"{name} ({meaning})" if meaning else name
