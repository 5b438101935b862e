"""One pass of calibration data through the model: all layers at once, on all cores."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor, as_completed

from ncnn_tools.calibration.statistics import BlobStatistics, Calibration, counted_values
from ncnn_tools.graph import Graph
from ncnn_tools.runtime import Array, Runtime, RuntimeOptions

Progress = Callable[[int], None]
Halves = tuple[dict[str, BlobStatistics], dict[str, BlobStatistics]]

_MOST_THREADS = 8  # each holds all activations of a sample


def collect_statistics(
    graph: Graph,
    samples: Sequence[Mapping[str, Array]],
    blobs: Iterable[str],
    *,
    threads: int | None = None,
    progress: Progress | None = None,
) -> Calibration:
    """Run each sample (input blob → float32 array without batch) and take statistics of the named blobs.

    `samples` may load an item when it is asked for it; it is, once for each, by `threads` threads (by default one a
    core), each of which holds one sample and its activations at a time. ncnn and numpy compute without Python's lock,
    so threads suffice. `progress` is told how many samples are done.

    Raises ValueError, naming blob and sample, for values that are not finite, and where there is no sample; whatever
    loading an item raises.
    """
    if not samples:
        raise ValueError("calibration needs at least one sample")
    names = list(dict.fromkeys(blobs))
    runtime = Runtime.from_graph(graph, RuntimeOptions(threads=1))
    threads = min(threads or available_cores(), len(samples), _MOST_THREADS)
    counted = counted_values(len(samples))
    parts: list[Halves] = [_empty(names) for _ in range(threads)]
    free = list(parts)  # never empty when a thread takes one: there are as many as threads

    def take(number: int) -> None:
        part = free.pop()
        try:
            half = part[number % 2]
            for blob, values in runtime.visit(samples[number], half):
                _add(half[blob], values, blob, number, counted)
        finally:
            free.append(part)

    with ThreadPoolExecutor(threads) as pool:
        futures = [pool.submit(take, number) for number in range(len(samples))]
        try:
            for done, future in enumerate(as_completed(futures), start=1):
                future.result()
                if progress:
                    progress(done)
        except BaseException:
            pool.shutdown(wait=False, cancel_futures=True)
            raise
    return Calibration(len(samples), _merge(parts, names))


def available_cores() -> int:
    """Return how many cores this process may use."""
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1


def _empty(names: Sequence[str]) -> Halves:
    return {name: BlobStatistics() for name in names}, {name: BlobStatistics() for name in names}


def _add(statistics: BlobStatistics, values: Array, blob: str, number: int, counted: int) -> None:
    try:
        statistics.add(values, number, counted)
    except ValueError as error:
        raise ValueError(f"blob {blob!r}, sample {number + 1}: {error}") from None


def _merge(parts: Sequence[Halves], names: Sequence[str]) -> Halves:
    even, odd = _empty(names)
    for part in parts:
        for total, half in zip((even, odd), part, strict=True):
            for name in names:
                total[name] = total[name].merged(half[name])
    return even, odd
