"""Train a portrait network: `python -m models.train NAME --data synthetic|DIR --out OUT`.

OUT gets the pictures as one array, NAME.last.pt after each evaluation (run the same command again to go on
from there: on a CPU the result is the same, bit for bit, as without the break), and NAME.pth, the averaged
weights as {epoch, state_dict}. The networks can share one OUT. A GPU is used where torch sees one.
"""

from __future__ import annotations

import argparse
import copy
import logging
import math
import os
import pickle
import time
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch

from models.dataset import Pictures, batch, gather, photos_in, read_photo, resized, synthetic_pictures
from models.evaluate import HELD_OUT_SEED, evaluate, load, preprocessing_of
from models.losses import training_loss
from models.networks import CLASSES, FIXED_SIDE, SHARED_NORM, create

TRAINING_SEED = 1_000_000  # synthetic portraits from here on; those below are held out
STAGES = "128:1500,192:500,256:3000"  # side:steps
AVERAGING = 0.998  # of the weights, a step
WARM_UP = 200  # steps to the full learning rate
TOLD_EVERY_S = 30  # seconds between lines of progress

log = logging.getLogger("models.train")


@dataclass(frozen=True)
class Plan:
    """All that decides a training run's result."""

    network: str
    data: str  # "synthetic" or a folder
    out: Path
    pictures: int  # how many synthetic portraits
    held_out: int  # how many pictures to evaluate on
    stages: tuple[tuple[int, int], ...]  # (side of the pictures, steps), one after the other
    batch: int
    rate: float  # highest learning rate
    seed: int
    evaluate_every: int  # steps
    start: Path | None = None  # a checkpoint to start from, instead of random weights

    def __post_init__(self) -> None:
        """Raise ValueError where the network can't take the pictures of a stage."""
        fixed = FIXED_SIDE.get(self.network)
        if fixed is not None and any(size != fixed for size, _ in self.stages):
            raise ValueError(
                f"{self.network} takes pictures of {fixed} x {fixed} only; give stages of {fixed}"
            )

    @property
    def checkpoint(self) -> Path:
        """Where the averaged weights go."""
        return self.out / f"{self.network}.pth"

    @property
    def state(self) -> Path:
        """Where all goes that it takes to go on."""
        return self.out / f"{self.network}.last.pt"

    @property
    def steps(self) -> int:
        """Steps of all stages."""
        return sum(steps for _, steps in self.stages)

    @property
    def largest(self) -> int:
        """The side at which pictures are kept."""
        return max(size for size, _ in self.stages)

    def size_at(self, step: int) -> int:
        """Return the side of the pictures at a step."""
        for size, steps in self.stages:
            if step < steps:
                return size
            step -= steps
        return self.stages[-1][0]

    def rate_at(self, step: int) -> float:
        """Return the learning rate: a linear warm-up, then half a cosine (Loshchilov and Hutter 2017)."""
        warm_up = min(1.0, (step + 1) / WARM_UP)
        return self.rate * warm_up * 0.5 * (1 + math.cos(math.pi * step / self.steps))


class Trainer:
    """A network, the running average of its weights, and its optimizer."""

    def __init__(self, plan: Plan, device: torch.device) -> None:
        torch.manual_seed(plan.seed)
        self.plan, self.device, self.step = plan, device, 0
        # Channels last is a fifth faster on the CPU than channels first.
        net = load(plan.network, plan.start) if plan.start else create(plan.network)
        self.net = net.to(device, memory_format=torch.channels_last)  # type: ignore[call-overload]
        # Its running statistics would be a mixture of all places', and right for none: what was learned with each
        # batch's own would be lost in use. So it is trained as it will run, with the statistics that it has.
        self.shared_norms = [module for name, module in self.net.named_modules() if name == SHARED_NORM]
        self.average = copy.deepcopy(self.net).eval()
        self.preprocess = preprocessing_of(plan.network)
        # Norms, slopes and biases are not decayed: they have one dimension.
        decayed = [p for p in self.net.parameters() if p.ndim > 1]
        others = [p for p in self.net.parameters() if p.ndim <= 1]
        groups = [{"params": decayed, "weight_decay": 0.01}, {"params": others, "weight_decay": 0.0}]
        self.optimizer = torch.optim.AdamW(groups, lr=plan.rate)

    def train_step(self, pictures: tuple[torch.Tensor, torch.Tensor]) -> float:
        """Take one step on (RGB 0..255, alpha 0..1); return the loss before it."""
        rgb, truth = (t.to(self.device, memory_format=torch.channels_last) for t in pictures)
        for group in self.optimizer.param_groups:
            group["lr"] = self.plan.rate_at(self.step)
        self.net.train()
        for norm in self.shared_norms:
            norm.eval()
        loss = training_loss(self.net(self.preprocess(rgb)), truth, rgb / 255)
        self.optimizer.zero_grad()
        loss.backward()  # type: ignore[no-untyped-call]
        self.optimizer.step()
        self.step += 1
        self._update_average()
        return float(loss.detach())

    @torch.no_grad()
    def _update_average(self) -> None:
        """Move the averaged weights and statistics towards the network's; faster in the first steps."""
        keep = min(AVERAGING, (1 + self.step) / (10 + self.step))
        for kept, new in zip(self.average.state_dict().values(), self.net.state_dict().values(), strict=True):
            if kept.is_floating_point():
                kept.lerp_(new, 1 - keep)
            else:
                kept.copy_(new)

    def save(self, path: Path) -> None:
        """Save all that it takes to go on."""
        parts = {"net": self.net.state_dict(), "average": self.average.state_dict()}
        _save({**parts, "optimizer": self.optimizer.state_dict(), "step": self.step}, path)

    def restore(self, path: Path) -> None:
        """Go on from what `save` left; ValueError where the file holds something else."""
        try:
            saved = torch.load(path, map_location=self.device, weights_only=True)
            self.net.load_state_dict(saved["net"])
            self.average.load_state_dict(saved["average"])
            self.optimizer.load_state_dict(saved["optimizer"])
            self.step = saved["step"]
        except (EOFError, pickle.UnpicklingError, RuntimeError, KeyError, TypeError) as error:
            raise ValueError(
                f"{path} is no saved state of {self.plan.network}; remove it to begin anew: {error}"
            ) from error

    def export(self, path: Path, pictures: int) -> None:
        """Save the averaged weights as {epoch, state_dict}, fp32, on the CPU."""
        plain = torch.contiguous_format
        weights = {k: v.cpu().clone(memory_format=plain) for k, v in self.average.state_dict().items()}
        _save({"epoch": self.step * self.plan.batch // pictures, "state_dict": weights}, path)


def train(plan: Plan, *, workers: int = 1, until: int | None = None) -> Path:
    """Carry out a plan, from where it was left; return the path of the checkpoint.

    `workers` processes make synthetic portraits. `until` stops early, at a step, as an interrupt would.
    """
    device = torch.device("cuda" if torch.cuda.is_available() else "cpu")
    pictures, held_out = gather_pictures(plan, workers)
    trainer = Trainer(plan, device)
    if plan.state.exists():
        trainer.restore(plan.state)
        log.info("going on from step %d", trainer.step)

    end = plan.steps if until is None else min(until, plan.steps)
    pace, losses = _Pace(trainer), []

    def batch_at(step: int) -> tuple[torch.Tensor, torch.Tensor]:
        return batch(pictures, plan.seed, step, plan.batch, plan.size_at(step))

    with ThreadPoolExecutor(1) as ahead:  # the next batch is made while this one is learned
        coming = ahead.submit(batch_at, trainer.step)
        while trainer.step < end:
            made, coming = coming.result(), ahead.submit(batch_at, trainer.step + 1)
            losses.append(trainer.train_step(made))
            if not math.isfinite(losses[-1]):
                raise FloatingPointError(
                    f"the loss is {losses[-1]} at step {trainer.step}; try a lower --rate"
                )
            if trainer.step % plan.evaluate_every == 0 or trainer.step == end:
                size = plan.size_at(trainer.step - 1)
                scores = evaluate(trainer.average, trainer.preprocess, (resized(p, size) for p in held_out))
                trainer.save(plan.state)
                trainer.export(plan.checkpoint, len(pictures))
                log.info("%s: loss %.4f; held out at %d, %s", pace.line(), np.mean(losses), size, scores)
                losses.clear()
            elif pace.due():
                log.info("%s: loss %.4f", pace.line(), np.mean(losses))
    return plan.checkpoint


class _Pace:
    """Where a training run is, as text, and whether it is time to say so."""

    def __init__(self, trainer: Trainer) -> None:
        self.trainer, self.first = trainer, trainer.step
        self.started = self.told = time.monotonic()

    def due(self) -> bool:
        """Say whether nothing has been said for a while."""
        return time.monotonic() - self.told >= TOLD_EVERY_S

    def line(self) -> str:
        """Return where the run is; from now on it is not due for a while."""
        self.told = time.monotonic()
        step, steps = self.trainer.step, self.trainer.plan.steps
        left = (self.told - self.started) / (step - self.first) * (steps - step)
        return f"step {step}/{steps}, {left / 60:.0f} min left"


def gather_pictures(plan: Plan, workers: int) -> tuple[Pictures, Pictures]:
    """Return the pictures to train and to evaluate on, each N x H x W x 4, made or read once into OUT.

    Of a folder, every tenth photo is held out.
    """

    def progress(done: int, total: int) -> None:
        if done % 250 == 0 or done == total:
            log.info("pictures: %d of %d", done, total)

    size = plan.largest
    if plan.data == "synthetic":
        made = []
        for first, count in ((TRAINING_SEED, plan.pictures), (HELD_OUT_SEED, plan.held_out)):
            path = plan.out / f"synthetic-{first}-{count}-{size}.npy"
            made.append(gather(synthetic_pictures(first, count, size, workers), count, size, path, progress))
        return made[0], made[1]
    photos = photos_in(Path(plan.data))
    if len(photos) < 2:
        raise FileNotFoundError(f"{plan.data} has not two photos NAME.jpg with NAME_alpha.png beside them")
    held_out = photos[::10][: plan.held_out]
    parts = {"train": [p for p in photos if p not in held_out], "held-out": held_out}
    train_set, held_out_set = (
        gather(
            (read_photo(p, size) for p in part), len(part), size, plan.out / f"{name}-{size}.npy", progress
        )
        for name, part in parts.items()
    )
    return train_set, held_out_set


def _save(content: object, path: Path) -> None:
    """Save under a temporary name, then rename."""
    unfinished = path.with_name(f".{path.name}.partial")
    torch.save(content, unfinished)
    unfinished.replace(path)


def _stages(text: str) -> tuple[tuple[int, int], ...]:
    """Parse SIZE:STEPS,SIZE:STEPS."""
    stages = tuple(
        (int(size), int(steps)) for size, _, steps in (part.partition(":") for part in text.split(","))
    )
    if any(size % 32 or size < 32 or steps < 1 for size, steps in stages):
        raise argparse.ArgumentTypeError("sizes are multiples of 32, steps at least 1")
    return stages


def default_stages(network: str) -> tuple[tuple[int, int], ...]:
    """Return the stages for a network: small pictures first where it takes them, which is quicker."""
    stages = _stages(STAGES)
    fixed = FIXED_SIDE.get(network)
    return stages if fixed is None else ((fixed, sum(steps for _, steps in stages)),)


def main(arguments: Sequence[str] | None = None) -> None:
    """Train from the command line."""
    parser = argparse.ArgumentParser(
        prog="python -m models.train",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("network", choices=sorted(CLASSES))
    parser.add_argument(
        "--data", default="synthetic", help="'synthetic', or a folder of NAME.jpg, NAME_alpha.png"
    )
    parser.add_argument("--out", type=Path, required=True, help="folder for pictures, state and checkpoint")
    parser.add_argument("--start", type=Path, help="checkpoint to start from (default: random weights)")
    parser.add_argument("--pictures", type=int, default=5000, help="synthetic portraits (default 5000)")
    parser.add_argument("--held-out", type=int, default=200, help="pictures to evaluate on (default 200)")
    parser.add_argument(
        "--stages",
        type=_stages,
        help=f"SIZE:STEPS,SIZE:STEPS (default {STAGES}; all of a fixed size where it is)",
    )
    parser.add_argument("--batch", type=int, default=8, help="pictures a step (default 8)")
    parser.add_argument("--rate", type=float, default=2e-3, help="highest learning rate (default 0.002)")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--evaluate-every", type=int, default=250, help="steps (default 250)")
    parser.add_argument(
        "--threads", type=int, default=0, help="of torch on the CPU (default: its own choice)"
    )
    parser.add_argument(
        "--workers", type=int, default=os.cpu_count() or 1, help="processes that make pictures"
    )
    options = vars(parser.parse_args(arguments))
    options["stages"] = options["stages"] or default_stages(options["network"])
    threads, workers = options.pop("threads"), options.pop("workers")
    if threads:
        torch.set_num_threads(threads)
    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(message)s")
    try:
        plan = Plan(**options)
    except ValueError as error:
        parser.error(str(error))
    try:
        train(plan, workers=workers)
    except (OSError, ValueError, FloatingPointError) as error:
        parser.exit(1, f"{error}\n")
    except KeyboardInterrupt:
        parser.exit(130, "interrupted; run the same command again to go on\n")


if __name__ == "__main__":
    main()
