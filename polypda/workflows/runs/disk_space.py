"""Whether a run will fit on the disk, asked before hours are spent on it."""

from __future__ import annotations

import shutil
from pathlib import Path

from polypda.cache import FRAMES, entries
from polypda.cohorts.frames import Split
from polypda.errors import DataError
from polypda.training.config import AdaptConfig
from polypda.workflows.runs.cohort_pair import CohortPair
from polypda.workflows.runs.stages import adapts
from polypda.workflows.runs.trained_models import trained_parts, wants_oracle

WHOLE_CHECKPOINTS = 3
"""Of a stage: the two newest are kept, and one is being written."""
STATE = 3
"""A checkpoint in multiples of its weights: optimisers keep up to two numbers of each."""
REPORT_BYTES = 20_000_000
GB, MB = 10**9, 10**6


def needed_bytes(config: AdaptConfig, weights: int) -> int:
    """About what a whole run's folder takes. weights: bytes of the segmenter's weights."""
    methods = 1 + len(trained_parts(config)) if adapts(config.method) else 0
    stages = 3 + methods + int(wants_oracle(config))
    snapshots = methods * (config.adapt_steps // config.checkpoint_every)
    models = 2 + methods
    return weights * (stages * WHOLE_CHECKPOINTS * STATE + snapshots + models) + REPORT_BYTES


def cached_bytes(config: AdaptConfig, pair: CohortPair) -> int:
    """What the training frames of a pair take in the cache: image, field of view and mask of each."""
    learnt = (Split.TRAIN, Split.VALIDATION)
    frames = sum(len(cohort.split(part)) for cohort in pair.here for part in learnt)
    return frames * config.data.size**2 * 5


def require_space(folder: Path, cache: Path, config: AdaptConfig, pair: CohortPair, weights: int) -> None:
    """A run, new or half made, and its frames must fit. weights: bytes of the segmenter's weights.

    Raises: DataError E_DISK_SPACE.
    """
    run = max(0, needed_bytes(config, weights) - _size(folder))
    kept = sum(entry.size for entry in entries(cache, FRAMES.name))
    wanted = {folder: run, cache: max(0, cached_bytes(config, pair) - kept)}
    disks: dict[int, tuple[Path, int]] = {}
    for place, needed in wanted.items():
        there = _existing(place)
        first, sum_ = disks.get(there.stat().st_dev, (there, 0))
        disks[there.stat().st_dev] = (first, sum_ + needed)
    for place, needed in disks.values():
        free = shutil.disk_usage(place).free
        if needed > free:
            raise DataError(
                "E_DISK_SPACE",
                f"about {_words(needed)} are needed there, and {_words(free)} are free.",
                where=place,
                fix="free some space (`polypda runs clean`, `polypda cache clear`), or choose another --out or "
                "--cache-dir.",
            )


def _existing(place: Path) -> Path:
    place = place.absolute()
    while not place.exists():
        place = place.parent
    return place


def _size(folder: Path) -> int:
    return sum(path.lstat().st_size for path in folder.rglob("*") if path.is_file()) if folder.is_dir() else 0


def _words(count: int) -> str:
    return f"{count / GB:.1f} GB" if count >= GB else f"{count / MB:.0f} MB"
