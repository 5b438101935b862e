"""How many channels each blob has for the widths of the groups, and which widths are worth a look."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping

from ncnn_tools.graph import Graph, Layer
from ncnn_tools.packing.borders import with_borders
from ncnn_tools.packing.classes import PaddingClasses
from ncnn_tools.packing.groups import PaddingGroup, numbered_groups

MULTIPLES = (4, 8)  # of channels that ncnn packs on ARM, in fp32 and in fp16

# Widths of all groups, in the order of `Layout.groups`.
Widths = tuple[int, ...]


class Layout:
    """A graph's groups, and its blobs' channels as a function of the groups' widths.

    `layers` are the graph's, with all Padding and Crop layers that widths may bring in; `sizes` maps a blob to how
    many values each of its channels has.
    """

    def __init__(self, graph: Graph) -> None:
        """Look at a graph with shapes."""
        prepared = with_borders(graph)
        classes = PaddingClasses(prepared)
        numbered = numbered_groups(prepared, classes)
        self.layers: list[Layer] = prepared.layers
        self.groups: list[PaddingGroup] = list(numbered.values())
        self.plain: Widths = tuple(group.channels for group in self.groups)
        self._numbers = {gap: number for number, gap in enumerate(numbered)}
        self._channels: dict[str, int] = {}
        self._held: dict[str, list[tuple[int, int]]] = {}
        self._ends: dict[int, set[int]] = {number: set() for number in range(len(self.groups))}
        self.sizes: dict[str, int] = {}
        for blob, shape in prepared.shapes.items():
            self._channels[blob] = shape[0] if shape else 1
            self.sizes[blob] = _product(shape[1:])
            gaps = classes.of(blob).tolist() if blob in classes else []
            counted = Counter(self._numbers[gap] for gap in gaps if gap in self._numbers)
            self._held[blob] = list(counted.items())
            if gaps and gaps[-1] in self._numbers:
                self._ends[self._numbers[gaps[-1]]].add(len(gaps))

    def channels(self, blob: str, widths: Widths) -> int:
        """Return how many channels a blob has at these widths."""
        return self._channels[blob] + sum(
            times * (widths[number] - self.plain[number]) for number, times in self._held[blob]
        )

    def groups_of(self, layer: Layer) -> list[int]:
        """Return the numbers of the groups that change a layer's inputs or outputs."""
        blobs = [*layer.inputs, *layer.outputs]
        return sorted({number for blob in blobs for number, _ in self._held[blob]})

    def options(self, number: int) -> list[int]:
        """Return the widths to try for a group: its own, and those at which a blob that ends there fills vectors."""
        plain = self.plain[number]
        missing = {-count % multiple for count in self._ends[number] for multiple in MULTIPLES}
        return sorted({plain, *(plain + count for count in missing)})

    def aligned(self, multiple: int) -> Widths:
        """Return the widths at which every group is a multiple of 4 or 8."""
        return tuple(-(-channels // multiple) * multiple for channels in self.plain)

    def filled(self, multiple: int) -> Widths:
        """Return widths at which blobs are multiples of 4 or 8 by padding where they end, from the narrowest on."""
        widths = list(self.plain)
        for number, counts in self._ends.items():
            widths[number] += -max(counts, default=0) % multiple
        return tuple(widths)

    def named(self, widths: Widths) -> Mapping[str, int]:
        """Return widths by their groups' names, as `pad_channels` takes them: those that pad anything."""
        return {
            group.name: width
            for group, width in zip(self.groups, widths, strict=True)
            if width != group.channels
        }


def _product(sizes: tuple[int, ...]) -> int:
    result = 1
    for size in sizes:
        result *= size
    return result
