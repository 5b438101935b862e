"""What is lost when a connection is cut at a random moment: of the samples nothing, on the phone nothing is left.

    python benchmarks/connection_cuts.py BUNDLE [--cuts 500] [--seed 1]

Runs a short benchmark on a virtual phone again and again and cuts its connection after a random time, or a random
number of bytes in a random direction, sometimes with the port closed for a while. After each: every sample that the
binary had written down on the phone must be in the host's partial run, no process and no run folder may be left on
the phone once it was reached again. Ends with 1 where that does not hold.
"""

from __future__ import annotations

import argparse
import contextlib
import json
import random
import sys
import tempfile
import threading
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

from mobiledeploy.benchmark import Method, Plan, benchmark
from mobiledeploy.bundle import Bundle, open_bundle
from mobiledeploy.device import Device, open_device
from mobiledeploy.errors import MobileDeployError
from mobiledeploy.phone import VirtualPhone
from mobiledeploy.phone.faults import Cut

PUSHED = "data/local/tmp/mobiledeploy"
METHOD = Method(launches=2, warmup_runs=1, max_warmup_ms=0, min_runs=20, max_runs=200, min_time_ms=300)
PLAN = Plan(precisions=("fp32",), method=METHOD, timeout_s=60, silence_s=5)


def random_cut(choose: random.Random) -> Cut:
    """A cut somewhere in a run: by time or by bytes, most with the port open again at once."""
    down = choose.choice([0.0, 0.0, 0.5])
    if choose.random() < 0.5:
        return Cut(seconds=choose.uniform(0, 1.0), down=down)
    return Cut(bytes=choose.randrange(60_000), direction=choose.choice(["in", "out", "both"]), down=down)


@contextlib.contextmanager
def journals_kept(phone: VirtualPhone, folder: Path) -> Iterator[None]:
    """Keep every journal that appears on the phone, by a hard link: it goes on with the file."""
    stop = threading.Event()

    def watch() -> None:
        while not stop.wait(0.002):
            for journal in (phone.root / PUSHED).glob("run-*/journal.jsonl"):
                with contextlib.suppress(OSError):
                    (folder / f"{journal.parent.name}.jsonl").hardlink_to(journal)

    thread = threading.Thread(target=watch)
    thread.start()
    try:
        yield
    finally:
        stop.set()
        thread.join()


def samples_in(path: Path) -> set[tuple[float, float]]:
    """Return (start, time) of every sample in a file of lines."""
    found = set()
    for line in path.read_text("utf-8", "replace").splitlines():
        if line.startswith('{"sample"') and line.endswith("}}"):
            with contextlib.suppress(ValueError):
                sample = json.loads(line)["sample"]
                found.add((sample["started_ms"], sample["time_ms"]))
    return found


def left_on(phone: VirtualPhone) -> list[str]:
    """Return run folders, and processes of pushed programs, that are still there."""
    left = [path.name for path in (phone.root / PUSHED).glob("run-*")]
    for link in Path("/proc").glob("[0-9]*/exe"):
        with contextlib.suppress(OSError):
            program = str(link.readlink())
            left += [program] if program.startswith(str(phone.root / PUSHED)) else []
    return left


def trial(phone: VirtualPhone, device: Device, bundle: Bundle, cut: Cut) -> tuple[str, int, int, list[str]]:
    """Cut one run; returns how it ended, samples on the phone, those of them lost, and what was left there."""
    with tempfile.TemporaryDirectory() as temporary:
        kept, partial = Path(temporary, "kept"), Path(temporary, "partial")
        kept.mkdir()
        recorded: set[tuple[float, float]] = set()
        with journals_kept(phone, kept), phone.inject(cut):
            try:
                [entry] = benchmark([bundle], device, PLAN, partial_folder=partial).benchmarks
                ended = "finished"
                recorded = set(zip(entry["started_ms"], entry["times_ms"], strict=True))
                warm = {time for launch in entry["launches"] for time in launch["warmup_ms"]}
            except MobileDeployError as error:
                ended, warm = type(error).__name__, set()
        phone.heal()
        for file in partial.glob("*.jsonl"):
            recorded |= samples_in(file)
        written = set().union(*(samples_in(file) for file in kept.iterdir()))
        lost = {sample for sample in written - recorded if sample[1] not in warm}
        device.sweep()  # the next contact
        return ended, len(written), len(lost), left_on(phone)


def main() -> None:
    """Cut, count, and print a Markdown table."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("bundle", type=Path)
    parser.add_argument("--cuts", type=int, default=500)
    parser.add_argument("--seed", type=int, default=1)
    arguments = parser.parse_args()
    choose = random.Random(arguments.seed)
    bundle = open_bundle(arguments.bundle)
    ends: Counter[str] = Counter()
    written = lost = left = 0
    with VirtualPhone() as phone, open_device(phone.serial) as device:
        benchmark([bundle], device, PLAN)
        for number in range(arguments.cuts):
            cut = random_cut(choose)
            ended, samples, missing, remains = trial(phone, device, bundle, cut)
            ends[ended] += 1
            written, lost, left = written + samples, lost + missing, left + len(remains)
            if missing or remains:
                print(f"{number}: {cut}: {missing} lost, left {remains}", file=sys.stderr)
    print("| cuts | ended | samples on the phone | lost | left on the phone |\n|---:|---|---:|---:|---:|")
    how = ", ".join(f"{count} {name}" for name, count in ends.most_common())
    print(f"| {arguments.cuts} | {how} | {written} | {lost} | {left} |")
    sys.exit(1 if lost or left else 0)


if __name__ == "__main__":
    main()
