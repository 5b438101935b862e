"""What a mix computes on this computer, held against fp32."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from functools import cached_property

import numpy as np

from mobiledeploy.arrays import FloatArray
from mobiledeploy.matte import Matte
from mobiledeploy.mixed.bound import Bound, Figures, Outputs, figures_of
from ncnn_tools.calibration import available_cores
from ncnn_tools.graph import Graph
from ncnn_tools.quantization import noise_to_signal
from ncnn_tools.runtime import Runtime

Sample = Mapping[str, FloatArray]


@dataclass(frozen=True)
class Judge:
    """Runs graphs on samples (input blob → array) and compares their outputs with those of the fp32 graph.

    `outputs` maps an output's name to its blob and its shape with a batch of 1.
    """

    reference: Graph
    samples: Sequence[Sample]
    outputs: Mapping[str, tuple[str, tuple[int, ...]]]
    bound: Bound
    matte: Matte | None

    def figures(self, graph: Graph) -> Figures:
        """Return the figures of the bound, one a sample."""
        return figures_of(self.bound, self._run(graph), self._expected, self.matte)

    def squared(self, found: Outputs, expected: Outputs) -> float:
        """Return the squared error of what is bounded, for one sample's outputs by blob: alpha's, else all outputs'.

        Errors of layers that have nothing to do with each other add up in this measure, in none of the bounds'.
        """
        if self.matte is None or not self.bound.of_alpha_alone:
            return noise_to_signal(found, expected)
        alphas = (self.matte.alpha(self._named(blobs)) for blobs in (found, expected))
        return float(np.square(np.subtract(*alphas)).mean())

    @cached_property
    def _expected(self) -> list[Outputs]:
        return self._run(self.reference)

    def _run(self, graph: Graph) -> list[Outputs]:
        runtime = Runtime.from_graph(graph)
        wanted = [blob for blob, _ in self.outputs.values()]

        def run(sample: Sample) -> Outputs:
            return self._named(runtime.run(sample, wanted))

        with ThreadPoolExecutor(available_cores()) as pool:
            return list(pool.map(run, self.samples))

    def _named(self, blobs: Outputs) -> Outputs:
        """Return outputs by name, in their ONNX shapes."""
        return {name: blobs[blob].reshape(shape) for name, (blob, shape) in self.outputs.items()}
