"""Which layers keep a model to one picture size."""

from __future__ import annotations

import pytest

from ncnn_tools.free_sizes import find_obstacle
from ncnn_tools.graph import Graph
from ncnn_tools.param_file import read_param

PICTURE = "Input x 0 1 x 0=16 1=16 2=8"


def graph_of(*layers: str) -> Graph:
    """Make a graph of .param lines; Splits are left out."""
    fields = [line.split() for line in layers]
    graph = Graph()
    for line in fields:
        blobs = line[4 : 4 + int(line[2]) + int(line[3])]
        text = f"7767517\n1 {len(set(blobs))}\n{' '.join(line)}"
        graph.layers += read_param(text).layers
    return graph


CONVOLUTION = "Convolution c 1 1 x y 0=8 1=3 4=1 3=2 6=576"
GLOBAL = "Pooling p 1 1 x v 0=1 4=1"


@pytest.mark.parametrize(
    "layers",
    [
        [CONVOLUTION, "PReLU r 1 1 y z 0=8"],
        ["Pooling p 1 1 x y 1=3 2=2"],
        [GLOBAL, "InnerProduct i 1 1 v y 0=10 2=80"],
        [GLOBAL, "Reshape r 1 1 v y 0=8", "InnerProduct i 1 1 y z 0=10 2=80"],
        # squeeze and excitation, in both spellings of a vector
        [GLOBAL, "InnerProduct i 1 1 v a 0=8 2=64", "Sigmoid s 1 1 a g", "BinaryOp b 2 1 x g y 0=2"],
        [GLOBAL, "Reshape r 1 1 v a 0=1 1=1 2=8", "Convolution c 1 1 a g 0=8 1=1 6=64", "BinaryOp b 2 1 x g y 0=2"],
        ["Reduction r 1 1 x g 0=3 1=0 -23303=2,1,2 4=1 5=1", "BinaryOp b 2 1 x g y 0=2"],
        ["Reduction r 1 1 x g 0=3 1=0 -23303=1,0 4=1 5=1", "BinaryOp b 2 1 x g y 0=2"],
        ["Pooling p 1 1 x v 7=1 8=7 18=7", "Flatten f 1 1 v y", "InnerProduct i 1 1 y z 0=10 2=3920"],
        ["Pooling p 1 1 x y 7=1 8=-233 18=-233"],
        ["MemoryData m 0 1 m 0=8", "BinaryOp b 2 1 x m y 0=0"],
        ["MemoryData m 0 1 m 0=1 1=1 2=8", "BinaryOp b 2 1 x m y 0=0"],
        ["BinaryOp b 1 1 x y 0=2 1=1 2=0.5"],
        [CONVOLUTION, "Interp u 1 1 y z 0=2 1=2.0 2=2.0", "Concat c 2 1 x z w 0=0"],
        [CONVOLUTION, "Interp u 2 1 y x z 0=2 5=1", "BinaryOp b 2 1 x z w 0=0"],
        [GLOBAL, "Interp u 2 1 v x z 0=2 5=1", "Concat c 2 1 x z w 0=0"],
        ["Slice s 1 2 x a b -23300=2,3,-233 1=0", "ShuffleChannel h 1 1 a y 0=1"],
        ["Slice s 1 2 x a b -23300=2,-233,-233 1=1"],
        ["Crop c 1 1 x y -23309=1,1 -23310=1,3 -23311=1,0"],
        ["PixelShuffle s 1 1 x y 0=2", "Softmax t 1 1 y z 0=0 1=1"],
        ["InstanceNorm n 1 1 x y 0=8 2=0", "GroupNorm g 1 1 y z 0=2 1=8 3=0"],
        ["Padding p 1 1 x y 0=1 1=1 2=1 3=1", "Deconvolution d 1 1 y z 0=8 1=2 3=2 6=256"],
        ["Input z 0 1 z 0=16 1=16 2=3", "Concat c 2 1 x z y 0=0"],
        ["Input z 0 1 z 0=4", "InnerProduct i 1 1 z y 0=10 2=40"],
    ],
)  # fmt: skip
def test_free(layers: list[str]) -> None:
    assert find_obstacle(graph_of(PICTURE, *layers)) == ""


@pytest.mark.parametrize(
    ("layers", "obstacle"),
    [
        (["Reshape r 1 1 x y 0=256 1=8"], "layer 'r' (Reshape) has fixed sizes"),
        (["Permute p 1 1 x y 0=1"], "layer 'p' (Permute) moves height and width to other axes"),
        (["InnerProduct i 1 1 x y 0=10 2=20480"], "layer 'i' (InnerProduct) takes a fixed number of values"),
        (["Flatten f 1 1 x y"], "layer 'f' (Flatten) lays out a map"),
        (["LayerNorm n 1 1 x y 0=16"], "layer 'n' (LayerNorm) may depend on the picture's size"),
        (["Interp u 1 1 x y 0=2 3=32 4=32"], "layer 'u' (Interp) resizes to a fixed size"),
        (["Deconvolution d 1 1 x y 0=8 1=2 3=2 6=256 20=32 21=32"], "(Deconvolution) has a fixed output size"),
        (["Pooling p 1 1 x y 7=1 8=7 18=-233"], "layer 'p' (Pooling) has a fixed output size on one axis"),
        (["Crop c 1 1 x y -23309=1,1 -23310=1,9 -23311=1,1"], "(Crop) cuts height or width at fixed places"),
        (["Slice s 1 2 x a b -23300=2,8,8 1=1"], "(Slice) cuts height or width at fixed places"),
        (["Reduction r 1 1 x g 0=3 1=0 -23303=1,2 4=1 5=1"], "(Reduction) reduces height or width alone"),
        (["MemoryData m 0 1 m 0=16 1=16 2=8", "BinaryOp b 2 1 x m y 0=0"], "(BinaryOp) joins a map"),
        (["MemoryData m 0 1 m 0=16 1=16", "BinaryOp b 2 1 x m y 0=0"], "(BinaryOp) joins a map"),
        (["Pooling p 1 1 x v 7=1 8=2 18=2", "Concat c 2 1 x v y 0=0"], "(Concat) joins a map"),
        ([GLOBAL, "Interp u 1 1 v w 0=2 3=16 4=16", "Concat c 2 1 x w y 0=0"], "(Concat) joins a map"),
        (["Input z 0 1 z 0=32 1=32 2=3", "ReLU r 1 1 z y"], "inputs are pictures of different sizes"),
    ],
)  # fmt: skip
def test_not_free(layers: list[str], obstacle: str) -> None:
    assert obstacle in find_obstacle(graph_of(PICTURE, *layers))


def test_what_takes_no_picture_is_not_free() -> None:
    assert find_obstacle(graph_of("Input x 0 1 x 0=40", "ReLU r 1 1 x y")) == "no input is a picture"
