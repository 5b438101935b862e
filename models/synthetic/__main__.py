"""Draw portraits with their mattes: `python -m models.synthetic DIR --count N --seed FIRST`."""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from pathlib import Path

from models.synthetic import write_portraits


def main(arguments: Sequence[str] | None = None) -> None:
    """Draw from the command line."""
    parser = argparse.ArgumentParser(prog="python -m models.synthetic", description=__doc__)
    parser.add_argument("folder", type=Path, help="gets portrait_NUMBER.jpg and portrait_NUMBER_alpha.png")
    parser.add_argument("--count", type=int, default=32, help="portraits (default 32)")
    parser.add_argument(
        "--seed", type=int, default=0, help="of the first (default 0; training's are from 1000000)"
    )
    parser.add_argument("--size", type=int, default=256, help="side, pixels (default 256)")
    options = parser.parse_args(arguments)
    try:
        write_portraits(options.folder, options.count, seed=options.seed, size=options.size)
    except OSError as error:
        parser.exit(1, f"{error}\n")


if __name__ == "__main__":
    main()
