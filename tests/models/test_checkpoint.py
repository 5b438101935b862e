"""The committed checkpoint: it loads safely, is sound, and does what its card says."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch

import models
from models.dataset import synthetic_pictures
from models.evaluate import HELD_OUT_SEED, evaluate, preprocessing_of
from models.seg_matting import SegMatting
from models.train import TRAINING_SEED

CHECKPOINT = Path(models.__file__).parent / "checkpoints" / "seg_matting.pth"


@pytest.fixture(scope="module")
def state() -> dict[str, torch.Tensor]:
    saved = torch.load(CHECKPOINT, map_location="cpu", weights_only=True)
    assert set(saved) == {"epoch", "state_dict"}
    return saved["state_dict"]


def test_it_is_small():
    assert CHECKPOINT.stat().st_size <= 4 * 1024**2


def test_all_values_are_finite_and_statistics_sane(state):
    for key, value in state.items():
        assert torch.isfinite(value).all(), key
        if key.endswith("running_var"):
            assert (value > 0).all(), key


def test_weights_are_fp32(state):
    assert {v.dtype for k, v in state.items() if not k.endswith("num_batches_tracked")} == {torch.float32}


def test_held_out_portraits_reach_the_iou_of_the_card(state):
    count = 16
    assert HELD_OUT_SEED + count < TRAINING_SEED
    net = SegMatting().eval()
    net.load_state_dict(state, strict=True)
    scores = evaluate(
        net, preprocessing_of("seg_matting"), synthetic_pictures(HELD_OUT_SEED, count, 256, workers=1)
    )
    assert scores.iou >= 0.95
    assert scores.mean_error <= 0.03
