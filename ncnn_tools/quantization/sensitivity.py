"""What each layer's quantizing costs: the error that it alone adds to the outputs, everything else in float."""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor, as_completed

import numpy as np

from ncnn_tools.graph import Graph
from ncnn_tools.quantization.layers import is_int8
from ncnn_tools.quantization.mix import take_layers
from ncnn_tools.runtime import Array, Runtime

Outputs = Mapping[str, Array]
# (outputs, reference) of one sample → a number; the outputs are by blob, in ncnn's shapes.
Measure = Callable[[Outputs, Outputs], float]
# Told how many trials are done, and of how many.
Progress = Callable[[int, int], None]

_THREADS = 2


def layer_errors(
    float_graph: Graph,
    int8_graph: Graph,
    samples: Sequence[Mapping[str, Array]],
    measures: Mapping[str, Measure],
    *,
    names: Collection[str] | None = None,
    threads: int = _THREADS,
    progress: Progress | None = None,
) -> dict[str, dict[str, float]]:
    """Return, for each layer, what each measure finds when this layer alone is int8: the mean over the samples.

    The graphs are those of `take_layers`; layers stand in the graph's order. `names` are the layers to try, by
    default all that are int8. `samples` are inputs by blob. Trials run in `threads` threads: ncnn and numpy compute
    without Python's lock. Raises GraphError as `take_layers` does.
    """
    reference = graph_outputs(float_graph, samples)
    wanted = [
        layer.name for layer in int8_graph.layers if is_int8(layer) and (names is None or layer.name in names)
    ]

    def trial(name: str) -> dict[str, float]:
        outputs = graph_outputs(take_layers(float_graph, int8_graph, [name]), samples)
        return mean_measures(measures, outputs, reference)

    found: dict[str, dict[str, float]] = {}
    with ThreadPoolExecutor(threads) as pool:
        futures = {pool.submit(trial, name): name for name in wanted}
        try:
            for done, future in enumerate(as_completed(futures), start=1):
                found[futures[future]] = future.result()
                if progress:
                    progress(done, len(wanted))
        except BaseException:
            pool.shutdown(wait=False, cancel_futures=True)
            raise
    return {name: found[name] for name in wanted}


def graph_outputs(graph: Graph, samples: Sequence[Mapping[str, Array]]) -> list[dict[str, Array]]:
    """Run a graph on each sample; returns its outputs."""
    runtime = Runtime.from_graph(graph)
    return [runtime.run(sample, graph.outputs) for sample in samples]


def mean_measures(
    measures: Mapping[str, Measure], outputs: Sequence[Outputs], reference: Sequence[Outputs]
) -> dict[str, float]:
    """Return the mean of each measure over the samples."""
    return {
        name: float(np.mean([measure(*pair) for pair in zip(outputs, reference, strict=True)]))
        for name, measure in measures.items()
    }


def noise_to_signal(outputs: Outputs, reference: Outputs) -> float:
    """Return the error's power, relative to the signal's: each output's, and of these the mean.

    -10·log10 of it is the SNR in dB. It adds up: errors of several layers that know nothing of each other have about
    the sum of their powers. An output that is 0 throughout counts by its error's power alone; infinite where a value
    is not finite.
    """
    ratios = []
    for blob, expected in reference.items():
        signal = float(np.square(expected, dtype=np.float64).mean())
        noise = float(np.square(outputs[blob].astype(np.float64) - expected).mean())
        ratios.append(noise / signal if signal else noise)
    mean = float(np.mean(ratios))
    return mean if np.isfinite(mean) else float("inf")
