"""Read and write .param: the text that lists an ncnn model's layers (src/net.cpp, src/paramdict.cpp)."""

from __future__ import annotations

import hashlib
import re
from collections import Counter
from pathlib import Path

import numpy as np

from ncnn_tools.errors import FormatError, GraphError
from ncnn_tools.graph import Graph, Layer
from ncnn_tools.schema import LAYERS, ParamValue

MAGIC = 7767517
MAX_NAME = 255  # `char layer_type[256]` in src/net.cpp
MAX_ID = 31  # NCNN_MAX_PARAM_COUNT in src/paramdict.h
MAX_BYTES = 64 * 2**20  # far above any real network's text; a bound for hostile files
MAX_COUNT = 1_000_000
OLD_ARRAY = -23300

MAX_TOKEN = 127  # of a number: `char vstr[128]` in src/paramdict.cpp
MAX_STRING = 255

_COUNT = re.compile(r"[0-9]{1,9}\Z")
_INT = re.compile(r"[+-]?[0-9]+\Z")
_FLOAT = re.compile(r"[+-]?([0-9]+\.?[0-9]*|\.[0-9]+)([eE][+-]?[0-9]+)?\Z")
_TOKEN = re.compile(r'[+-]?\d+="[^"]*"|\S+')


def read_param(source: Path | str, *, known_only: bool = True) -> Graph:
    """Read a .param file (a Path) or its text (a str) into a graph without weights.

    Without `known_only`, layers of types that ncnn does not have stay in the graph, without their parameters.

    Raises FormatError, naming the line, for anything (else) that ncnn would refuse or read differently.
    """
    path = source if isinstance(source, Path) else None
    lines = _text(source).splitlines()
    if not lines or lines[0].strip() != str(MAGIC):
        raise FormatError(path, "line 1", f"not an ncnn .param file: it should start with {MAGIC}")
    layer_count, blob_count = _counts(path, lines[1] if len(lines) > 1 else "")
    graph = Graph()
    seen: set[str] = set()
    for number, line in enumerate(lines[2:], start=3):
        if not line.strip():
            continue
        try:
            layer = _layer(line, known_only)
            _note_blobs(layer, seen)
        except ValueError as error:
            raise FormatError(path, f"line {number}", str(error)) from None
        graph.layers.append(layer)
    if len(graph.layers) != layer_count:
        raise FormatError(path, "line 2", f"announces {layer_count} layers, the file has {len(graph.layers)}")
    blobs = graph.blobs()
    if len(blobs) != blob_count:
        raise FormatError(path, "line 2", f"announces {blob_count} blobs, the file has {len(blobs)}")
    consumed = graph.consumers()
    graph.outputs = [blob for blob in blobs if blob not in consumed]
    return graph


def unknown_types(source: Path | str) -> dict[str, int]:
    """Count the layers of each type that ncnn does not have, without reading more of a .param file than that."""
    types = [line.split()[0] for line in _text(source).splitlines()[2:] if line.strip()]
    return dict(Counter(name for name in types if name not in LAYERS))


def legal_name(text: str) -> str:
    """Make a name that a .param, a file and a command line can hold; the same for the same text."""
    name = re.sub(r"[^\w./:-]", "_", text, flags=re.ASCII) or "unnamed"
    if len(name) > MAX_NAME - 16:  # leaves room for the numbers that make names unique
        name = f"{name[: MAX_NAME - 32]}_{hashlib.sha256(text.encode()).hexdigest()[:12]}"
    return name


def _text(source: Path | str) -> str:
    if isinstance(source, str):
        return source
    size = source.stat().st_size
    if size > MAX_BYTES:
        raise FormatError(source, "line 1", f"{size} bytes is too large for a .param file")
    try:
        return source.read_text("utf-8")
    except UnicodeDecodeError as error:
        raise FormatError(source, f"offset {error.start}", "not text: is this a binary .param.bin?") from None


def _counts(path: Path | None, line: str) -> tuple[int, int]:
    fields = line.split()
    if len(fields) != 2 or not all(_COUNT.match(field) for field in fields):
        raise FormatError(path, "line 2", f"should hold the counts of layers and blobs, not {line[:60]!r}")
    layers, blobs = int(fields[0]), int(fields[1])
    if not (0 < layers <= MAX_COUNT and 0 < blobs <= MAX_COUNT):
        raise FormatError(path, "line 2", f"{layers} layers and {blobs} blobs is not a network")
    return layers, blobs


def _layer(line: str, known_only: bool) -> Layer:
    fields = _TOKEN.findall(line)
    if len(fields) < 4:
        raise ValueError("a layer needs a type, a name and two counts")
    kind, name = fields[0], fields[1]
    if known_only and kind not in LAYERS:
        raise ValueError(f"ncnn has no layer type {kind!r}")
    inputs, outputs = _count(fields[2]), _count(fields[3])
    names = fields[4 : 4 + inputs + outputs]
    if len(names) < inputs + outputs or any("=" in blob and _is_param(blob) for blob in names):
        raise ValueError(f"layer {name!r} should name {inputs} inputs and {outputs} outputs")
    for text in (kind, name, *names):
        if len(text.encode()) > MAX_NAME:
            raise ValueError(f"the name {text[:40]!r}… is longer than {MAX_NAME} bytes")
    layer = Layer(kind, name, names[:inputs], names[inputs:])
    if kind not in LAYERS:
        return layer  # what wrote it may have another syntax for parameters too
    for token in fields[4 + inputs + outputs :]:
        key, value = _parameter(token)
        layer.params[key] = value
    return layer


def _is_param(text: str) -> bool:
    return _INT.match(text.split("=", 1)[0]) is not None


def _count(text: str) -> int:
    if not _COUNT.match(text) or int(text) > MAX_COUNT:
        raise ValueError(f"{text[:20]!r} is not a count of blobs")
    return int(text)


def _note_blobs(layer: Layer, seen: set[str]) -> None:
    seen.update(layer.inputs)
    for blob in layer.outputs:
        if blob in seen:
            raise ValueError(f"layer {layer.name!r} gives {blob!r}, which is there already")
        seen.add(blob)


def _parameter(token: str) -> tuple[int, ParamValue]:
    key_text, equals, text = token.partition("=")
    if not equals or not _INT.match(key_text):
        raise ValueError(f"{token[:40]!r} is not a parameter (id=value)")
    key = int(key_text)
    if key <= OLD_ARRAY:
        return _checked_id(OLD_ARRAY - key), _counted_array(text)
    if text.startswith('"') or text[:1].isalpha():
        return _checked_id(key), _string(text)
    if "," in text:
        return _checked_id(key), _listed_array(text.removesuffix(",").split(","))
    return _checked_id(key), _number(text)


def _checked_id(key: int) -> int:
    if not 0 <= key <= MAX_ID:
        raise ValueError(f"parameter id {key} is not in 0..{MAX_ID}")
    return key


def _counted_array(text: str) -> ParamValue:
    count, *items = text.split(",")
    if not _COUNT.match(count) or int(count) != len(items):
        raise ValueError(f"the array {text[:40]!r} should start with its count")
    numbers = [_number(item) for item in items]
    floats = [isinstance(number, float) for number in numbers]
    if not any(floats):
        return tuple(int(number) for number in numbers)
    # ncnn keeps each element's own bits here: an integer other than 0 among floats reads as a denormal.
    if any(number != 0 for number, is_float in zip(numbers, floats, strict=True) if not is_float):
        raise ValueError("an array mixes integers and floats")
    return tuple(float(number) for number in numbers)


def _listed_array(items: list[str]) -> ParamValue:
    """Read the form without a count, in which the first element gives all of them its type."""
    numbers = [_number(item) for item in items]
    if isinstance(numbers[0], float):
        return tuple(float(number) for number in numbers)
    if any(isinstance(number, float) for number in numbers):
        raise ValueError("an array of integers holds a float")
    return tuple(int(number) for number in numbers)


def _string(text: str) -> str:
    quoted = re.match(r'"([^"]*)"\Z', text)
    if text.startswith('"') and not quoted:
        raise ValueError(f"the string {text[:40]!r} has no end")
    value = quoted[1] if quoted else text
    if len(value.encode()) > MAX_STRING:
        raise ValueError(f"the string {text[:40]!r}… is longer than {MAX_STRING} bytes")
    return value


def _number(text: str) -> int | float:
    if len(text) > MAX_TOKEN:
        raise ValueError(f"{text[:20]!r}… is longer than {MAX_TOKEN} characters")
    if _INT.match(text):
        value = int(text)
        if not can_be_written(value):
            raise ValueError(f"{text[:20]!r} does not fit 32 bits")
        return value
    if _FLOAT.match(text):
        number = _single(float(text))
        if not np.isfinite(number):
            raise ValueError(f"{text[:20]!r} is too large for a float")
        return number
    raise ValueError(f"{text[:20]!r} is not a number")


def can_be_written(value: int | float) -> bool:
    """Say whether a .param file can hold a number: 32 bits, and finite."""
    if isinstance(value, int):
        return -(2**31) <= value < 2**31
    return bool(np.isfinite(_single(value)))


def _single(value: float) -> float:
    with np.errstate(over="ignore"):
        return float(np.float32(value))


def write_param(graph: Graph) -> str:
    """Return the text of a .param file; every float reads back to the same float32.

    Raises GraphError for names and values that the format can't hold.
    """
    lines = [str(MAGIC), f"{len(graph.layers)} {len(graph.blobs())}"]
    lines += [_layer_line(layer) for layer in graph.layers]
    return "\n".join(lines) + "\n"


def _layer_line(layer: Layer) -> str:
    for name in (layer.type, layer.name, *layer.inputs, *layer.outputs):
        if not name or len(name.encode()) > MAX_NAME or any(char.isspace() for char in name):
            raise GraphError(f"layer {layer.name!r}: {name[:60]!r} can't be a name in a .param file")
    counts = f"{len(layer.inputs)} {len(layer.outputs)}"
    fields = [f"{layer.type:<24} {layer.name:<24} {counts}", *layer.inputs, *layer.outputs]
    fields += [_parameter_text(layer, key, value) for key, value in sorted(layer.params.items())]
    return " ".join(fields)


def _parameter_text(layer: Layer, key: int, value: ParamValue) -> str:
    if isinstance(value, tuple):
        items = ",".join(["", *(_number_text(layer, item) for item in value)])
        return f"{OLD_ARRAY - key}={len(value)}{items}"
    if isinstance(value, str):
        if len(value.encode()) > MAX_STRING or '"' in value or len(value.splitlines()) > 1:
            raise GraphError(f"layer {layer.name!r}: {value[:60]!r} can't be a string in a .param file")
        return f'{key}="{value}"'
    return f"{key}={_number_text(layer, value)}"


def _number_text(layer: Layer, value: int | float) -> str:
    if not can_be_written(value):
        raise GraphError(f"layer {layer.name!r}: {value} can't stand in a .param file")
    if isinstance(value, int):
        return str(int(value))
    # The shortest digits that read back to the same float32: at most 15 characters, which older runtimes need.
    return np.format_float_scientific(np.float32(value), unique=True, trim="0", exp_digits=2)
