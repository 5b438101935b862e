"""A model as a pair of files: .param and .bin."""

from __future__ import annotations

import os
from pathlib import Path

from ncnn_tools.bin_file import read_bin, write_bin
from ncnn_tools.graph import Graph
from ncnn_tools.param_file import read_param, write_param


def load(param: Path, weights: Path) -> Graph:
    """Read a .param/.bin pair; FormatError, naming line or offset, where it is malformed."""
    graph = read_param(param)
    read_bin(graph, weights)
    return graph


def save(graph: Graph, param: Path, weights: Path) -> None:
    """Write a .param/.bin pair; each file is whole or not there. GraphError before anything is written."""
    text, data = write_param(graph).encode(), write_bin(graph)
    write_atomically(weights, data)
    write_atomically(param, text)


def write_atomically(path: Path, data: bytes) -> None:
    """Write a file beside its place and move it there, so that a reader never sees half of it."""
    part = path.with_name(f".{path.name}.{os.getpid()}.part")
    try:
        part.write_bytes(data)
        part.replace(path)
    finally:
        part.unlink(missing_ok=True)
