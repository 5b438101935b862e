"""Run a model with the `ncnn` wheel: numpy in, numpy out, any intermediate blob.

The wheel's traps that this wrapper closes: `ncnn.Mat(array)` shares the array's memory without holding it, and
reads a view that is not contiguous wrongly (so inputs are made contiguous and cloned); in light mode a blob
that another layer consumed extracts as empty with return code 0 (so it is off); `load_model_mem` reports no
failure (so models are loaded from files); an input of another shape than the model's is read beyond its end (so
shapes are compared with the Input layers).
"""

from __future__ import annotations

import os
import tempfile
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

# The wheel's OpenMP threads spin while they wait, which makes two threads on a busy machine slower than one.
os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")

import ncnn
import numpy as np
import numpy.typing as npt

from ncnn_tools.errors import RuntimeFailedError
from ncnn_tools.files import save
from ncnn_tools.graph import Graph
from ncnn_tools.param_file import read_param

Array = npt.NDArray[np.float32]


@dataclass(frozen=True)
class RuntimeOptions:
    """What ncnn may use (ncnn's `Option`); on x86 fp16 concerns the weights of InnerProduct alone."""

    threads: int = 1
    packing: bool = True
    winograd: bool = True
    fp16: bool = False


class Runtime:
    """A loaded model. Arrays have ncnn's shapes: one to four axes, no batch, channels first, float32."""

    def __init__(
        self,
        param: Path,
        weights: Path,
        options: RuntimeOptions | None = None,
        *,
        spatial_step: int | None = None,
    ) -> None:
        """Load a pair of files; RuntimeFailedError where ncnn refuses them.

        Inputs have the shapes that the file gives them. With `spatial_step`, for a model that is right for other
        picture sizes too (see `free_sizes`), their heights and widths may differ from these by multiples of it.
        """
        self._spatial_step = spatial_step
        self._net = ncnn.Net()
        _apply(self._net.opt, options or RuntimeOptions())
        for load, path in ((self._net.load_param, param), (self._net.load_model, weights)):
            code = load(str(path))
            if code != 0:
                raise RuntimeFailedError(f"ncnn can't load {path} (code {code})")
        self._blobs = {blob.name for blob in self._net.blobs()}
        self._input_shapes = input_shapes(read_param(param))

    @classmethod
    def from_graph(cls, graph: Graph, options: RuntimeOptions | None = None) -> Runtime:
        """Load a graph; GraphError where it breaks a rule, before ncnn sees it."""
        with tempfile.TemporaryDirectory(prefix="ncnn_tools-") as folder:
            param, weights = Path(folder, "model.param"), Path(folder, "model.bin")
            save(graph, param, weights)
            return cls(param, weights, options)

    @property
    def outputs(self) -> list[str]:
        """Names of the blobs that no layer consumes."""
        return list(self._net.output_names())

    def run(self, inputs: Mapping[str, Array], outputs: Iterable[str] | None = None) -> dict[str, Array]:
        """Run once and return the named blobs (by default the outputs), each a float32 copy.

        Raises RuntimeFailedError for an unknown blob name, an input of another shape than the model's, and where
        a layer fails.
        """
        names = self.outputs if outputs is None else outputs
        return {name: np.array(values) for name, values in self.visit(inputs, names)}

    def visit(self, inputs: Mapping[str, Array], outputs: Iterable[str]) -> Iterator[tuple[str, Array]]:
        """Run once and yield each named blob with its values, which are to be left alone and gone with the next one.

        Any number of threads may do this at the same time. Errors as in `run`.
        """
        extractor = self._net.create_extractor()
        for name, array in inputs.items():
            self._check_blob(name)
            self._check_shape(name, array.shape)
            extractor.input(name, _to_mat(array))
        for name in outputs:
            self._check_blob(name)
            code, mat = extractor.extract(name)
            if code != 0 or mat.empty():
                raise RuntimeFailedError(f"ncnn could not compute blob {name!r} (code {code})")
            yield (
                name,
                np.asarray(mat, dtype=np.float32),
            )  # shares the Mat's memory, which lives until the next step

    def _check_blob(self, name: str) -> None:
        if name not in self._blobs:
            raise RuntimeFailedError(f"the model has no blob {name!r}")

    def _check_shape(self, name: str, shape: tuple[int, ...]) -> None:
        wanted = self._input_shapes.get(name, shape)
        step = self._spatial_step
        if shape == wanted:
            return
        if step is None or len(shape) != 3 or len(wanted) != 3:
            raise RuntimeFailedError(f"input {name!r} takes shape {wanted}, not {shape}")
        spatial = zip(shape[1:], wanted[1:], strict=True)
        if shape[0] != wanted[0] or any((size - first) % step or size <= 0 for size, first in spatial):
            raise RuntimeFailedError(
                f"input {name!r} takes shape {wanted}, heights and widths in steps of {step}, not {shape}"
            )


def input_shapes(graph: Graph) -> dict[str, tuple[int, ...]]:
    """Map each input whose size the file gives to its shape; a width of 0 leaves the size free."""
    return {
        layer.outputs[0]: tuple(size for axis in ("c", "d", "h", "w") if (size := layer.integer(axis)))
        for layer in graph.layers
        if layer.type == "Input" and layer.integer("w")
    }


def _to_mat(array: Array) -> ncnn.Mat:
    if not 1 <= array.ndim <= 4:
        raise RuntimeFailedError(f"ncnn takes one to four axes, not shape {array.shape}")
    held = np.ascontiguousarray(array, dtype=np.float32)  # until it is cloned: the Mat alone does not hold it
    return ncnn.Mat(held).clone()


def _apply(option: ncnn.Option, chosen: RuntimeOptions) -> None:
    option.lightmode = False
    option.num_threads = chosen.threads
    option.use_packing_layout = chosen.packing
    option.use_winograd_convolution = chosen.winograd
    option.use_fp16_packed = chosen.fp16
    option.use_fp16_storage = chosen.fp16
    option.use_fp16_arithmetic = chosen.fp16
    option.use_bf16_storage = False
    option.use_vulkan_compute = False
