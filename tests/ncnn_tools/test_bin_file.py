"""Reading and writing .bin files, against the ncnn wheel."""

from __future__ import annotations

import contextlib
import struct
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ncnn_tools.bin_file import read_bin, stored_bytes, write_bin
from ncnn_tools.errors import FormatError, GraphError, NcnnToolsError
from ncnn_tools.files import save
from ncnn_tools.graph import Graph, Layer, Storage, Weight, new_layer
from ncnn_tools.param_file import read_param, write_param
from ncnn_tools.runtime import Runtime

Make = Callable[..., Graph]

FLOAT_BITS = st.integers(0, 2**32 - 1)
TAGS = {Storage.FP32: 0, Storage.FP32_SCALED: 0x0002C056, Storage.FP16: 0x01306B47, Storage.INT8: 0x000D4B38}


def random_weight(storage: Storage, size: int, seed: int = 0) -> Weight:
    rng = np.random.default_rng(seed)
    if storage is Storage.CODEBOOK:
        book = rng.normal(0, 1, 256).astype(np.float32)
        return Weight(rng.integers(0, 256, size).astype(np.uint8), storage, book, tag=7)
    if storage is Storage.INT8:
        return Weight(rng.integers(-127, 128, size).astype(np.int8), storage)
    values = rng.normal(0, 1, size).astype(np.float32)
    if storage is Storage.BF16:
        return Weight((values.view(np.uint32) >> 16).astype(np.uint16), storage)
    return Weight(values.astype(np.float16) if storage is Storage.FP16 else values, storage)


def network(weight: Weight, after: float = 3.0) -> Graph:
    """x → InnerProduct with this weight; then a constant, whose value shows that the reading stayed in step."""
    size = weight.data.size
    product = new_layer("InnerProduct", "fc", ["x"], ["y"], num_output=1, weight_data_size=size)
    product.weights["weight"] = weight
    constant = new_layer("MemoryData", "after", [], ["after"], w=1)
    constant.set_weight("data", [after])
    return Graph([new_layer("Input", "x", [], ["x"], w=size), product, constant], ["y", "after"])


def read_back(graph: Graph, data: bytes | None = None) -> Graph:
    result = read_param(write_param(graph))
    read_bin(result, write_bin(graph) if data is None else data)
    return result


@given(
    storage=st.sampled_from([s for s in Storage if s is not Storage.RAW]),
    size=st.integers(1, 70),
    seed=st.integers(0, 99),
)
def test_every_storage_reads_back_equal(storage: Storage, size: int, seed: int) -> None:
    graph = network(random_weight(storage, size, seed))
    back = read_back(graph)
    assert back.layers == graph.layers
    assert write_bin(back) == write_bin(graph)
    assert len(write_bin(graph)) % 4 == 0


@given(bits=st.lists(FLOAT_BITS, min_size=1, max_size=40), tagged=st.booleans())
def test_float32_is_kept_bit_by_bit(bits: list[int], tagged: bool) -> None:
    """Whatever the bits are: denormal, negative zero, infinite or not a number."""
    values = np.array(bits, np.uint32).view(np.float32)
    layer = new_layer("MemoryData", "m", [], ["m"], w=len(bits), load_type=0 if tagged else 1)
    layer.weights["data"] = Weight(values, Storage.FP32 if tagged else Storage.RAW)
    back = read_back(Graph([layer]))
    assert back.layers[0].weights["data"].data.tobytes() == values.tobytes()


@pytest.mark.parametrize("size", [1, 2, 3, 4, 5, 31, 64])
@pytest.mark.parametrize("storage", [s for s in Storage if s not in (Storage.RAW, Storage.INT8)])
def test_ncnn_reads_what_is_written(tmp_path: Path, storage: Storage, size: int) -> None:
    graph = network(random_weight(storage, size))
    save(graph, tmp_path / "m.param", tmp_path / "m.bin")
    x = np.random.default_rng(1).normal(0, 1, size).astype(np.float32)
    results = Runtime(tmp_path / "m.param", tmp_path / "m.bin").run({"x": x})
    assert results["after"] == 3.0
    expected = graph.layers[1].weights["weight"].values() @ x
    np.testing.assert_allclose(results["y"][0], expected, rtol=1e-4, atol=1e-4)


def test_the_bytes_of_each_storage() -> None:
    for storage, tag in TAGS.items():
        weight = random_weight(storage, 3)
        data = write_bin(network(weight))
        assert struct.unpack_from("<I", data)[0] == tag
        assert data[4 : 4 + weight.data.nbytes] == weight.data.tobytes()
        assert len(data) == 4 + -(-weight.data.nbytes // 4) * 4 + 4


def test_the_values_that_weights_stand_for() -> None:
    halves = Weight(np.array([1.5, -2], np.float16), Storage.FP16)
    brains = Weight(np.array([0x3FC0, 0xC000], np.uint16), Storage.BF16)
    book = Weight(
        np.array([1, 0], np.uint8), Storage.CODEBOOK, np.arange(-2, 254, dtype=np.float32) * 2, tag=1
    )
    assert halves.values().tolist() == brains.values().tolist() == [1.5, -2]
    assert book.values().tolist() == [-2, -4]
    assert Weight(np.array([-127], np.int8), Storage.INT8).values().tolist() == [-127]


def test_padding_is_skipped_whatever_it_holds() -> None:
    graph = network(random_weight(Storage.FP16, 3))
    data = bytearray(write_bin(graph))
    data[10:12] = b"\xff\xff"
    assert read_back(graph, bytes(data)).layers == graph.layers


@pytest.fixture(scope="module")
def whole() -> Graph:
    """A graph with tagged and raw weights, fp32 and fp16."""
    graph = network(random_weight(Storage.FP16, 5))
    convolution = new_layer(
        "Convolution", "conv", ["after"], ["z"], num_output=2, kernel_w=1, weight_data_size=2, bias_term=1
    )
    convolution.set_weight("weight", [1, 2])
    convolution.set_weight("bias", [3, 4])
    graph.layers.append(convolution)
    return graph


def test_truncated_files_name_the_offset(whole: Graph) -> None:
    data = write_bin(whole)
    for size in range(len(data)):
        with pytest.raises(FormatError, match=r"offset \d+: .*weight '\w+' needs \d+ bytes, \d+ are left"):
            read_back(whole, data[:size])


def test_bytes_left_over_are_refused(whole: Graph) -> None:
    data = write_bin(whole)
    with pytest.raises(FormatError, match=f"offset {len(data)}: 4 bytes are left"):
        read_back(whole, data + bytes(4))


def unread(lines: str, count: int = 1) -> Graph:
    return read_param(f"7767517\n{count} {count}\n{lines}\n")


MALFORMED = {
    "negative size": "InnerProduct f 0 1 y 0=1 2=-5",
    "huge size": "InnerProduct f 0 1 y 0=1 2=2147483647",
    "huge product of sizes": "MemoryData m 0 1 y 0=2147483647 1=2147483647 2=2147483647",
    "an array in place of a size": "InnerProduct f 0 1 y 0=1 -23302=2,3,4",
    "a float in place of a size": "InnerProduct f 0 1 y 0=1 2=5.0",
    "a string in place of a size": 'BatchNorm f 0 1 y 0="four"',
    "an unknown broadcast": "Gemm g 0 1 y 4=1 5=1 6=1 7=2 8=2 9=2 10=9",
    "block-quantized weights": "Gemm g 0 1 y 4=1 5=1 7=2 8=2 9=2 18=400",
    "a codebook cut short": "InnerProduct f 0 1 y 0=1 2=4",
}


@pytest.mark.parametrize("line", MALFORMED.values(), ids=MALFORMED.keys())
def test_parameters_that_make_no_sense_are_refused(line: str) -> None:
    data = struct.pack("<I", 0x0000FF00) + bytes(64)  # the tag of a codebook
    with pytest.raises(FormatError, match="offset"):
        read_bin(unread(line), data)


def test_the_error_names_the_file(tmp_path: Path) -> None:
    path = tmp_path / "bad.bin"
    path.write_bytes(b"\0\0")
    with pytest.raises(FormatError) as caught:
        read_bin(unread("InnerProduct f 0 1 y 0=1 2=4"), path)
    assert caught.value.path == path
    assert str(caught.value).startswith(f"{path}: offset 0: the tag of layer 'f': weight 'weight'")


@settings(max_examples=200)
@given(data=st.data())
def test_damaged_files_raise_nothing_but_our_errors(whole: Graph, data: st.DataObject) -> None:
    damaged = bytearray(write_bin(whole))
    for _ in range(data.draw(st.integers(1, 5))):
        damaged[data.draw(st.integers(0, len(damaged) - 1))] = data.draw(st.integers(0, 255))
    damaged = damaged[: data.draw(st.integers(0, len(damaged)))]
    try:
        back = read_back(whole, bytes(damaged))
    except NcnnToolsError:
        return
    assert len(write_bin(back)) == len(damaged)


@settings(max_examples=200)
@given(
    kind=st.sampled_from(
        ["Convolution", "InnerProduct", "Gemm", "LSTM", "MultiHeadAttention", "MemoryData", "Scale"]
    ),
    params=st.dictionaries(st.integers(0, 21), st.integers(-300, 2**31 - 1) | st.just((1, 2)), max_size=12),
)
def test_any_parameters_raise_nothing_but_our_errors(kind: str, params: dict[int, int]) -> None:
    graph = Graph([Layer(kind, "layer", [], ["y"], dict(params))])
    with contextlib.suppress(NcnnToolsError):
        read_bin(graph, bytes(3))


def test_weights_that_do_not_fit_are_not_written() -> None:
    graph = network(random_weight(Storage.FP16, 5))
    graph.layers[1].weights["weight"] = random_weight(Storage.FP16, 4)
    with pytest.raises(GraphError, match="'weight' should have 5 values"):
        write_bin(graph)
    graph.layers[1].weights["weight"] = Weight(np.zeros(5, np.float32), Storage.RAW)
    with pytest.raises(GraphError, match="can't be stored as RAW"):
        write_bin(graph)
    constant = graph.layers[2]
    constant.weights["data"] = Weight(np.zeros(1, np.float16), Storage.FP16)
    graph.layers[1].set_weight("weight", np.zeros(5))
    with pytest.raises(GraphError, match="can't be stored as FP16"):
        write_bin(graph)
    constant.weights.clear()
    with pytest.raises(GraphError, match="ncnn reads data"):
        write_bin(graph)


@pytest.mark.parametrize("size", [1, 2, 3, 4, 7])
@pytest.mark.parametrize("storage", [s for s in Storage if s is not Storage.RAW])
def test_stored_bytes_are_those_of_the_file(storage: Storage, size: int) -> None:
    graph = network(random_weight(storage, size))
    total = sum(stored_bytes(weight) for layer in graph.layers for weight in layer.weights.values())
    assert total == len(write_bin(graph))
