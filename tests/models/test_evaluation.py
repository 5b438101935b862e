"""The figures against cases worked out by hand, and the command."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
from torch import nn

from models.dataset import Preprocessing
from models.evaluate import evaluate, main, mask_iou
from models.networks import FIXED_SIDE, create, matte_of
from models.seg_matting import SegMatting
from models.synthetic import write_portraits

PLAIN = Preprocessing("rgb", (0, 0, 0), 1 / 255)


class RedIsAlpha(nn.Module):
    """Takes the red channel for alpha."""

    def __init__(self) -> None:
        super().__init__()
        self.unused = nn.Parameter(torch.zeros(1))

    def forward(self, x: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        return x[:, :2], x[:, :1]


def picture(guess: np.ndarray, truth: np.ndarray) -> np.ndarray:
    zero = np.zeros_like(guess)
    return np.dstack([guess, zero, zero, truth]).astype(np.uint8)


def test_iou_of_masks():
    a = np.array([1, 1, 1, 0], bool)
    b = np.array([0, 1, 1, 1], bool)
    assert mask_iou(a, b) == 0.5
    assert mask_iou(a, a) == 1
    assert mask_iou(a, ~a) == 0
    assert mask_iou(a & ~a, a & ~a) == 1


def test_scores_of_known_mattes():
    truth = np.array([[255, 255], [0, 0]])
    right, half, nothing = truth, np.array([[255, 0], [0, 0]]), np.zeros((2, 2), int)
    scores = evaluate(
        RedIsAlpha(), PLAIN, [picture(right, truth), picture(half, truth), picture(half, nothing)]
    )
    assert scores.pictures == 3
    assert scores.iou == pytest.approx(0.75)
    assert scores.worst_iou == pytest.approx(0.5)
    assert scores.mean_error == pytest.approx((0 + 0.25 + 0.25) / 3)
    assert scores.empty == 1
    assert scores.false_area == pytest.approx(0.25)


def test_evaluation_leaves_the_mode_alone():
    net = RedIsAlpha().train()
    evaluate(net, PLAIN, [])
    assert net.training


def test_logits_become_alpha_through_the_sigmoid():
    """Logits of 0 are no mask; those of red minus a half are one where red is above a half."""

    class Logits(RedIsAlpha):
        def forward(self, x: torch.Tensor) -> torch.Tensor:
            return 20 * (x[:, :1] - 0.5)

    truth = np.array([[255, 255], [0, 0]])
    scores = evaluate(Logits(), PLAIN, [picture(truth, truth)])
    assert scores.iou == 1
    assert scores.mean_error == pytest.approx(1 / (1 + np.exp(10)), rel=1e-3)


def test_every_network_gives_one_map_of_alphas(network, net, side):
    with torch.inference_mode():
        alpha = matte_of(net(torch.randn(1, 3, side, side)))
    assert alpha.shape == (1, 1, side, side)
    assert alpha.min() >= 0
    assert alpha.max() <= 1


def test_the_command_reads_a_checkpoint_and_a_folder(network, tmp_path, capsys):
    torch.save({"epoch": 0, "state_dict": create(network).state_dict()}, tmp_path / "net.pth")
    write_portraits(tmp_path / "photos", 2, seed=0, size=64)
    size = [] if network in FIXED_SIDE else ["--size", "64"]
    main([str(tmp_path / "net.pth"), "--network", network, "--data", str(tmp_path / "photos"), *size])
    assert capsys.readouterr().out.startswith("2 pictures: mask IoU mean 0.")


def garbage(path: Path) -> None:
    path.write_bytes(b"not a checkpoint")


def truncated(path: Path) -> None:
    torch.save({"epoch": 0, "state_dict": SegMatting().state_dict()}, path)
    path.write_bytes(path.read_bytes()[:5000])


def other_weights(path: Path) -> None:
    torch.save({"epoch": 0, "state_dict": {"weight": torch.zeros(1)}}, path)


def whole_module(path: Path) -> None:
    torch.save(nn.Linear(1, 1), path)


@pytest.mark.parametrize("write", [lambda path: None, garbage, truncated, other_weights, whole_module])
def test_a_bad_checkpoint_is_an_error_without_a_traceback(write, tmp_path, capsys):
    write(tmp_path / "net.pth")
    with pytest.raises(SystemExit) as stop:
        main([str(tmp_path / "net.pth"), "--count", "1", "--size", "32"])
    assert stop.value.code == 1
    assert "net.pth" in capsys.readouterr().err


def test_a_folder_without_photos_is_an_error(tmp_path, capsys):
    torch.save({"epoch": 0, "state_dict": SegMatting().state_dict()}, tmp_path / "net.pth")
    with pytest.raises(SystemExit) as stop:
        main([str(tmp_path / "net.pth"), "--data", str(tmp_path)])
    assert stop.value.code == 1
    assert "NAME_alpha.png" in capsys.readouterr().err


def test_a_size_that_the_network_cannot_take_is_a_usage_error(tmp_path, capsys):
    with pytest.raises(SystemExit) as stop:
        main([str(tmp_path / "net.pth"), "--network", "residualdense_bisenet", "--size", "256"])
    assert stop.value.code == 2
    assert "512" in capsys.readouterr().err
