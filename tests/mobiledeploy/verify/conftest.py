from __future__ import annotations

import dataclasses
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

SIDE = 32  # of the small network


@pytest.fixture(scope="session")
def labelled(workshop: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder of three pictures, frame1, frame2 and frame10, of which the first two have their matte."""
    folder = tmp_path_factory.mktemp("labelled")
    pictures = sorted((workshop / "pictures").iterdir())
    for name, picture in zip(("frame1", "frame2", "frame10"), pictures, strict=False):
        with Image.open(picture) as image:
            image.convert("RGB").save(folder / f"{name}.png")
    columns = np.linspace(0, 255, 40).astype(np.uint8)
    for name, matte in (("frame1", columns), ("frame2", columns[::-1])):
        Image.fromarray(np.ascontiguousarray(np.broadcast_to(matte, (48, 40)))).save(
            folder / f"{name}_alpha.png"
        )
    return folder


@pytest.fixture
def lacking(tiny_bundle):
    """Make the bundle as it would be without its "mask" or its "training"; "" lacks nothing."""

    def make(what: str):
        if what == "mask":
            return dataclasses.replace(tiny_bundle, matte=None)
        return dataclasses.replace(
            tiny_bundle, manifest={**tiny_bundle.manifest, "untrained": what == "training"}
        )

    return make
