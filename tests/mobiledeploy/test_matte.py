from __future__ import annotations

import numpy as np
import pytest
import torch

from mobiledeploy.errors import UsageError
from mobiledeploy.matte import Matte

LOGITS = np.random.default_rng(0).normal(0, 4, (2, 2, 3, 5)).astype(np.float32)


def test_an_alpha_is_clipped_and_loses_its_channel_axis() -> None:
    values = np.array([[[[-0.25, 0.25, 1.25]]]], np.float32)
    np.testing.assert_array_equal(Matte("a").alpha({"a": values}), [[[0, 0.25, 1]]])
    np.testing.assert_array_equal(Matte("a").alpha({"a": values[0]}), [[[0, 0.25, 1]]])


def test_logits_as_torch_has_them() -> None:
    one = LOGITS[:, :1]
    sigmoid = Matte("m", "sigmoid").alpha({"m": one, "other": LOGITS})
    np.testing.assert_allclose(sigmoid, torch.from_numpy(one).sigmoid()[:, 0], atol=1e-6)
    softmax = Matte("m", "softmax").alpha({"m": LOGITS})
    np.testing.assert_allclose(softmax, torch.from_numpy(LOGITS).softmax(1)[:, -1], atol=1e-6)
    assert sigmoid.dtype == softmax.dtype == np.float32


@pytest.mark.filterwarnings("error")
def test_huge_logits_do_not_overflow() -> None:
    huge = np.array([-3e38, -1e4, 0, 1e4, 3e38], np.float32).reshape(1, 1, 1, 5)
    expected = [[[0, 0, 0.5, 1, 1]]]
    np.testing.assert_array_equal(Matte("m", "sigmoid").alpha({"m": huge}), expected)
    both = np.concatenate([np.zeros_like(huge), huge], axis=1)
    np.testing.assert_array_equal(Matte("m", "softmax").alpha({"m": both}), expected)


@pytest.mark.parametrize(
    ("activation", "shape"),
    [("none", (1, 2, 4, 4)), ("sigmoid", (1, 3, 4, 4)), ("softmax", (1, 1, 4, 4)), ("none", (1, 10))],
)
def test_an_output_of_another_kind_is_refused(activation: str, shape: tuple[int, ...]) -> None:
    with pytest.raises(UsageError, match="x".join(map(str, shape))):
        Matte("m", activation).alpha({"m": np.zeros(shape, np.float32)})


def test_an_unknown_activation_is_refused() -> None:
    with pytest.raises(UsageError, match="relu"):
        Matte("m", "relu")
