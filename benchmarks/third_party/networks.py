"""Make the networks of `names`.

Nothing is downloaded: weights are random and seeded, and randomized where initialization leaves them constant, so
that no normalization, bias or layer scale is trivial.
"""

from __future__ import annotations

import io
import sys
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import torch
from torch import Tensor, nn

from benchmarks.third_party.names import (
    PORTRAIT,
    PORTRAIT_PREFIX,
    SMP,
    TIMM,
    TIMM_MERGED,
    TORCHVISION,
    TORCHVISION_SEGMENTERS,
)
from models.networks import FOLDER, side, untrained_checkpoint
from models.networks import create as create_portrait

CLASSIFIER_SIDE = 224
SEGMENTER_SIDE = 256


@dataclass(frozen=True)
class Network:
    """A network in evaluation mode and the shape of the one input that it is converted for."""

    module: nn.Module
    input_shape: tuple[int, int, int, int]


class _Mask(nn.Module):
    """A torchvision segmenter's mask alone, out of the dictionary that it returns."""

    def __init__(self, network: nn.Module) -> None:
        super().__init__()
        self.network = network

    def forward(self, image: Tensor) -> Tensor:
        """Return the logits of every class, N x classes x H x W."""
        mask: Tensor = self.network(image)["out"]
        return mask


def _torchvision_classifier(name: str) -> nn.Module:
    import torchvision

    # GoogLeNet's own initialization takes most of a minute, and its auxiliary heads serve training alone.
    extra = {"init_weights": False, "aux_logits": False} if name == "googlenet" else {}
    network: nn.Module = torchvision.models.get_model(name, weights=None, **extra)
    return network


def _torchvision_segmenter(name: str) -> nn.Module:
    import torchvision

    return _Mask(torchvision.models.get_model(name, weights=None, weights_backbone=None))


def _timm(name: str) -> nn.Module:
    import timm

    network: nn.Module = timm.create_model(name, pretrained=False)
    return network


def _smp(name: str) -> nn.Module:
    import segmentation_models_pytorch as smp

    decoder, encoder = SMP[name]
    network: nn.Module = getattr(smp, decoder)(encoder_name=encoder, encoder_weights=None)
    return network


_MAKERS: dict[str, tuple[Callable[[str], nn.Module], int]] = {
    **dict.fromkeys(TORCHVISION, (_torchvision_classifier, CLASSIFIER_SIDE)),
    **dict.fromkeys(TORCHVISION_SEGMENTERS, (_torchvision_segmenter, SEGMENTER_SIDE)),
    **dict.fromkeys(TIMM, (_timm, CLASSIFIER_SIDE)),
    **dict.fromkeys(SMP, (_smp, SEGMENTER_SIDE)),
}


def create(name: str, seed: int = 0) -> Network:
    """Return one of `names.NAMES`, the same for the same seed."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        if name in PORTRAIT:
            return _portrait(name.removeprefix(PORTRAIT_PREFIX))
        _import_torchvision()
        origin = TIMM_MERGED.get(name, name)
        make, pixels = _MAKERS[origin]
        network = Network(make(origin).eval(), (1, 3, pixels, pixels))
        _randomize(network)
    if name in TIMM_MERGED:
        from timm.utils.model import reparameterize_model

        return Network(reparameterize_model(network.module), network.input_shape)
    return network


def _portrait(name: str) -> Network:
    """Return a portrait network: with its trained weights where there are some."""
    trained = FOLDER / "checkpoints" / f"{name}.pth"
    content: Path | io.BytesIO = trained if trained.is_file() else io.BytesIO(untrained_checkpoint(name))
    module = create_portrait(name)
    module.load_state_dict(torch.load(content, map_location="cpu", weights_only=True)["state_dict"])
    return Network(module.eval(), (1, 3, side(name), side(name)))


@torch.no_grad()
def _randomize(network: Network) -> None:
    """Make every constant parameter random, and every batch norm's statistics near those of its real input.

    Initialization leaves norms at 1 and 0, biases and attention tables at 0 and layer scales at 1e-6 or so: with
    these a wrong conversion of them would not show. With statistics far from the real ones, activations of deep
    networks would vanish or overflow, and a relative error mean nothing. Biases of batch norms are near 0.5: near 0, a
    random network amplifies the rounding of each layer, until float32 itself is 1e-4 off.
    """
    for parameter in network.module.parameters():
        if parameter.min() == parameter.max():
            if parameter.flatten()[0] == 0:
                nn.init.normal_(parameter, 0, 0.1)
            else:
                nn.init.uniform_(parameter, 0.5, 1.5)
    norms = [
        module for module in network.module.modules() if isinstance(module, nn.modules.batchnorm._BatchNorm)
    ]
    for norm in norms:
        if norm.bias is not None:
            nn.init.normal_(norm.bias, 0.5, 0.25)
    hooks = [norm.register_forward_hook(_settle) for norm in norms]
    for norm in norms:
        norm.train()
        norm.momentum = 1.0
    network.module(torch.randn(4, *network.input_shape[1:]))
    for hook in hooks:
        hook.remove()
    network.module.eval()


def _settle(norm: nn.Module, inputs: tuple[Tensor], _output: Tensor) -> Tensor | None:
    """Put a batch norm's statistics beside those just taken of its input; what follows sees the changed output."""
    if not norm.training:  # it is used a second time
        return None
    norm.eval()
    mean, variance = norm.running_mean, norm.running_var
    assert isinstance(mean, Tensor)
    assert isinstance(variance, Tensor)
    # Where the pictures of a batch hardly differ, as after global pooling, their variance alone would be a huge gain.
    variance += 0.1 * mean.square()
    mean += 0.2 * torch.randn_like(mean) * variance.sqrt()
    variance *= torch.empty_like(variance).uniform_(0.5, 1.5)
    output: Tensor = norm.forward(*inputs)
    return output


def _import_torchvision() -> None:
    """Import torchvision, also where its C++ operators were built for another build of torch.

    It then fails as it describes operators that nobody declared, those of detection. No network here needs them.
    """
    try:
        import torchvision
    except RuntimeError as error:
        if "torchvision::nms" not in str(error):
            raise
        for module in [name for name in sys.modules if name.split(".")[0] == "torchvision"]:
            del sys.modules[module]
        library = torch.library.Library("torchvision", "FRAGMENT")
        for operator in ("nms", "qnms"):
            library.define(f"{operator}(Tensor dets, Tensor scores, float iou_threshold) -> Tensor")
        _LIBRARIES.append(library)
        import torchvision  # noqa: F401


_LIBRARIES: list[torch.library.Library] = []  # a declaration lasts as long as its library
