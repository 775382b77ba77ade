"""Dice that is expected of a model's own probabilities, once they mean what they say on labelled frames.

Two calibrators, each fitted separately for pixels that the model marks and pixels that it does not, because the few
polyp pixels would drown in the many others (class-specific confidence: Li et al., "Estimating Model Performance under
Domain Shifts with Class-Specific Confidence Scores", MICCAI 2022):

* a temperature per class;
* a threshold per class, beyond which pixels count as polyp (after Garg et al., "Leveraging Unlabeled Data to Predict
  Out-of-Distribution Performance", ICLR 2022).

Either maps a probability to how much polyp a pixel is taken for. With that, a frame's expected overlap, missed and
wrongly marked areas are sums over its pixels, and so is its expected Dice. Every frame weighs the same.

The parameter of the marked class is fitted so that as many marked pixels are taken for polyp as are polyp. That of the
other class is fitted so that the mean expected Dice is the mean Dice. (Were it fitted to the missed area, the frames
whose polyp is missed altogether would spread misses over all others, and the mean would come out too low.)
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.optimize import brentq
from scipy.special import expit

from polypda.errors import DataError

FloatArray = NDArray[np.float64]

LARGEST_LOGIT = 12.0
BINS = 480
_WIDTH = 2 * LARGEST_LOGIT / BINS
LOGITS: FloatArray = (-LARGEST_LOGIT + _WIDTH * (np.arange(BINS) + 0.5)).astype(np.float64)
"""Middle of each bin. The edge between the two halves is a probability of 0.5, from which on a pixel is marked."""
MARKED: NDArray[np.bool_] = LOGITS > 0
TEMPERATURES = (0.02, 50.0)
"""Between these a temperature is looked for; the nearer end is taken where none fits."""


@dataclass(frozen=True, eq=False)
class ConfidenceCounts:
    """How many pixels of N frames fall into each bin of confidence.

    pixels: float64 [N, BINS], those that count. polyp: likewise, those of them that are polyp; None without labels.
    """

    pixels: FloatArray
    polyp: FloatArray | None = None

    def __len__(self) -> int:
        return len(self.pixels)

    def subset(self, rows: NDArray[np.bool_] | NDArray[np.intp]) -> ConfidenceCounts:
        """Some of the frames."""
        return ConfidenceCounts(self.pixels[rows], None if self.polyp is None else self.polyp[rows])

    @property
    def labels(self) -> FloatArray:
        """The polyp pixels. Raises: DataError E_NO_LABEL where they are not known."""
        if self.polyp is None:
            raise DataError("E_NO_LABEL", "these frames have no labels.", where="estimation", fix="label some frames.")
        return self.polyp

    @property
    def positive(self) -> NDArray[np.bool_]:
        """Frames that show a polyp, bool [N]."""
        return self.labels.sum(axis=1) > 0

    @property
    def dice(self) -> FloatArray:
        """Dice of each frame, [N] in [0, 1]; NaN where it shows no polyp."""
        polyp = self.labels
        total = self.pixels[:, MARKED].sum(axis=1) + polyp.sum(axis=1)
        overlap = 2 * polyp[:, MARKED].sum(axis=1)
        return np.where(self.positive, overlap / np.maximum(total, 1), np.nan)

    @property
    def foreground(self) -> FloatArray:
        """Share of each frame's counted pixels that are marked, [N] in [0, 1]."""
        return self.pixels[:, MARKED].sum(axis=1) / np.maximum(self.pixels.sum(axis=1), 1)

    @classmethod
    def joined(cls, parts: Sequence[ConfidenceCounts]) -> ConfidenceCounts:
        """All frames of several; labels only where every part has them."""
        known = [part.polyp for part in parts if part.polyp is not None]
        polyp = np.concatenate(known) if parts and len(known) == len(parts) else None
        pixels = np.concatenate([part.pixels for part in parts]) if parts else np.zeros((0, BINS))
        return cls(pixels, polyp)


def confidence_counts(
    probability: NDArray[np.floating], valid: NDArray[np.bool_], reference: NDArray[np.integer] | None = None
) -> ConfidenceCounts:
    """Count one frame's pixels by confidence.

    Args: probability: H×W in [0, 1]. valid: bool H×W, pixels that count. reference: 0/1 H×W; None: not known.
    """
    inside = probability[valid].astype(np.float64)
    with np.errstate(divide="ignore"):
        logits = np.log(inside) - np.log1p(-inside)
    index = np.clip(np.floor((logits + LARGEST_LOGIT) / _WIDTH), 0, BINS - 1).astype(np.intp)
    pixels = np.bincount(index, minlength=BINS).astype(np.float64)[None]
    if reference is None:
        return ConfidenceCounts(pixels)
    polyp = np.bincount(index[reference[valid] > 0], minlength=BINS).astype(np.float64)[None]
    return ConfidenceCounts(pixels, polyp)


@dataclass(frozen=True, eq=False)
class Calibrator:
    """How much polyp a pixel of each confidence is taken for: ``polyp`` float64 [BINS] in [0, 1].

    name: of the rule. parameters: what was fitted, for pixels that are marked and for those that are not.
    """

    name: str
    polyp: FloatArray
    parameters: tuple[float, float]

    def expected_dice(self, counts: ConfidenceCounts) -> FloatArray:
        """The Dice expected of each frame, [N] in [0, 1], if it shows a polyp; 0 where nothing is marked."""
        marked = counts.pixels[:, MARKED].sum(axis=1)
        overlap = counts.pixels[:, MARKED] @ self.polyp[MARKED]
        polyp = counts.pixels @ self.polyp
        return np.where(marked > 0, 2 * overlap / np.maximum(marked + polyp, 1e-12), 0.0)


def fit_temperatures(counts: ConfidenceCounts) -> Calibrator:
    """Class-wise temperatures from labelled frames. Raises: DataError E_NO_LABEL, E_ESTIMATION_FRAMES."""

    def taken(temperatures: tuple[float, float]) -> FloatArray:
        return expit(LOGITS / np.where(MARKED, *temperatures))

    return _fitted("temperature", counts, taken, TEMPERATURES)


def fit_thresholds(counts: ConfidenceCounts) -> Calibrator:
    """Class-wise thresholds from labelled frames: the parameters are logits, in bins a part of which may be taken.

    Raises: DataError E_NO_LABEL, E_ESTIMATION_FRAMES.
    """

    def taken(distances: tuple[float, float]) -> FloatArray:
        # marked pixels are polyp beyond a distance from the border at 0.5, others within one of it
        beyond = np.clip((LOGITS - distances[0]) / _WIDTH + 0.5, 0.0, 1.0)
        within = np.clip((LOGITS + distances[1]) / _WIDTH + 0.5, 0.0, 1.0)
        return np.where(MARKED, beyond, within)

    return _fitted("threshold", counts, taken, (1e-3, LARGEST_LOGIT))


def _fitted(
    name: str,
    counts: ConfidenceCounts,
    taken: Callable[[tuple[float, float]], FloatArray],
    ends: tuple[float, float],
) -> Calibrator:
    """First the marked class, by the share of marked pixels that are polyp; then the other, by the mean Dice."""
    chosen = _of_polyps(counts)
    share = 1 / chosen.pixels.sum(axis=1, keepdims=True)
    pixels, polyp = (chosen.pixels * share).sum(axis=0)[MARKED], (chosen.labels * share).sum(axis=0)[MARKED]
    truth = float(chosen.dice.mean())

    def overlap(parameter: float) -> float:
        return float(pixels @ taken((parameter, 1.0))[MARKED] - polyp.sum())

    marked = _root(overlap, ends) if pixels.sum() > 0 else 1.0

    def dice(parameter: float) -> float:
        told = Calibrator(name, taken((marked, parameter)), (marked, parameter))
        return float(told.expected_dice(chosen).mean()) - truth

    other = _root(dice, ends)
    return Calibrator(name, taken((marked, other)), (marked, other))


def _root(excess: Callable[[float], float], ends: tuple[float, float]) -> float:
    """Where it is 0 between two positive ends, searched by ratios; the nearer end where it nowhere is."""
    low, high = np.log(ends)
    at_low, at_high = excess(float(np.exp(low))), excess(float(np.exp(high)))
    if at_low * at_high > 0:
        return float(np.exp(low if abs(at_low) < abs(at_high) else high))
    return float(np.exp(brentq(lambda value: excess(float(np.exp(value))), low, high)))


CALIBRATORS = (fit_temperatures, fit_thresholds)
LEAST_FRAMES = 2


def _of_polyps(counts: ConfidenceCounts) -> ConfidenceCounts:
    """The frames that show a polyp, which must be some."""
    positive = counts.positive
    if positive.sum() < LEAST_FRAMES:
        raise DataError(
            "E_ESTIMATION_FRAMES",
            f"only {int(positive.sum())} labelled frames show a polyp: nothing can be calibrated on them.",
            where="estimation",
            fix="hold out more labelled frames of the source.",
        )
    return counts.subset(positive)
