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

    def squared_error(self, graph: Graph) -> float:
        """Return the mean over samples of what is bounded: the alpha's squared error, else all outputs' relative one.

        Errors of layers that have nothing to do with each other add up in this measure, in none of the bounds'.
        """
        pairs = zip(self._run(graph), self._expected, strict=True)
        return float(np.mean([self._squared(found, expected) for found, expected in pairs]))

    @cached_property
    def _expected(self) -> list[Outputs]:
        return self._run(self.reference)

    def _run(self, graph: Graph) -> list[Outputs]:
        runtime = Runtime.from_graph(graph)
        wanted = [blob for blob, _ in self.outputs.values()]

        def run(sample: Sample) -> Outputs:
            blobs = runtime.run(sample, wanted)
            return {name: blobs[blob].reshape(shape) for name, (blob, shape) in self.outputs.items()}

        with ThreadPoolExecutor(available_cores()) as pool:
            return list(pool.map(run, self.samples))

    def _squared(self, found: Outputs, expected: Outputs) -> float:
        if self.matte is not None and self.bound.of_alpha_alone:
            return float(np.square(self.matte.alpha(found) - self.matte.alpha(expected)).mean())
        return float(np.mean([_relative(found[name], expected[name]) for name in expected]))


def _relative(found: FloatArray, expected: FloatArray) -> float:
    """Return the energy of the error over that of the output."""
    power = float(np.square(expected, dtype=np.float64).sum())
    noise = float(np.square(found.astype(np.float64) - expected).sum())
    return noise / power if power else noise
