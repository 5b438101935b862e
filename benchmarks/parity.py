"""How right and how small the converted networks are: all five, every precision, on this computer.

    python benchmarks/parity.py [--checkpoint seg_matting=FILE.pth] [--pictures DIR]

seg_matting has its trained weights; the others have seeded random ones, so that their size and fp32 error mean
something and their accuracy does not. Pictures to calibrate on are drawn by models.synthetic unless given.
"""

from __future__ import annotations

import argparse
import tempfile
from pathlib import Path

import torch

import models
from mobiledeploy.bundle import Bundle
from mobiledeploy.convert import ConvertRequest, convert
from mobiledeploy.convert.request import PRECISIONS
from mobiledeploy.source.network import load_network
from models.synthetic import write_portraits

NETWORKS = {
    "seg_matting": "SegMatting",
    "mobilenet_dilate_unet": "MobilenetDilateUnet",
    "shuffle_seg_skipnet": "ShuffleSegSkipnet",
    "esp_dense_seg": "EspDenseSeg",
    "residualdense_bisenet": "ResidualdenseBisenet",
}
FOLDER = Path(models.__file__).parent
PICTURES = 16


def random_checkpoint(name: str, path: Path) -> Path:
    """Save a network with seeded random weights and statistics, so that batch norm does something."""
    torch.manual_seed(0)
    network = load_network(f"models.{name}:{NETWORKS[name]}")
    for module in network.modules():
        if isinstance(module, torch.nn.BatchNorm2d):
            torch.nn.init.uniform_(module.running_var, 0.5, 1.5)
            torch.nn.init.normal_(module.running_mean, 0, 0.1)
    torch.save({"state_dict": network.state_dict()}, path)
    return path


def bundle_of(name: str, checkpoint: Path, pictures: Path, output: Path) -> Bundle:
    """Convert one network to every precision."""
    request = ConvertRequest(
        source=checkpoint,
        output=output,
        name=name,
        precisions=PRECISIONS,
        model=f"models.{name}:{NETWORKS[name]}",
        calibration=pictures,
    )
    return convert(request.described_by(FOLDER / f"{name}.toml"))[0]


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
        for name in NETWORKS:
            checkpoint = Path(given[name]) if name in given else random_checkpoint(name, work / f"{name}.pth")
            bundle = bundle_of(name, checkpoint, pictures, work / name)
            fp32 = bundle.variant("fp32").size_bytes
            for variant in bundle.variants.values():
                error = max(figures["max_abs"] for figures in variant.parity["outputs"].values())
                iou = f"{variant.parity['mask_iou']:.4f}" if name in given else ""
                cells = [
                    name,
                    "trained" if name in given else "random",
                    variant.precision,
                    str(variant.size_bytes),
                ]
                cells += [f"{variant.size_bytes / fp32:.3f}", f"{error:.1e}", iou]
                print(f"| {' | '.join(cells)} |", flush=True)


if __name__ == "__main__":
    main()
