"""Where things lie on this machine."""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path

DEFAULT_OVERLAYS = 8
"""Two of the worst, the most improved and the most harmed, the median, and the largest false alarm."""


@dataclass(frozen=True)
class Paths:
    """Where things lie on this machine; never written into a run.

    data_root: the folder that holds real cohorts' folders. cache: decoded frames and rendered phantoms.
    encoder_weights: none, bundled, imagenet or a safetensors file, as the user gave it; None: what the configuration
    says. start: the folder of a run whose source-only start (and control, where it is the same training) is reused, or
    None. oracle: the folder of a run of the target as a source, whose source-only model serves as the oracle, or None.
    accepted: accepted.csv of a review, or None. overlays: how many per cohort; None: one of every frame. mlflow_uri:
    the server (or folder) that ``--log-to mlflow`` sends the run to; None: it stays in the run's folder.
    """

    data_root: Path
    cache: Path
    encoder_weights: str | None = None
    start: Path | None = None
    oracle: Path | None = None
    accepted: Path | None = None
    overlays: int | None = DEFAULT_OVERLAYS
    mlflow_uri: str | None = None


def default_cache() -> Path:
    """Where decoded frames and phantoms are kept: POLYPDA_CACHE, else the user's cache folder."""
    if "POLYPDA_CACHE" in os.environ:
        return Path(os.environ["POLYPDA_CACHE"])
    return Path(os.environ.get("XDG_CACHE_HOME", Path.home() / ".cache")) / "polypda"
