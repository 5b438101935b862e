"""The networks by name, and checkpoints of untrained ones."""

from __future__ import annotations

import io
import subprocess
import sys
from collections import Counter

import torch

from models.networks import SHARED_NORM, create, description, untrained_checkpoint


def test_untrained_weights_are_those_of_the_seed(network):
    first = untrained_checkpoint(network)
    assert untrained_checkpoint(network) == first
    assert untrained_checkpoint(network, seed=1) != first


def test_an_untrained_checkpoint_fits_its_network_and_its_norms_do_something(network):
    saved = torch.load(io.BytesIO(untrained_checkpoint(network)), weights_only=True)
    assert set(saved) == {"epoch", "state_dict"}
    net = create(network)
    net.load_state_dict(saved["state_dict"], strict=True)
    norms = [module for module in net.modules() if isinstance(module, torch.nn.BatchNorm2d)]
    assert norms
    for norm in norms:
        assert norm.running_var.min() >= 0.5
        assert norm.running_var.max() <= 1.5
        assert norm.running_mean.abs().max() > 0
    assert description(network).is_file()


def test_no_norm_is_shared_but_the_one_that_is_known(network, net, side):
    calls = Counter()
    for name, module in net.named_modules():
        if isinstance(module, torch.nn.BatchNorm2d):
            module.register_forward_hook(lambda *_, name=name: calls.update([name]))
    with torch.inference_mode():
        net(torch.zeros(1, 3, side, side))
    shared = {name for name, count in calls.items() if count > 1}
    assert shared == ({SHARED_NORM} if network in ("shuffle_seg_skipnet", "esp_dense_seg") else set())


def test_torchs_own_seed_is_left_alone():
    torch.manual_seed(5)
    expected = torch.rand(3)
    torch.manual_seed(5)
    untrained_checkpoint("esp_dense_seg")
    assert torch.equal(torch.rand(3), expected)


def test_names_are_known_without_torch():
    program = "import sys, models.networks; sys.exit('torch' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", program], check=False).returncode == 0
