"""Where padding may begin and end beside the weights: Padding and Crop layers where the graph has none.

A blob that has to keep its channels (an output, what Slice reads), or should (a few channels of a Concat that padding
would make wide), can still be computed packed: its convolution gives more, and a Crop takes them off. A blob that
has to keep them (the input, averaged) can still go into a Concat that fills vectors: a Padding puts zeros behind
it. They are put in wherever they could serve, changing nothing, and taken out again where they still change nothing
in the end.
"""

from __future__ import annotations

from ncnn_tools.graph import Graph, Layer, new_layer, unique_name
from ncnn_tools.packing.classes import PaddingClasses, is_dense

WIDEST = 8  # channels that ncnn packs on ARM, in fp16; half of it in fp32


def with_borders(graph: Graph) -> Graph:
    """Return a copy with a Crop behind each convolution whose channels fill no vectors, and a Padding before each
    Concat that reads a blob that can't be padded.

    A blob that is cropped keeps its name; what the convolution gives is called otherwise.
    """
    result = graph.copy()
    names = {layer.name for layer in graph.layers}
    blobs = set(graph.blobs())
    for layer in [layer for layer in result.layers if _could_be_cropped(layer, result)]:
        _put_in_crop(result, layer, names, blobs)
    classes = PaddingClasses(result)
    for layer in [layer for layer in result.layers if layer.type == "Concat"]:
        for index, blob in enumerate(layer.inputs):
            if blob in classes and len(result.shapes[blob]) == 3 and classes.of(blob)[-1] == 0:
                _put_in_padding(result, layer, index, names, blobs)
    return result


def without_idle_borders(graph: Graph, kept: Graph) -> Graph:
    """Return a copy without those Padding and Crop layers that change nothing and that `kept` does not have."""
    result = graph.copy()
    own = {layer.name for layer in kept.layers}
    for layer in [layer for layer in result.layers if layer.name not in own]:
        before, after = layer.inputs[0], layer.outputs[0]
        if result.shapes[before] == result.shapes[after]:
            result.remove([layer])
            if layer.type == "Crop":
                result.rename_blob(before, after)
            else:
                result.redirect(after, before)
    result.forget_missing_blobs()
    return result


def _could_be_cropped(layer: Layer, graph: Graph) -> bool:
    """Return whether a convolution could give more channels to a Crop, which takes no int8."""
    if (
        layer.type == "InnerProduct"
        or not is_dense(layer)
        or len(graph.shapes.get(layer.outputs[0], ())) != 3
    ):
        return False
    gives_int8 = "int8_scale_term" in layer.schema.params and layer.integer("int8_scale_term") > 100
    return layer.integer("num_output") % WIDEST != 0 and not gives_int8


def _put_in_crop(graph: Graph, producer: Layer, names: set[str], blobs: set[str]) -> None:
    blob = producer.outputs[0]
    whole = unique_name(f"{blob}_padded", blobs)
    graph.inherit(whole, blob)
    producer.outputs = [whole]
    channels = graph.shapes[blob][0]
    crop = new_layer(
        "Crop",
        unique_name(f"{producer.name}_crop", names),
        [whole],
        [blob],
        starts=(0,),
        ends=(channels,),
        axes=(0,),
    )
    graph.layers.insert(_place_of(graph, producer) + 1, crop)


def _put_in_padding(graph: Graph, reader: Layer, index: int, names: set[str], blobs: set[str]) -> None:
    blob = reader.inputs[index]
    padded = unique_name(f"{blob}_padded", blobs)
    graph.inherit(padded, blob)
    reader.inputs[index] = padded
    padding = new_layer(
        "Padding", unique_name(f"{reader.name}_padding_{index}", names), [blob], [padded], behind=0
    )
    graph.layers.insert(_place_of(graph, reader), padding)


def _place_of(graph: Graph, wanted: Layer) -> int:
    return next(index for index, layer in enumerate(graph.layers) if layer is wanted)
