"""How right and how small the converted networks are: all five, every uniform precision, on this computer.

    python benchmarks/parity.py [--checkpoint seg_matting=FILE.pth] [--pictures DIR]

seg_matting has its trained weights; the others have seeded random ones, so that their size and fp32 error mean
something and their accuracy does not. Pictures to calibrate on are drawn by models.synthetic unless given.
"""

from __future__ import annotations

import argparse
import tempfile
from pathlib import Path

from mobiledeploy.bundle import Bundle
from mobiledeploy.convert import ConvertRequest, convert
from models.networks import CLASSES, FOLDER, description, untrained_checkpoint
from models.synthetic import write_portraits

PICTURES = 16


def bundle_of(name: str, checkpoint: Path, pictures: Path, output: Path, *, untrained: bool) -> Bundle:
    """Convert one network to every uniform precision."""
    request = ConvertRequest(
        source=checkpoint,
        output=output,
        name=name,
        precisions=("fp32", "fp16", "int8"),
        model=f"models.{name}:{CLASSES[name]}",
        calibration=pictures,
        untrained=untrained,
    )
    return convert(request.described_by(description(name)))[0]


def main() -> None:
    """Convert all networks and print a Markdown table."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--checkpoint", action="append", default=[], metavar="NAME=FILE")
    parser.add_argument("--pictures", type=Path)
    options = parser.parse_args()
    given = dict(entry.split("=", 1) for entry in options.checkpoint)
    given.setdefault("seg_matting", str(FOLDER / "checkpoints" / "seg_matting.pth"))
    print("| network | weights | precision | bytes | vs fp32 | max error vs onnxruntime | mask IoU |")
    print("|---|---|---|---:|---:|---:|---:|")
    with tempfile.TemporaryDirectory() as temporary:
        work = Path(temporary)
        pictures = options.pictures or work / "pictures"
        if options.pictures is None:
            write_portraits(pictures, PICTURES, seed=8_000_000)
        for name in CLASSES:
            checkpoint = Path(given.get(name, work / f"{name}.pth"))
            if name not in given:
                checkpoint.write_bytes(untrained_checkpoint(name))
            bundle = bundle_of(name, checkpoint, pictures, work / name, untrained=name not in given)
            fp32 = bundle.variant("fp32").size_bytes
            for variant in bundle.variants.values():
                error = max(figures["max_abs"] for figures in variant.parity["outputs"].values())
                iou = f"{variant.parity['mask_iou']:.4f}" if not bundle.untrained else ""
                cells = [
                    name,
                    "random" if bundle.untrained else "trained",
                    variant.precision,
                    str(variant.size_bytes),
                ]
                cells += [f"{variant.size_bytes / fp32:.3f}", f"{error:.1e}", iou]
                print(f"| {' | '.join(cells)} |", flush=True)


if __name__ == "__main__":
    main()
