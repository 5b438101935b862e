"""The networks of this package, by name. Torch is imported only where one is made."""

from __future__ import annotations

import importlib
import io
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from torch import Tensor, nn

FOLDER = Path(__file__).parent
CLASSES = {
    "seg_matting": "SegMatting",
    "mobilenet_dilate_unet": "MobilenetDilateUnet",
    "shuffle_seg_skipnet": "ShuffleSegSkipnet",
    "esp_dense_seg": "EspDenseSeg",
    "residualdense_bisenet": "ResidualdenseBisenet",
}

SIDE = 256  # of the pictures that networks take, pixels
FIXED_SIDE = {"residualdense_bisenet": 512}  # its pooling kernels fit this side alone

# The norm that several places of shuffle_seg_skipnet and of esp_dense_seg share, by its name in both.
SHARED_NORM = "bn_"


def side(name: str) -> int:
    """Return the side of the square pictures that a network is meant for, pixels."""
    return FIXED_SIDE.get(name, SIDE)


def create(name: str) -> nn.Module:
    """Return a new network with random weights, those of torch's current seed."""
    network: nn.Module = getattr(importlib.import_module(f"models.{name}"), CLASSES[name])()
    return network


def description(name: str) -> Path:
    """Return the TOML file that says what a network takes and gives."""
    return FOLDER / f"{name}.toml"


def matte_of(outputs: Tensor | tuple[Tensor, Tensor]) -> Tensor:
    """Return the alphas, N x 1 x H x W in 0..1, among a network's outputs: (seg, alpha), or the mask's logits."""
    return outputs[1] if isinstance(outputs, tuple) else outputs.sigmoid()


def untrained_checkpoint(name: str, seed: int = 0) -> bytes:
    """Return a checkpoint file of a network that was never trained, the same for the same seed.

    The statistics of its batch norms are random too, so that they do something. With it a network's speed, size and
    conversion can be looked at; what it computes means nothing.
    """
    import torch

    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        network = create(name)
        for module in network.modules():
            if isinstance(module, torch.nn.BatchNorm2d):
                assert module.running_var is not None  # noqa: S101 - these networks track statistics
                assert module.running_mean is not None  # noqa: S101
                torch.nn.init.uniform_(module.running_var, 0.5, 1.5)
                torch.nn.init.normal_(module.running_mean, 0, 0.1)
    buffer = io.BytesIO()
    torch.save({"epoch": 0, "state_dict": network.state_dict()}, buffer)
    return buffer.getvalue()
