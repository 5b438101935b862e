"""Other converters than our own: pnnx, and upstream's onnx2ncnn. What they write is taken only where it is right."""

from __future__ import annotations

import importlib.util
import re
import shutil
import tempfile
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

from mobiledeploy.convert.converters.program import Program, run_program
from mobiledeploy.errors import ConversionError, UsageError
from mobiledeploy.source.onnx_file import OnnxFile
from mobiledeploy.source.reference import TensorSpec
from ncnn_tools.errors import NcnnToolsError, UnknownLayersError
from ncnn_tools.foreign import adopt, load_foreign
from ncnn_tools.graph import Graph

TRY_OURS = (
    "Leave out --converter: mobiledeploy's own converts the network, or says which operator it can't convert."
)

TIME_LIMIT_S = 300.0  # pnnx takes up to 20 s for the largest networks of phones

_SOURCE = "model.onnx"


@dataclass(frozen=True)
class ForeignConverter:
    """A program that turns model.onnx into a .param/.bin pair.

    `numbered` says that it calls inputs in0, in1, … and outputs out0, out1, … in the model's order, where others
    keep the names.
    """

    name: str
    find: Callable[[], Program | None]
    install: str  # what to do where it is not found
    arguments: Sequence[str]
    files: tuple[str, str]
    numbered: bool

    def program(self) -> Program:
        """Find the program; UsageError where it is not installed."""
        program = self.find()
        if program is None:
            raise UsageError(f"{self.name} is not installed", hint=self.install)
        return program

    def convert(self, onnx: Path, file: OnnxFile) -> Graph:
        """Convert an ONNX file with the program, and give the graph the ONNX model's inputs and outputs.

        `file` is what `onnx` holds. Whether the graph computes the right thing remains to be seen.

        Raises:
            ConversionError: the program crashes, hangs, fails, or writes what is no ncnn model of these inputs
                and outputs.
        """
        for spec in (*file.inputs, *file.outputs):
            if spec.shape[:1] != (1,):
                raise ConversionError(
                    f"{spec.name!r} has shape {spec.shape}; {self.name} is used with a batch of 1 only",
                    hint=TRY_OURS,
                )
        with tempfile.TemporaryDirectory(prefix="mobiledeploy-") as name:
            folder = Path(name)
            shutil.copyfile(onnx, folder / _SOURCE)
            try:
                graph = self._run(folder)
                self._adopt(graph, file)
            except ConversionError as error:
                raise ConversionError(error.message, hint=error.hint or TRY_OURS) from error
            except UnknownLayersError as error:
                listed = ", ".join(sorted(error.types))
                raise ConversionError(
                    f"{self.name} wrote layers that ncnn does not have: {listed}", hint=TRY_OURS
                ) from error
            except NcnnToolsError as error:
                reason = str(error).replace(f"{folder}/", "")
                raise ConversionError(
                    f"{self.name} wrote what is not a model of this network: {reason}", hint=TRY_OURS
                ) from error
        return graph

    def _run(self, folder: Path) -> Graph:
        printed = run_program(self.program(), self.arguments, folder, time_limit_s=TIME_LIMIT_S)
        param, weights = (folder / name for name in self.files)
        for file in (param, weights):
            if not file.is_file():
                last = printed.splitlines()[-1:]
                raise ConversionError(": ".join([f"{self.name} wrote no model", *last]))
        return load_foreign(param, weights)

    def _adopt(self, graph: Graph, file: OnnxFile) -> None:
        inputs = self._blobs(graph.inputs, "in", file.inputs)
        outputs = self._blobs(graph.outputs, "out", file.outputs)
        shapes = {spec.name: spec.shape for spec in (*file.inputs, *file.outputs)}
        adopt(graph, inputs, outputs, shapes)

    def _blobs(self, found: Sequence[str], prefix: str, specs: Sequence[TensorSpec]) -> dict[str, str]:
        """Map the model's inputs or outputs to tensors; `found` are those that the program wrote."""
        names = [spec.name for spec in specs]
        if not self.numbered:
            return dict(zip(names, names, strict=True))
        numbers = sorted(int(match[1]) for blob in found if (match := re.fullmatch(rf"{prefix}(\d+)", blob)))
        if numbers != list(range(len(names))):
            raise ConversionError(
                f"{self.name} gave {', '.join(found) or 'nothing'} for {len(names)} tensors ({', '.join(names)})"
            )
        return {f"{prefix}{number}": name for number, name in enumerate(names)}


def _find_pnnx() -> Program | None:
    # The program inside the wheel: the script that the wheel installs imports torch before it starts this one.
    spec = importlib.util.find_spec("pnnx")
    if spec is not None and spec.origin is not None:
        binary = Path(spec.origin).with_name("pnnx")
        try:
            if binary.is_file():
                return Program(binary, version("pnnx"))
        except PackageNotFoundError:
            pass
    return Program.on_path("pnnx")


FOREIGN_CONVERTERS = {
    converter.name: converter
    for converter in (
        ForeignConverter(
            "pnnx",
            _find_pnnx,
            "pip install 'mobiledeploy[pnnx]' -c constraints.txt",
            # fp16=0: else it rounds the weights; the fp16 variant is made of fp32 ones, as always.
            (_SOURCE, "fp16=0"),
            ("model.ncnn.param", "model.ncnn.bin"),
            numbered=True,
        ),
        ForeignConverter(
            "onnx2ncnn",
            lambda: Program.on_path("onnx2ncnn"),
            "It comes with ncnn's source (tools/onnx): build it there, and put it on PATH.",
            (_SOURCE, "model.param", "model.bin"),
            ("model.param", "model.bin"),
            numbered=False,
        ),
    )
}
