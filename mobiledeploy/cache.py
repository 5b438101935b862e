"""Where things that can be made again are kept between runs: the benchmark binary, ncnn's source, keys."""

from __future__ import annotations

import os
from pathlib import Path

import platformdirs


def cache_dir() -> Path:
    """Return `$MOBILEDEPLOY_CACHE`, else the platform's user cache folder; it may not exist yet."""
    override = os.environ.get("MOBILEDEPLOY_CACHE")
    return Path(override) if override else Path(platformdirs.user_cache_dir("mobiledeploy", appauthor=False))
