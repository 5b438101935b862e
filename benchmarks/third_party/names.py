"""Names of the networks: 48 of torchvision, timm and segmentation_models_pytorch, and the five portrait networks."""

from __future__ import annotations

import argparse

from models.networks import CLASSES

PORTRAIT_PREFIX = "portrait_"

TORCHVISION = (
    "mobilenet_v2",
    "mobilenet_v3_large",
    "mobilenet_v3_small",
    "shufflenet_v2_x1_0",
    "mnasnet1_0",
    "efficientnet_b0",
    "regnet_y_400mf",
    "resnet18",
    "squeezenet1_1",
    "densenet121",
    "googlenet",
    "vit_b_16",
    "swin_t",
    "convnext_tiny",
)
TORCHVISION_SEGMENTERS = ("deeplabv3_mobilenet_v3_large", "lraspp_mobilenet_v3_large", "fcn_resnet50")
TIMM = (
    "mobileone_s0",
    "repvit_m0_9",
    "fastvit_t8",
    "ghostnet_100",
    "ghostnetv2_100",
    "efficientformer_l1",
    "efficientformerv2_s0",
    "mobilenetv4_conv_small",
    "mobilenetv4_hybrid_medium",
    "starnet_s1",
    "hardcorenas_a",
    "efficientvit_b0",
    "poolformer_s12",
    "mobilevit_xxs",
    "mobilevitv2_050",
    "edgenext_xx_small",
    "tiny_vit_5m_224",
    "levit_128s",
)
# Networks with branches for training, once more as their authors deploy them.
TIMM_MERGED = {"mobileone_s0_reparameterized": "mobileone_s0", "repvit_m0_9_fused": "repvit_m0_9"}
# The decoder and the encoder of segmentation_models_pytorch.
SMP = {
    "unet_resnet18": ("Unet", "resnet18"),
    "unet_mobilenet_v2": ("Unet", "mobilenet_v2"),
    "unetplusplus_mobilenet_v2": ("UnetPlusPlus", "mobilenet_v2"),
    "manet_mobilenet_v2": ("MAnet", "mobilenet_v2"),
    "linknet_resnet18": ("Linknet", "resnet18"),
    "fpn_mobilenet_v2": ("FPN", "mobilenet_v2"),
    "pspnet_resnet18": ("PSPNet", "resnet18"),
    "pan_resnet18": ("PAN", "resnet18"),
    "deeplabv3plus_mobilenet_v2": ("DeepLabV3Plus", "mobilenet_v2"),
    "upernet_mobilenet_v2": ("UPerNet", "mobilenet_v2"),
    "segformer_mit_b0": ("Segformer", "mit_b0"),
}

THIRD_PARTY = (*TORCHVISION, *TORCHVISION_SEGMENTERS, *TIMM, *TIMM_MERGED, *SMP)
PORTRAIT = tuple(PORTRAIT_PREFIX + name for name in CLASSES)
NAMES = (*THIRD_PARTY, *PORTRAIT)


def selection(text: str) -> list[str]:
    """Read names with commas between them; a type for argparse."""
    names = text.split(",")
    if unknown := [name for name in names if name not in NAMES]:
        raise argparse.ArgumentTypeError(f"no network {', '.join(unknown)}; there are {', '.join(NAMES)}")
    return names
