"""What `mobiledeploy diff` finds where nothing is wrong: the figures behind its default bounds, as Markdown.

    python benchmarks/diff_bounds.py BUNDLE PICTURES [--count 4] [--cpu cortex-a76]

compares each variant with the bundle's ONNX reference on a few pictures, on this computer, and with --cpu also on an
emulated phone, on the first of them. It prints for each the largest relative error and the lowest SNR of any tensor.
"""

from __future__ import annotations

import argparse
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

from mobiledeploy.device import Device, open_device
from mobiledeploy.diff import Comparison, Opener, Options, compare, parse_name
from mobiledeploy.phone import VirtualPhone
from mobiledeploy.preprocessing import list_images


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("bundle", type=Path)
    parser.add_argument("pictures", type=Path)
    parser.add_argument("--count", type=int, default=4)
    parser.add_argument("--cpu")
    arguments = parser.parse_args()
    pictures = list_images(arguments.pictures)[: arguments.count]
    print("| variant | where | tensors | largest relative error | lowest SNR (dB) |")
    print("| --- | --- | ---: | ---: | ---: |")
    for variant in ("fp32", "fp16", "int8"):
        found = [compared(f"{arguments.bundle}:{variant}", picture, None) for picture in pictures]
        print(row(variant, "this computer", found), flush=True)
    with emulated(arguments.cpu) as device:
        for variant in ("fp32", "fp16", "int8") if device else ():
            found = [compared(f"{arguments.bundle}:{variant}@device", pictures[0], device)]
            print(row(variant, f"emulated {arguments.cpu}", found), flush=True)


@contextmanager
def emulated(cpu: str | None) -> Iterator[Device | None]:
    """Open a virtual phone of this CPU for the length of the block; nothing for None."""
    if cpu is None:
        yield None
        return
    with VirtualPhone(cpu=cpu) as phone, open_device(phone.serial) as device, device.exclusive():
        yield device


def compared(candidate: str, picture: Path, device: Device | None) -> Comparison:
    """Compare every tensor of a variant with the reference of its bundle."""
    bundle = candidate.rpartition(":")[0]
    names = [parse_name(f"{bundle}:onnx"), parse_name(candidate)]
    opener = Opener(names, Options(), device, lambda *_: None)
    reference, other = (opener.open(name) for name in names)
    return compare(reference, other, opener.inputs([picture], reference), everything=True)


def row(variant: str, where: str, comparisons: Sequence[Comparison]) -> str:
    """Return a row of the table: the worst over all pictures and tensors."""
    figures = [row.figures for comparison in comparisons for row in comparison.rows if row.figures]
    relative = max(found.relative for found in figures)
    snr = min(found.snr_db for found in figures)
    return f"| {variant} | {where} | {len(comparisons[0].rows)} | {relative:.2g} | {snr:.1f} |"


if __name__ == "__main__":
    main()
