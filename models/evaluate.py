"""How good a checkpoint's mattes are: `python -m models.evaluate CHECKPOINT --data synthetic|DIR`."""

from __future__ import annotations

import argparse
import logging
import pickle
import sys
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from torch import nn

from models.dataset import (
    Pictures,
    Preprocessing,
    photos_in,
    read_photo,
    synthetic_pictures,
)
from models.networks import CLASSES, FIXED_SIDE, create, description, matte_of, side

HELD_OUT_SEED = 0  # training takes its seeds from a million on
TOLD_EVERY = 50  # pictures

log = logging.getLogger("models.evaluate")


@dataclass(frozen=True)
class Scores:
    """Figures of mattes against the truth, each the mean over pictures."""

    pictures: int
    iou: float  # of the masks above 0.5, over the pictures with a person in the truth
    worst_iou: float
    mean_error: float  # mean absolute difference of alpha
    empty: int  # pictures with nobody in them
    false_area: float  # share of such a picture that was taken for a person

    def __str__(self) -> str:
        line = (
            f"{self.pictures} pictures: mask IoU mean {self.iou:.4f}, worst {self.worst_iou:.4f}; "
            f"alpha mean absolute error {self.mean_error:.4f}"
        )
        if self.empty:
            line += f"; {self.empty} with nobody: {self.false_area:.4f} of the area taken for a person"
        return line


def preprocessing_of(network: str) -> Preprocessing:
    """Return the preprocessing of a network of this package."""
    return Preprocessing.of_network(description(network))


def load(network: str, checkpoint: Path) -> nn.Module:
    """Return a network with the weights of a file that holds {epoch, state_dict}, on the CPU.

    No code in the file is run. Raises ValueError where it cannot be read or holds no such weights.
    """
    net = create(network)
    try:
        saved = torch.load(checkpoint, map_location="cpu", weights_only=True)
        net.load_state_dict(saved["state_dict"])
    except (OSError, EOFError, pickle.UnpicklingError, RuntimeError, KeyError, TypeError) as error:
        raise ValueError(f"{checkpoint} does not load as a checkpoint of {network}: {error}") from error
    return net


def mask_iou(mask: NDArray[np.bool_], truth: NDArray[np.bool_]) -> float:
    """Return intersection over union of two boolean masks; 1 if both are empty."""
    union = int(np.count_nonzero(mask | truth))
    return int(np.count_nonzero(mask & truth)) / union if union else 1.0


def evaluate(net: nn.Module, preprocess: Preprocessing, pictures: Iterable[Pictures]) -> Scores:
    """Return the scores of a network of this package on pictures, H x W x 4 each."""
    device = next(net.parameters()).device
    training = net.training
    net.eval()
    ious, errors, false_areas = [], [], []
    with torch.inference_mode():
        for picture in pictures:
            rgb = torch.from_numpy(np.ascontiguousarray(picture[..., :3])).permute(2, 0, 1)[None].float()
            alpha = matte_of(net(preprocess(rgb.to(device))))[0, 0].cpu().numpy()
            truth = picture[..., 3].astype(np.float32) / 255
            errors.append(float(np.abs(alpha - truth).mean()))
            if (truth > 0.5).any():
                ious.append(mask_iou(alpha > 0.5, truth > 0.5))
            else:
                false_areas.append(float((alpha > 0.5).mean()))
    net.train(training)
    return Scores(
        pictures=len(errors),
        iou=float(np.mean(ious)) if ious else float("nan"),
        worst_iou=min(ious, default=float("nan")),
        mean_error=float(np.mean(errors)) if errors else float("nan"),
        empty=len(false_areas),
        false_area=float(np.mean(false_areas)) if false_areas else 0.0,
    )


def _counted(pictures: Iterable[Pictures]) -> Iterator[Pictures]:
    """Pass pictures on, and say how many there were, now and then."""
    for done, picture in enumerate(pictures, start=1):
        yield picture
        if done % TOLD_EVERY == 0:
            log.info("%d pictures", done)


def main(arguments: Sequence[str] | None = None) -> None:
    """Evaluate a checkpoint from the command line."""
    parser = argparse.ArgumentParser(prog="python -m models.evaluate", description=__doc__)
    parser.add_argument("checkpoint", type=Path, help="file with {epoch, state_dict}")
    parser.add_argument("--network", choices=sorted(CLASSES), default="seg_matting")
    parser.add_argument(
        "--data", default="synthetic", help="'synthetic', or a folder of NAME.jpg, NAME_alpha.png"
    )
    parser.add_argument("--count", type=int, default=500, help="synthetic portraits (default 500)")
    parser.add_argument(
        "--seed", type=int, default=HELD_OUT_SEED, help="first seed of the synthetic portraits"
    )
    parser.add_argument("--size", type=int, help="side of the input, pixels (default: that of the network)")
    parser.add_argument("--threads", type=int, default=0, help="of torch (default: its own choice)")
    options = parser.parse_args(arguments)
    size = options.size or side(options.network)
    if size != FIXED_SIDE.get(options.network, size):
        parser.error(f"{options.network} takes --size {FIXED_SIDE[options.network]} only")
    if options.threads:
        torch.set_num_threads(options.threads)
    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(message)s")

    if options.data == "synthetic":
        pictures: Iterable[Pictures] = synthetic_pictures(options.seed, options.count, size, workers=1)
    else:
        pictures = (read_photo(photo, size) for photo in photos_in(Path(options.data)))
    try:
        device = "cuda" if torch.cuda.is_available() else "cpu"
        net = load(options.network, options.checkpoint).to(device)
        scores = evaluate(net, preprocessing_of(options.network), _counted(pictures))
    except (OSError, ValueError) as error:
        parser.exit(1, f"{error}\n")
    if not scores.pictures:
        parser.exit(1, f"{options.data} has no NAME.jpg with NAME_alpha.png beside it\n")
    sys.stdout.write(f"{scores}\n")


if __name__ == "__main__":
    main()
