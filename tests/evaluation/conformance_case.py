"""How one row of the conformance table is written: a drawing of two masks, and the exact answer for each metric.

Drawing: rows parted by spaces, one letter per pixel, a number before a letter repeats it, and ``4*`` before a row
repeats the row::

    inside the valid area    .  neither    g  reference only    p  prediction only    T  both
    outside the valid area   ~  neither    G  reference only    P  prediction only    B  both

The prediction is a probability of 1 where it is drawn, unless ``probability`` gives fractions (rows parted by ``|``);
the drawing then still shows which pixels must count as predicted.

Answers: fractions; ``-`` is NaN, or no answer at all. HD95 is ``√5``, or ``√4+3/20(√5-√4)`` where the percentile lies
between two distances; ``!`` marks the penalty for a missed polyp.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass
from fractions import Fraction
from functools import cached_property

import numpy as np
from metric_definitions import FALSE_POSITIVE_FRACTION, Answer, Distance, Drawn
from numpy.typing import NDArray

SCORES = ("dice", "iou", "sensitivity", "ppv", "specificity", "f2", "mae")
AREAS = ("relative_polyp_area", "fp_area_fraction", "reference_outside_share")
LESIONS = (
    "lesions_reference",
    "lesions_predicted",
    "lesions_hit_10",
    "lesions_hit_50",
    "lesion_specks_reference",
    "lesion_specks_predicted",
)
ALARMS = ("fp_components", "specks")
FLAGS = ("positive", "negative", "missed", "false_positive_frame", "hd95_penalised")
METRICS = (*SCORES, *AREAS, "hd95_px", "nsd", "nsd_tolerance_px", *LESIONS, *ALARMS, *FLAGS)
REFERENCE, PREDICTION, VALID = "gTGB", "pTPB", ".gpT"


@dataclass(frozen=True)
class Case:
    """One pair of masks and its answers.

    Attributes:
        topic: the edge case it stands for.
        drawing: see the module.
        kind: "positive", "missed", "negative", or "outside" (the whole reference lies outside the valid area).
        scores: Dice, IoU, sensitivity, PPV, specificity, F2, MAE.
        areas: polyp in the valid area, false-positive share of it, share of the reference outside it.
        contour: HD95 in px, NSD, and the tolerance of NSD in px.
        lesions: lesions of reference and prediction, hits at IoU ≥ 0.1 and ≥ 0.5, specks of reference and prediction.
        alarms: false-positive components and specks of a frame without a polyp.
        probability: rows of fractions, or empty.
        threshold: a pixel is predicted from here on.
    """

    topic: str
    drawing: str
    kind: str
    scores: str
    areas: str
    contour: str
    lesions: str
    alarms: str = "- -"
    probability: str = ""
    threshold: str = "1/2"

    @cached_property
    def rows(self) -> list[str]:
        return drawn_rows(self.drawing)

    @cached_property
    def shape(self) -> tuple[int, int]:
        """(height, width) in pixels."""
        return len(self.rows), len(self.rows[0])

    def mask(self, letters: str) -> NDArray[np.bool_]:
        """Bool H×W: where one of the letters is drawn."""
        return np.array([[letter in letters for letter in row] for row in self.rows])

    def probabilities(self) -> NDArray[np.float64]:
        """Float H×W in [0, 1]; every fraction of the table has a power of two below, so floats hold it exactly."""
        if not self.probability:
            return self.mask(PREDICTION).astype(float)
        return np.array([[float(Fraction(p)) for p in row.split()] for row in self.probability.split("|")])

    @cached_property
    def frame(self) -> Drawn:
        """The same frame as sets of pixels and fractions."""
        height, width = self.shape
        placed = [((y, x), letter) for y, row in enumerate(self.rows) for x, letter in enumerate(row)]
        if self.probability:
            fractions = [[Fraction(p) for p in row.split()] for row in self.probability.split("|")]
            probability = {(y, x): p for y, row in enumerate(fractions) for x, p in enumerate(row)}
        else:
            probability = {pixel: Fraction(1) for pixel, letter in placed if letter in PREDICTION}
        reference = frozenset(pixel for pixel, letter in placed if letter in REFERENCE)
        valid = frozenset(pixel for pixel, letter in placed if letter in VALID)
        return Drawn(height, width, reference, valid, probability, Fraction(self.threshold))

    def answers(self) -> dict[str, Answer | Distance]:
        """Metric → exact answer; None stands for NaN, or for no answer."""
        hd95, nsd, tolerance_px = self.contour.split()
        return {
            **_read(SCORES, self.scores, Fraction),
            **_read(AREAS, self.areas, Fraction),
            "false_positive_frame": Fraction(self.areas.split()[1]) > FALSE_POSITIVE_FRACTION,
            "hd95_px": read_distance(hd95),
            "hd95_penalised": hd95.endswith("!"),
            **_read(("nsd", "nsd_tolerance_px"), f"{nsd} {tolerance_px}", Fraction),
            **_read(LESIONS, self.lesions, int),
            **_read(ALARMS, self.alarms, int),
            "positive": self.kind in ("positive", "missed"),
            "negative": self.kind == "negative",
            "missed": self.kind == "missed",
        }


def drawn_rows(drawing: str) -> list[str]:
    """``"2*3.g T3."`` → ``["...g", "...g", "T..."]``; every row has the same length."""
    rows: list[str] = []
    for word in drawing.split():
        times, runs = re.fullmatch(r"(?:(\d+)\*)?((?:\d*[.gpT~GPB])+)", word).groups()  # type: ignore[union-attr]
        row = "".join(letter * int(count or 1) for count, letter in re.findall(r"(\d*)([.gpT~GPB])", runs))
        rows += [row] * int(times or 1)
    if len({len(row) for row in rows}) != 1:
        raise ValueError(f"rows of different lengths: {drawing}")
    return rows


def read_distance(text: str) -> Distance | None:
    """``√5``, ``√13!`` or ``√4+3/20(√5-√4)``; ``-`` is None."""
    if text == "-":
        return None
    plain = re.fullmatch(r"√(\d+)!?", text)
    if plain:
        return Distance(int(plain[1]), int(plain[1]))
    low, share, high, again = re.fullmatch(r"√(\d+)\+(\d+/\d+)\(√(\d+)-√(\d+)\)", text).groups()  # type: ignore[union-attr]
    if low != again:
        raise ValueError(f"not an interpolation: {text}")
    return Distance(int(low), int(high), Fraction(share))


def _read(names: tuple[str, ...], text: str, kind: Callable[[str], Answer]) -> dict[str, Answer | Distance]:
    return {name: None if word == "-" else kind(word) for name, word in zip(names, text.split(), strict=True)}
