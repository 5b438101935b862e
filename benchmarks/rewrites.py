"""Rewrites of graphs that could be passes: two ways to compute the same, and how long each takes here.

    python -m benchmarks.rewrites [--repeats 200]

Prints a Markdown table: for each rewrite and size the shortest single-thread CPU time (ms) of both ways, alternating
in one process, and their ratio. Differences of a few percent are noise. What was decided from it stands in
docs/passes.md.
"""

from __future__ import annotations

import argparse
import tempfile
import time
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import ncnn
import numpy as np

from ncnn_tools.files import save
from ncnn_tools.graph import Graph, Layer, new_layer
from ncnn_tools.passes import insert_splits

_SMALLER = {"kernel_w": 3, "stride_w": 2, "pad_left": 1}
_AVERAGE = _SMALLER | {"pooling_type": 1, "pad_mode": 1, "avgpool_count_include_pad": 1}
_NINTHS = _SMALLER | {"num_output": 3, "group": 3, "weight_data_size": 27}


class Rewrite(NamedTuple):
    """Two graphs that compute the same, from inputs of the same shapes."""

    name: str
    size: str
    before: Graph
    after: Graph


class Timed:
    """A loaded graph with random inputs."""

    def __init__(self, graph: Graph) -> None:
        complete = graph.copy()
        insert_splits(complete)
        self._net = ncnn.Net()
        self._net.opt.num_threads = 1
        self._net.opt.use_vulkan_compute = False
        with tempfile.TemporaryDirectory() as folder:
            param, weights = Path(folder, "m.param"), Path(folder, "m.bin")
            save(complete, param, weights)
            self._net.load_param(str(param))
            self._net.load_model(str(weights))
        rng = np.random.default_rng(0)
        self._arrays = {
            layer.outputs[0]: rng.normal(0, 1, shape_of(layer)).astype(np.float32)
            for layer in graph.layers
            if layer.type == "Input"
        }
        self._outputs = graph.outputs

    def run(self) -> float:
        """Run once and return the CPU time in ms."""
        extractor = self._net.create_extractor()
        for name, array in self._arrays.items():
            extractor.input(name, ncnn.Mat(array).clone())
        start = time.thread_time()
        for blob in self._outputs:
            extractor.extract(blob)
        return 1e3 * (time.thread_time() - start)


def shape_of(layer: Layer) -> tuple[int, ...]:
    """Return the shape that an Input layer gives."""
    return tuple(size for axis in ("c", "d", "h", "w") if (size := layer.integer(axis)))


def make(kind: str, inputs: str, output: str, **params: Any) -> Layer:
    """Make a layer with random weights; its inputs are named with spaces between."""
    layer = new_layer(kind, output, inputs.split(), [output], **params)
    rng = np.random.default_rng(0)
    for name, size, _ in layer.weight_specs():
        layer.set_weight(name, rng.uniform(0.5, 1.5, size))
    return layer


def conv1(source: str, target: str, inputs: int, outputs: int) -> Layer:
    """Make a 1x1 convolution."""
    return make(
        "Convolution", source, target, num_output=outputs, kernel_w=1, weight_data_size=inputs * outputs
    )


def pair(
    name: str, shape: Sequence[int], first: list[Layer], before: list[Layer], after: list[Layer]
) -> Rewrite:
    """Make a rewrite from layers that all begin with `first`, which reads "x"; "y" is the output."""
    sizes = dict(zip("chw"[-len(shape) :], shape, strict=True))
    graphs = [
        Graph([new_layer("Input", "x", [], ["x"], **sizes), *first, *rest], ["y"]) for rest in (before, after)
    ]
    return Rewrite(name, "x".join(map(str, shape)), *graphs)


def pointwise() -> Iterator[Rewrite]:
    """Yield scales and activations of (channels, height, width)."""
    for channels, side in [(12, 128), (64, 56), (256, 28), (512, 14)]:
        shape, first = (channels, side, side), [conv1("x", "a", channels, channels)]
        norm = make("BatchNorm", "a", "b", channels=channels)
        depthwise = make(
            "ConvolutionDepthWise",
            "a",
            "y",
            num_output=channels,
            group=channels,
            kernel_w=1,
            weight_data_size=channels,
            bias_term=1,
            activation_type=1,
        )
        separate = [norm, make("ReLU", "b", "y")]
        yield pair("BatchNorm, ReLU: one depthwise convolution", shape, first, separate, [depthwise])
        constant = make("MemoryData", "", "m", w=1, h=1, c=channels)
        scale = make("Scale", "a", "y", scale_data_size=channels)
        product = [constant, make("BinaryOp", "a m", "y", op_type=2)]
        yield pair("BinaryOp with a constant: Scale", shape, first, product, [scale])
        gate = [make("Sigmoid", "a", "s"), make("BinaryOp", "a s", "y", op_type=2)]
        yield pair("Sigmoid, product: Swish", shape, first, gate, [make("Swish", "a", "y")])
        cuts = [make("Crop", "a", "p", starts=(0,), ends=(3,), axes=(1,))]
        cuts.append(make("Crop", "a", "q", starts=(3,), ends=(side,), axes=(1,)))
        slices = new_layer("Slice", "s", ["a"], ["p", "q"], slices=(3, side - 3), axis=1)
        joined = new_layer("Concat", "y", ["q", "p"], ["y"], axis=1)
        yield pair("Crops: Slice", shape, first, [*cuts, joined], [slices, joined])


def pictures() -> Iterator[Rewrite]:
    """Yield what is done to pictures of three channels."""
    for side in (256, 128, 64):
        shape, ninths = (3, side, side), new_layer("ConvolutionDepthWise", "y", ["a"], ["y"], **_NINTHS)
        ninths.set_weight("weight", np.full(27, 1 / 9))
        first = [make("ReLU", "x", "a", slope=0.5)]
        yield pair(
            "average pooling: depthwise convolution",
            shape,
            first,
            [make("Pooling", "a", "y", **_AVERAGE)],
            [ninths],
        )


def tokens() -> Iterator[Rewrite]:
    """Yield what transformers do with (tokens, channels) and (heads, tokens, values)."""
    for count, width in [(3136, 96), (196, 192), (49, 768)]:
        norms = [
            [make("LayerNorm", "a", "y", affine_size=width, affine=affine, eps=1e-6)] for affine in (1, 0)
        ]
        first = [make("ReLU", "x", "a", slope=0.5)]
        yield pair("LayerNorm: without its own factors", (count, width), first, *norms)
    for heads, count, depth in [(3, 49, 32), (4, 196, 16), (12, 197, 64)]:
        first = [make("ReLU", "x", "a", slope=0.5), make("Permute", "a", "t", order_type=1)]
        scores = [make("MatMul", "a t", "s"), make("Softmax", "s", "p", axis=2, fixbug0=1)]
        product = make("MatMul", "p a", "y")
        mask = make("MemoryData", "", "m", w=count, h=count, c=heads)
        name = "MatMul, Softmax, MatMul: SDPA"
        yield pair(
            name, (heads, count, depth), first, [*scores, product], [make("SDPA", "a a a", "y", scale=1.0)]
        )
        masked = [mask, scores[0], make("BinaryOp", "s m", "b"), make("Softmax", "b", "p", axis=2, fixbug0=1)]
        fused = [mask, make("SDPA", "a a a m", "y", scale=1.0, attn_mask=1)]
        yield pair(f"{name}, with a mask", (heads, count, depth), first, [*masked, product], fused)


def measure(rewrite: Rewrite, repeats: int) -> tuple[float, float]:
    """Return the shortest time of both graphs, in ms."""
    nets = [Timed(rewrite.before), Timed(rewrite.after)]
    times = [[net.run() for net in nets] for _ in range(repeats + 5)][5:]
    before, after = zip(*times, strict=True)
    return min(before), min(after)


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--repeats", type=int, default=200)
    repeats = parser.parse_args().repeats
    print("| rewrite | size | before (ms) | after (ms) | ratio |")
    print("| --- | --- | ---: | ---: | ---: |")
    for rewrite in [*pointwise(), *pictures(), *tokens()]:
        before, after = measure(rewrite, repeats)
        print(
            f"| {rewrite.name} | {rewrite.size} | {before:.3f} | {after:.3f} | {after / before:.2f} |",
            flush=True,
        )


if __name__ == "__main__":
    main()
