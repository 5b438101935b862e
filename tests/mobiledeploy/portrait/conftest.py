"""A network that takes whatever is red for the person, so that tests know what it has to find; and media of that."""

from __future__ import annotations

from fractions import Fraction
from pathlib import Path
from types import SimpleNamespace

import av
import numpy as np
import pytest
import torch
from PIL import Image

from mobiledeploy.convert import ConvertRequest, convert
from mobiledeploy.portrait import HostNetwork, Studio
from mobiledeploy.portrait.compose import grey
from mobiledeploy.preprocessing import Preprocessing

NETWORK = """
from torch import nn


class Red(nn.Sequential):
    def __init__(self):
        super().__init__(nn.Conv2d(3, 1, 1))
"""
SIDE = 64
SIZE = (160, 120)
PERSON = (slice(40, 120), slice(50, 110))  # rows and columns
INSIDE = (slice(64, 96), slice(74, 86))  # far enough from the edge that alpha is 1
OUTSIDE = (slice(0, 120), slice(0, 24))  # and 0


@pytest.fixture(scope="session")
def red_bundle(tmp_path_factory: pytest.TempPathFactory):
    folder = tmp_path_factory.mktemp("red")
    (folder / "red.py").write_text(NETWORK)
    # The logit is 60 (red - 0.5): red pixels give 1, others 0.
    weights = {"0.weight": torch.tensor([60.0, 0, 0]).reshape(1, 3, 1, 1), "0.bias": torch.tensor([-30.0])}
    torch.save(weights, folder / "red.pth")
    request = ConvertRequest(
        source=folder / "red.pth",
        output=folder / "bundle",
        name="red",
        precisions=("fp32", "fp16"),
        model=f"{folder / 'red.py'}:Red",
        input_shapes=((1, 3, SIDE, SIDE),),
        output_names=("logit",),
        mask="logit",
        mask_activation="sigmoid",
        preprocessing=Preprocessing((SIDE, SIDE)),
    )
    return convert(request)[0]


@pytest.fixture(scope="session")
def network(red_bundle) -> HostNetwork:
    return HostNetwork(red_bundle, "fp32")


@pytest.fixture
def studio(network: HostNetwork) -> Studio:
    return Studio(network, grey)


def scene(seed: int = 0) -> np.ndarray:
    """A red person in noise that is not: uint8, 120 x 160 x 3."""
    generator = np.random.default_rng(seed)
    picture = generator.integers(0, 60, (SIZE[1], SIZE[0], 3), np.uint8)
    picture[..., 1:] += generator.integers(0, 120, (SIZE[1], SIZE[0], 2), np.uint8)
    picture[..., 0][PERSON] = generator.integers(200, 256, (SIZE[1], SIZE[0]), np.uint8)[PERSON]
    return picture


def assert_painted(result: np.ndarray, original: np.ndarray, tolerance: int = 0) -> None:
    """The person has the original's colours and the background none."""
    np.testing.assert_allclose(result[INSIDE].astype(int), original[INSIDE].astype(int), atol=tolerance)
    assert np.ptp(result[OUTSIDE].astype(int), axis=2).max() <= tolerance


def quiet(_step: str, _done: int, _total: int) -> None:
    """Progress that nobody looks at."""


def block(colour: tuple[int, int, int], background: tuple[int, int, int]) -> Image.Image:
    """The person in one colour before another, as codecs keep them."""
    picture = np.empty((SIZE[1], SIZE[0], 3), np.uint8)
    picture[:] = background
    picture[PERSON] = colour
    return Image.fromarray(picture)


def write_video(
    path: Path,
    pictures: list[Image.Image],
    *,
    encoder: str = "libx264",
    pixels: str = "yuv420p",
    rate: Fraction = Fraction(25),
    times: list[int] | None = None,
    sound: str | None = None,
    **colours: int,
) -> Path:
    """Write a video; `times` are in ms. `sound` is an encoder for half a second of a tone."""
    with av.open(str(path), "w") as container:
        stream = container.add_stream(encoder, rate=rate)
        stream.width, stream.height = pictures[0].size
        stream.pix_fmt = pixels
        for name, value in colours.items():
            setattr(stream.codec_context, name, value)
        if times:
            stream.codec_context.time_base = Fraction(1, 1000)
        tone = container.add_stream(sound, rate=48000, layout="mono") if sound else None
        for number, picture in enumerate(pictures):
            frame = av.VideoFrame.from_image(picture)
            if "colorspace" in colours:
                frame = frame.reformat(format=pixels, dst_colorspace=colours["colorspace"])
            if times:
                frame.pts, frame.time_base = times[number], Fraction(1, 1000)
            container.mux(stream.encode(frame))
        container.mux(stream.encode(None))
        if tone is not None:
            wave = np.sin(np.arange(24_000) / 20).astype(np.float32)[None]
            samples = (wave * 20_000).astype(np.int16)
            frame = av.AudioFrame.from_ndarray(samples, format="s16", layout="mono")
            frame.sample_rate, frame.pts = 48000, 0
            for resampled in av.AudioResampler(tone.format, "mono", 48000, frame_size=1024).resample(frame):
                container.mux(tone.encode(resampled))
            container.mux(tone.encode(None))
    return path


def read_video(path: Path) -> tuple[list[np.ndarray], list[Fraction], SimpleNamespace]:
    """Decode a video: pictures, times in seconds, and its facts."""
    with av.open(str(path)) as container:
        stream = container.streams.video[0]
        frames = list(container.decode(stream))
        facts = SimpleNamespace(
            codec=stream.codec_context.name,
            rate=float(stream.average_rate),
            aspect=stream.sample_aspect_ratio,
            turn=frames[0].rotation,
            matrix=int(frames[0].colorspace),
            sounds=len(container.streams.audio),
        )
        pictures = [frame.to_ndarray(format="rgb24") for frame in frames]
        return pictures, [frame.pts * frame.time_base for frame in frames], facts


@pytest.fixture(scope="session")
def media() -> SimpleNamespace:
    """The functions above."""
    return SimpleNamespace(
        size=SIZE,
        scene=scene,
        block=block,
        quiet=quiet,
        assert_painted=assert_painted,
        write_video=write_video,
        read_video=read_video,
    )
