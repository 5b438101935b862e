"""The networks by name, and checkpoints of untrained ones."""

from __future__ import annotations

import io
import subprocess
import sys

import torch

from models.networks import create, description, untrained_checkpoint


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


def test_torchs_own_seed_is_left_alone():
    torch.manual_seed(5)
    expected = torch.rand(3)
    torch.manual_seed(5)
    untrained_checkpoint("esp_dense_seg")
    assert torch.equal(torch.rand(3), expected)


def test_names_are_known_without_torch():
    program = "import sys, models.networks; sys.exit('torch' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", program], check=False).returncode == 0
