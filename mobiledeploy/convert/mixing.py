"""What `convert` needs of whoever makes mixed variants: that takes a device, which this package knows nothing of."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

from mobiledeploy.arrays import FloatArray
from mobiledeploy.matte import Matte
from mobiledeploy.progress import Progress
from ncnn_tools.graph import Graph
from ncnn_tools.quantization import QuantizeOptions


@dataclass(frozen=True)
class Recipe:
    """What a mixed variant is made of.

    Attributes:
        graph: the network in fp32, with shapes (equalized and centered, where that was asked for).
        thresholds: for the input blob of each layer that can be int8, where it is clipped.
        options: by which methods weights are quantized.
        samples: inputs by their blobs, without a batch axis.
        outputs: maps outputs to (blob, ONNX shape with a batch of 1).
        folder: the bundle that is being built, with its ONNX reference and samples.
        manifest: what is said of that bundle, without its variants.
    """

    graph: Graph
    thresholds: Mapping[str, float]
    options: QuantizeOptions
    samples: Sequence[Mapping[str, FloatArray]]
    outputs: Mapping[str, tuple[str, tuple[int, ...]]]
    matte: Matte | None
    folder: Path
    manifest: Mapping[str, Any]
    progress: Progress


class Mixer(Protocol):
    """Makes mixed variants."""

    @property
    def key(self) -> object:
        """What its mixes depend on beside the recipe: anything JSON."""
        ...

    def check(self, matte: Matte | None) -> None:
        """Raise UsageError for what can't be met, before any work."""
        ...

    def mix(self, recipe: Recipe) -> tuple[Graph, dict[str, Any]]:
        """Return the graph, stored as it will be in the .bin, and what the manifest says of it.

        May leave files of its own in the recipe's folder.
        """
        ...
