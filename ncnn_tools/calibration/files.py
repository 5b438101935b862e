"""Calibration statistics as a file: everything as it was, nothing printed and read again.

A .npz (arrays, no pickles) of the histograms of all blobs stacked, and of their channels end to end.
"""

from __future__ import annotations

import io
import zipfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from ncnn_tools.calibration.histogram import BINS, Histogram
from ncnn_tools.calibration.statistics import BlobStatistics, Calibration, Statistics
from ncnn_tools.errors import FormatError
from ncnn_tools.files import write_atomically

_FORMAT = 1

# The arrays of one half of the samples; n blobs with c channels in all.
_KEYS = ("counts", "base", "zeros", "channel_min", "channel_max", "channels")


def write_calibration(calibration: Calibration, path: Path) -> None:
    """Write statistics to a .npz; the file is whole or not there."""
    arrays: dict[str, Any] = {
        "format": np.array(_FORMAT),
        "samples": np.array(calibration.samples),
        "blobs": np.array(calibration.blobs, dtype=np.str_),
    }
    for number, half in enumerate(calibration.halves):
        arrays |= {f"{key}{number}": array for key, array in _pack(half).items()}
    buffer = io.BytesIO()
    np.savez_compressed(buffer, **arrays)
    write_atomically(path, buffer.getvalue())


def read_calibration(path: Path) -> Calibration:
    """Read what `write_calibration` wrote; FormatError for another file, OSError where there is none."""
    try:
        with np.load(path, allow_pickle=False) as arrays:
            if int(arrays["format"]) != _FORMAT:
                raise FormatError(path, "format", f"is {int(arrays['format'])}; this version reads {_FORMAT}")
            blobs = [str(blob) for blob in arrays["blobs"]]
            even, odd = ({key: arrays[f"{key}{number}"] for key in _KEYS} for number in (0, 1))
            return Calibration(int(arrays["samples"]), (_unpack(even, blobs), _unpack(odd, blobs)))
    except (KeyError, TypeError, ValueError, IndexError, EOFError, zipfile.BadZipFile) as error:
        raise FormatError(
            path, "statistics", f"this is no file of calibration statistics ({error})"
        ) from error


def _pack(half: Statistics) -> dict[str, Any]:
    entries = list(half.values())
    return {
        "counts": np.array([entry.histogram.counts for entry in entries], np.int64).reshape(-1, 2, BINS),
        "base": np.array([entry.histogram.base for entry in entries], np.int64),
        "zeros": np.array([entry.histogram.zeros for entry in entries], np.int64),
        "channels": np.array([len(entry.channel_min) for entry in entries], np.int64),
        "channel_min": np.concatenate([entry.channel_min for entry in entries] or [np.zeros(0, np.float32)]),
        "channel_max": np.concatenate([entry.channel_max for entry in entries] or [np.zeros(0, np.float32)]),
    }


def _unpack(arrays: Mapping[str, Any], blobs: list[str]) -> dict[str, BlobStatistics]:
    ends = np.cumsum(arrays["channels"])
    result = {}
    for place, blob in enumerate(blobs):
        own = slice(int(ends[place] - arrays["channels"][place]), int(ends[place]))
        if arrays["counts"][place].shape != (2, BINS):
            raise ValueError("the histograms have another size")
        result[blob] = BlobStatistics(
            Histogram(arrays["counts"][place], int(arrays["base"][place]), int(arrays["zeros"][place])),
            channel_min=arrays["channel_min"][own],
            channel_max=arrays["channel_max"][own],
        )
    return result
