"""One pass of calibration data through the model, all layers at once."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping

from ncnn_tools.calibration.histogram import Histogram
from ncnn_tools.graph import Graph
from ncnn_tools.runtime import Array, Runtime, RuntimeOptions

Progress = Callable[[int], None]


def collect_histograms(
    graph: Graph,
    samples: Iterable[Mapping[str, Array]],
    blobs: Iterable[str],
    *,
    threads: int = 1,
    progress: Progress | None = None,
) -> dict[str, Histogram]:
    """Run each sample (input blob → float32 array without batch) and count the values of the named blobs.

    `progress` is told how many samples are done. Raises ValueError, naming the blob, for values that are not
    finite, and where there is no sample.
    """
    runtime = Runtime.from_graph(graph, RuntimeOptions(threads=threads))
    histograms = {blob: Histogram() for blob in blobs}
    count = 0
    for count, sample in enumerate(samples, start=1):
        for blob, values in runtime.run(sample, histograms).items():
            try:
                histograms[blob].add(values)
            except ValueError as error:
                raise ValueError(f"blob {blob!r}, sample {count}: {error}") from None
        if progress:
            progress(count)
    if count == 0:
        raise ValueError("calibration needs at least one sample")
    return histograms
