"""The aggregates of `polypda-metrics v1`, each with its own name: from values per frame to one number.

Arrays are float64 [..., N] with frames last, usually [trainings, N]; a result drops that axis. Means over nothing are
NaN. Frames with a polyp (positive) and frames without (negative) never meet in one mean: callers hand over one kind.
"""

from __future__ import annotations

import math
import warnings
from collections.abc import Callable

import numpy as np
import numpy.typing as npt
from numpy.typing import NDArray

FloatArray = NDArray[np.float64]

FAILED_BELOW_DICE = 0.5
SIZE_LIMITS = (0.01, 0.05, 0.15)
"""Relative polyp area, share of the field of view, at which a size stratum ends."""
SIZE_STRATA = ("<1 %", "1–5 %", "5–15 %", ">15 %")
NO_STRATUM = -1


def mean_over_frames(values: npt.ArrayLike) -> FloatArray:
    """Macro mean over frames: ``dice_frame`` of Dice, and likewise for other metrics defined on every frame."""
    numbers = np.asarray(values, dtype=np.float64)
    return numbers.mean(axis=-1) if numbers.shape[-1] else np.full(numbers.shape[:-1], math.nan)


def mean_of_defined(values: FloatArray) -> FloatArray:
    """Mean over the frames where a metric is defined; print :func:`undefined_count` beside it."""
    return _quiet(np.nanmean, values)


def median_of_defined(values: FloatArray) -> FloatArray:
    """Median over the frames where a metric is defined."""
    return _quiet(np.nanmedian, values)


def undefined_count(values: FloatArray) -> FloatArray:
    """On how many frames a metric is not defined."""
    return np.isnan(np.asarray(values, dtype=np.float64)).sum(axis=-1).astype(np.float64)


def mean_over_sequences(values: FloatArray, sequence_codes: NDArray[np.integer]) -> FloatArray:
    """``dice_sequence``: mean of the sequences' means, so that a long video weighs no more than a short one.

    sequence_codes: integers [N], 0 … sequences − 1, every code used.
    """
    values = np.asarray(values, dtype=np.float64)
    if not values.shape[-1]:
        return np.full(values.shape[:-1], math.nan)
    sizes = np.bincount(sequence_codes)
    member = np.zeros((len(sequence_codes), len(sizes)))
    member[np.arange(len(sequence_codes)), sequence_codes] = 1.0 / sizes[sequence_codes]
    return (values @ member).mean(axis=-1)


def dice_pixel(tp_px: FloatArray, fp_px: FloatArray, fn_px: FloatArray) -> FloatArray:
    """Global Dice: 2ΣTP / (2ΣTP + ΣFP + ΣFN) over positive frames; large polyps outweigh small ones."""
    tp, fp, fn = (np.asarray(counts, dtype=np.float64).sum(axis=-1) for counts in (tp_px, fp_px, fn_px))
    return ratio(2 * tp, 2 * tp + fp + fn)


def dice_p10(dice: FloatArray) -> FloatArray:
    """10th percentile of Dice over positive frames (linear interpolation): the worst decile."""
    dice = np.asarray(dice, dtype=np.float64)
    return np.percentile(dice, 10, axis=-1) if dice.shape[-1] else np.full(dice.shape[:-1], math.nan)


def fail_rate(dice: FloatArray) -> FloatArray:
    """Share of positive frames with Dice < 0.5."""
    return mean_over_frames(np.asarray(dice) < FAILED_BELOW_DICE)


def zero_rate(dice: FloatArray) -> FloatArray:
    """Share of positive frames with Dice = 0."""
    return mean_over_frames(np.asarray(dice) == 0)


def frame_specificity(fp_components: FloatArray) -> FloatArray:
    """Share of negative frames on which no component was marked (specks left out)."""
    return mean_over_frames(np.asarray(fp_components) == 0)


def lesion_sensitivity(hits: FloatArray, reference: FloatArray) -> FloatArray:
    """Hit lesions over all reference lesions of the frames; NaN without a lesion."""
    return ratio(np.sum(hits, axis=-1), np.sum(reference, axis=-1))


def lesion_ppv(hits: FloatArray, predicted: FloatArray) -> FloatArray:
    """Hits over all predicted lesions of the frames; NaN where nothing was predicted."""
    return ratio(np.sum(hits, axis=-1), np.sum(predicted, axis=-1))


def lesion_fp_per_frame(hits: FloatArray, predicted: FloatArray) -> FloatArray:
    """Predicted lesions without a reference lesion of their own, per frame (frames with and without a polyp)."""
    return mean_over_frames(np.asarray(predicted, dtype=np.float64) - np.asarray(hits, dtype=np.float64))


def dice_center(dice_frames: FloatArray) -> float:
    """Mean over centres of their ``dice_frame``: every centre weighs the same, however many frames it gave."""
    return float(mean_over_frames(np.asarray(dice_frames, dtype=np.float64)))


def dice_worst_center(dice_frames: FloatArray) -> float:
    """The lowest ``dice_frame`` of any centre."""
    values = np.asarray(dice_frames, dtype=np.float64)
    return float(values.min()) if values.size else math.nan


def size_stratum(relative_area: FloatArray) -> NDArray[np.int64]:
    """Place in SIZE_STRATA of each frame's relative polyp area, int64 [N]; NO_STRATUM without a polyp.

    A frame of exactly 1 % or 5 % belongs to the stratum that begins there, one of exactly 15 % to 5–15 %.
    """
    area = np.asarray(relative_area, dtype=np.float64)
    small, middle, large = SIZE_LIMITS
    strata = (area >= small).astype(np.int64) + (area >= middle) + (area > large)
    return np.where(area > 0, strata, NO_STRATUM)


def ratio(part: FloatArray, whole: FloatArray) -> FloatArray:
    """part / whole, NaN where whole is 0."""
    part, whole = np.asarray(part, dtype=np.float64), np.asarray(whole, dtype=np.float64)
    return np.divide(part, whole, out=np.full(np.broadcast(part, whole).shape, math.nan), where=whole != 0)


def _quiet(statistic: Callable[..., FloatArray], values: FloatArray) -> FloatArray:
    """A NaN-skipping statistic over the last axis, without NumPy's warning where everything is NaN."""
    values = np.asarray(values, dtype=np.float64)
    if not values.shape[-1]:
        return np.full(values.shape[:-1], math.nan)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", RuntimeWarning)
        return np.asarray(statistic(values, axis=-1))
