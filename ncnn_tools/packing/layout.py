"""How many channels each blob has for the widths of the groups, and which widths are worth a look."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Mapping

from ncnn_tools.graph import Graph, Layer
from ncnn_tools.packing.groups import PaddingGroup, find_gaps

MULTIPLES = (8, 4)  # of channels that ncnn packs on ARM, in fp32 and in fp16

# Widths of all groups, in the order of `Layout.groups`.
Widths = tuple[int, ...]


class Layout:
    """A graph's groups, and its blobs' channels as a function of the groups' widths.

    `layers` are the graph's, with all Padding and Crop layers that widths may bring in; `sizes` maps a blob to how
    many values each of its channels has.
    """

    def __init__(self, graph: Graph) -> None:
        """Look at a graph with shapes."""
        gaps = find_gaps(graph)
        self.layers: list[Layer] = gaps.graph.layers
        self.groups: list[PaddingGroup] = list(gaps.groups.values())
        self.plain: Widths = tuple(group.channels for group in self.groups)
        self._numbers = {gap: number for number, gap in enumerate(gaps.groups)}
        # What a Crop reads has as much padding as what it gives, at least; None where that can't be padded.
        self._floors = {self._numbers[gap]: self._numbers.get(floor) for gap, floor in gaps.floors.items()}
        self._channels: dict[str, int] = {}
        self._held: dict[str, list[tuple[int, int]]] = {}
        self._ends: dict[int, set[int]] = {number: set() for number in range(len(self.groups))}
        self.sizes: dict[str, int] = {}
        for blob, shape in gaps.graph.shapes.items():
            self._channels[blob] = shape[0] if shape else 1
            self.sizes[blob] = math.prod(shape[1:])
            held = gaps.classes.of(blob).tolist() if blob in gaps.classes else []
            counted = Counter(self._numbers[gap] for gap in held if gap in self._numbers)
            self._held[blob] = list(counted.items())
            if held and held[-1] in self._numbers:
                self._ends[self._numbers[held[-1]]].add(len(held))

    def channels(self, blob: str, widths: Widths) -> int:
        """Return how many channels a blob has at these widths; 0 for one of unknown shape."""
        return self._channels.get(blob, 0) + sum(
            times * self._padding(number, widths) for number, times in self._held.get(blob, ())
        )

    def settled(self, widths: Widths) -> Widths:
        """Return widths in which what a Crop reads is as wide as what it gives, at least."""
        return tuple(plain + self._padding(number, widths) for number, plain in enumerate(self.plain))

    def _padding(self, number: int, widths: Widths) -> int:
        own = widths[number] - self.plain[number]
        floor = self._floors.get(number)
        return own if floor is None else max(own, widths[floor] - self.plain[floor])

    def groups_of(self, layer: Layer) -> list[int]:
        """Return the numbers of the groups that change a layer's inputs or outputs."""
        blobs = [*layer.inputs, *layer.outputs]
        held = {number for blob in blobs for number, _ in self._held.get(blob, ())}
        floors = {self._floors.get(number) for number in held}
        return sorted(held | {floor for floor in floors if floor is not None})

    def options(self, number: int) -> list[int]:
        """Return the widths to try for a group: its own, and those at which a blob that ends there fills vectors."""
        plain = self.plain[number]
        missing = {-count % multiple for count in self._ends[number] for multiple in MULTIPLES}
        return sorted({plain, *(plain + count for count in missing)})

    def aligned(self, multiple: int) -> Widths:
        """Return the widths at which every group is a multiple of 4 or 8."""
        return tuple(-(-channels // multiple) * multiple for channels in self.plain)

    def cropped(self, multiple: int) -> Widths:
        """Return the widths at which what Crops read is a multiple of 4 or 8, and nothing else is padded."""
        aligned = self.aligned(multiple)
        return tuple(aligned[i] if i in self._floors else width for i, width in enumerate(self.plain))

    def filled(self, multiple: int) -> Widths:
        """Return `cropped` with the widest blob that ends with a group padded to a multiple as well."""
        widths = list(self.cropped(multiple))
        for number, counts in self._ends.items():
            if number not in self._floors:
                widths[number] += -max(counts, default=0) % multiple
        return tuple(widths)

    def named(self, widths: Widths) -> Mapping[str, int]:
        """Return widths by their groups' names, as `pad_channels` takes them: those that pad anything."""
        return {
            group.name: width
            for group, width in zip(self.groups, widths, strict=True)
            if width != group.channels
        }
