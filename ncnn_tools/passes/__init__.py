"""Graph passes: rewrites that leave what the graph computes as it is.

Each pass stands in its own file, with a paragraph on why it holds, as a function that changes a graph in place
and returns how many times it applied. They work on graphs without Split layers; `insert_splits` comes last, once,
after the others have run in turns until none of them finds anything.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Sequence

from ncnn_tools.graph import Graph
from ncnn_tools.passes.activation import fuse_activations
from ncnn_tools.passes.attention import recognize_attention
from ncnn_tools.passes.average import average_by_convolution
from ncnn_tools.passes.broadcast import broadcast_single_pixels
from ncnn_tools.passes.dead import remove_dead_layers
from ncnn_tools.passes.duplicate import merge_duplicates
from ncnn_tools.passes.fold_backward import fold_into_producers
from ncnn_tools.passes.fold_forward import fold_into_consumers
from ncnn_tools.passes.group_norm import recognize_group_norms
from ncnn_tools.passes.identity import remove_identities
from ncnn_tools.passes.merge_affine import merge_affines
from ncnn_tools.passes.moves import merge_moves
from ncnn_tools.passes.parallel import merge_parallel_convolutions
from ncnn_tools.passes.parallel_product import merge_parallel_products
from ncnn_tools.passes.pointwise import merge_pointwise_convolutions
from ncnn_tools.passes.slices import merge_crops
from ncnn_tools.passes.spelled_activation import recognize_activations
from ncnn_tools.passes.split import insert_splits
from ncnn_tools.passes.upsampling import convolve_before_upsampling, split_convolutions_of_enlarged

# Passes make work for each other: a merged branch lets a batch norm fold, which lets an activation fuse. Networks
# settle in two to four rounds; the bound keeps two passes that undo each other from going on for ever.
_MOST_ROUNDS = 8

Pass = Callable[[Graph], int]

PASSES: tuple[Pass, ...] = (
    remove_identities,
    remove_dead_layers,
    merge_duplicates,
    merge_crops,
    recognize_attention,
    merge_moves,
    recognize_activations,
    recognize_group_norms,
    merge_affines,
    merge_parallel_convolutions,
    merge_parallel_products,
    fold_into_producers,
    fold_into_consumers,
    split_convolutions_of_enlarged,
    convolve_before_upsampling,
    merge_pointwise_convolutions,
    broadcast_single_pixels,
    average_by_convolution,
    fuse_activations,
    insert_splits,
)


# What computes weights of several others, or for another input: scales that a layer came with do not fit them.
_MIX_WEIGHTS: frozenset[Pass] = frozenset(
    {
        merge_parallel_convolutions,
        merge_parallel_products,
        fold_into_consumers,
        split_convolutions_of_enlarged,
        merge_pointwise_convolutions,
    }
)


def optimize(graph: Graph) -> Graph:
    """Return an optimized copy of a graph that has no Split layers yet, with the Splits that ncnn needs.

    Layers that came with scales of their own keep their weights, but for a factor on each output.
    """
    result = graph.copy()
    mixing = _MIX_WEIGHTS if graph.own_scales else frozenset()
    apply_passes(result, [apply for apply in PASSES if apply not in mixing])
    result.forget_missing_blobs()
    result.check()
    return result


def apply_passes(graph: Graph, passes: Sequence[Pass] = PASSES) -> Counter[str]:
    """Run passes on a graph, in place, until none finds anything, and the last one once after that.

    Returns how often each applied, by its name.
    """
    applied: Counter[str] = Counter({apply.__name__: 0 for apply in passes})
    *repeated, last = passes
    for _ in range(_MOST_ROUNDS):
        found = {apply.__name__: apply(graph) for apply in repeated}
        applied.update(found)
        if not sum(found.values()):
            break
    applied[last.__name__] += last(graph)
    return applied


__all__ = ["PASSES", "Pass", "apply_passes", "optimize"]
