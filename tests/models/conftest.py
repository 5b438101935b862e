"""The five networks, and the reference data for them where the folder `shared` stands beside the checkout."""

from __future__ import annotations

import csv
import math
import zlib
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from models.networks import CLASSES, create

SHARED = Path(__file__).resolve().parents[2] / "../shared/data"


@pytest.fixture(autouse=True)
def _one_thread() -> None:
    """One thread is enough here, and waiting threads slow a busy computer down."""
    torch.set_num_threads(1)


@pytest.fixture(params=sorted(CLASSES))
def network(request: pytest.FixtureRequest) -> str:
    return str(request.param)


@pytest.fixture
def net(network: str) -> nn.Module:
    """A network with random weights, in eval mode."""
    torch.manual_seed(0)
    return create(network).eval()


@pytest.fixture
def side(network: str) -> int:
    return 512 if network == "residualdense_bisenet" else 256


@pytest.fixture
def shared() -> Path:
    if not SHARED.is_dir():
        pytest.skip("the folder `shared` is not beside this checkout")
    return SHARED


@pytest.fixture
def published_shapes(network: str, shared: Path) -> dict[str, tuple[int, ...]]:
    """The keys and shapes of the published state dict."""
    with (shared / "networks" / f"{network}.tsv").open(newline="") as lines:
        rows = list(csv.reader(lines, delimiter="\t"))
    return {key: tuple(int(n) for n in shape.split("x")) for key, shape in rows}


@pytest.fixture
def filled(net: nn.Module, published_shapes: dict[str, tuple[int, ...]]) -> nn.Module:
    """The network with the weights from which the golden outputs were made."""
    state = {key: torch.from_numpy(_values(key, shape)) for key, shape in published_shapes.items()}
    net.load_state_dict(state, strict=True)
    return net


def _values(key: str, shape: tuple[int, ...]) -> np.ndarray:
    """Return a key's values: random, but set by its name."""
    rng = np.random.default_rng(zlib.crc32(key.encode()))
    kind = key.rsplit(".", 1)[-1]
    if kind == "running_var":
        values = rng.uniform(0.5, 1.5, shape)
    elif kind in ("running_mean", "bias"):
        values = 0.1 * rng.standard_normal(shape)
    elif len(shape) == 1:
        values = rng.uniform(0.3, 1.0, shape)
    else:
        values = rng.standard_normal(shape) * math.sqrt(1.5 / math.prod(shape[1:]))
    return values.astype(np.float32)


@pytest.fixture
def waves(side: int) -> Tensor:
    """The input from which the golden outputs were made, 1 x 3 x side x side."""
    y, x = np.meshgrid(np.arange(side) / side, np.arange(side) / side, indexing="ij")
    planes = (np.sin(6 * x + 2 * y), np.cos(5 * y - x), np.sin(9 * x * y + 1))
    return torch.from_numpy(0.5 * np.stack(planes)[None]).float()


@pytest.fixture
def outputs_of() -> Callable[[nn.Module, Tensor], list[np.ndarray]]:
    """A function that returns a network's outputs as a list of arrays."""

    def run(net: nn.Module, x: Tensor) -> list[np.ndarray]:
        with torch.inference_mode():
            outputs = net(x)
        return [output.numpy() for output in (outputs if isinstance(outputs, tuple) else (outputs,))]

    return run
