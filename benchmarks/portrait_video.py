"""How many frames a second `mobiledeploy portrait` makes of a video, decoding and encoding included.

    python benchmarks/portrait_video.py [BUNDLE] [--background blur] [--precision fp32]

The clip is drawn: 10 s at 640x480, 30 frames/s, a portrait of models.synthetic before which the camera moves.
Without BUNDLE the shipped network is converted first. The process is kept to two cores where it has more.
"""

from __future__ import annotations

import argparse
import os
import statistics
import tempfile
import time
from pathlib import Path

import av
import numpy as np
from PIL import Image

from mobiledeploy.bundle import open_bundle
from mobiledeploy.demo import convert_shipped
from mobiledeploy.portrait import HostNetwork, Studio, background_of, portrait
from models.synthetic import portrait as drawn

SIZE, RATE, SECONDS = (640, 480), 30, 10
SEED = 9_000_001
TARGET = 15.0  # frames/s
CORES = 2
ROUNDS = 3


def draw_clip(path: Path) -> None:
    """Write the clip: a window of 4:3 that sways over a larger picture."""
    width, height = SIZE
    scene = Image.fromarray(drawn(SEED, 512)[0]).resize((width + 120, width + 120))
    with av.open(str(path), "w") as container:
        stream = container.add_stream("libx264", rate=RATE, options={"crf": "18"})
        stream.width, stream.height, stream.pix_fmt = width, height, "yuv420p"
        for number in range(RATE * SECONDS):
            left = round(60 + 60 * np.sin(number / 20))
            window = scene.crop((left, 40, left + width, 40 + height))
            container.mux(stream.encode(av.VideoFrame.from_image(window)))
        container.mux(stream.encode(None))


def main() -> None:
    """Measure and print a Markdown table."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("bundle", nargs="?", type=Path)
    parser.add_argument("--background", default="grey")
    parser.add_argument("--precision", default="fp32")
    options = parser.parse_args()
    if hasattr(os, "sched_setaffinity"):
        os.sched_setaffinity(0, sorted(os.sched_getaffinity(0))[:CORES])
    with tempfile.TemporaryDirectory() as temporary:
        folder = Path(temporary)
        bundle = open_bundle(options.bundle) if options.bundle else convert_shipped(folder, lambda *_: None)
        studio = Studio(HostNetwork(bundle, options.precision), background_of(options.background))
        clip, target = folder / "clip.mp4", folder / "out.mp4"
        draw_clip(clip)
        rates, cpu = [], []
        for _ in range(ROUNDS):
            start, start_cpu = time.perf_counter(), time.process_time()
            made = portrait(clip, target, studio, lambda *_: None)
            rates.append(made.frames / (time.perf_counter() - start))
            cpu.append((time.process_time() - start_cpu) / made.frames * 1000)
    print("| network | precision | background | frames/s, median of 3 | target | CPU ms a frame |")
    print("|---|---|---|---:|---:|---:|")
    row = (bundle.name, options.precision, options.background, f"{statistics.median(rates):.1f}")
    print(f"| {' | '.join(row)} | {TARGET:g} | {statistics.median(cpu):.0f} |")


if __name__ == "__main__":
    main()
