"""Spread over trainings (seeds), told apart from spread over cases."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from polypda.errors import DataError

ONE_SEED = "training variability not assessed"


@dataclass(frozen=True)
class SeedSpread:
    """mean and sd (n − 1 in its denominator; NaN for fewer than two) over n trainings; words say what they are."""

    mean: float
    sd: float
    n: int
    words: str


def seed_spread(values_per_seed: npt.ArrayLike) -> SeedSpread:
    """Spread of one aggregate (such as dice_frame) over trainings that differ in their seed, values [n].

    Raises: DataError E_STAT_NOT_FINITE, E_STAT_LENGTH.
    """
    values = np.asarray(values_per_seed, dtype=np.float64)
    if values.ndim != 1:
        raise DataError(
            "E_STAT_LENGTH",
            f"values per seed have shape {values.shape}.",
            where="statistics",
            fix="give one value per seed.",
        )
    if not np.isfinite(values).all():
        raise DataError(
            "E_STAT_NOT_FINITE",
            f"{int((~np.isfinite(values)).sum())} of {len(values)} trainings have no finite value.",
            where="statistics",
            fix="state which trainings have none and leave the spread out; do not average the rest.",
        )
    if len(values) < 2:
        return SeedSpread(float(values[0]) if len(values) else math.nan, math.nan, len(values), ONE_SEED)
    return SeedSpread(
        float(values.mean()), float(values.std(ddof=1)), len(values), f"SD over {len(values)} trainings (seeds)"
    )
