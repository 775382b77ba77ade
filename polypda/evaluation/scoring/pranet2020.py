"""The legacy profile `pranet2020`: PraNet's evaluation (MICCAI 2020), so that published tables can be compared.

Each map is stretched to its own minimum and maximum (one that never exceeds 0.4 scores as if it were sure), Dice is a
mean over 256 thresholds, pixels outside the field of view count, and frames without a polyp are left out.
"""

from __future__ import annotations

import importlib
import math
import warnings
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from types import ModuleType

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from polypda.errors import UsageError
from polypda.evaluation.scoring.frame_inputs import check_frame
from polypda.files import write_table

PROFILE = "pranet2020"
FILE_NAME = "pranet2020.csv"
NOTABLE_DIFFERENCE = 0.01
"""meanDice and dice_frame that differ by more than this deserve a warning."""
ANY_THRESHOLD = 0.5
"""The profile has 256 thresholds of its own; the check of its inputs asks for one."""
WITHOUT_DOWNGRADE = "pip install scikit-learn && pip install --no-deps pysodmetrics==1.6.2"

Group = tuple[str, str]
"""Cohort and model."""


@dataclass(frozen=True)
class PranetScores:
    """One frame under the profile; curves are float64[256] over thresholds 255…0 of 255, the rest in [0, 1].

    s_measure: NaN where the original code divides by an empty quarter (the polyp's centre lies in the last row or
    column).
    """

    dice: NDArray[np.float64]
    iou: NDArray[np.float64]
    e_measure: NDArray[np.float64]
    s_measure: float
    weighted_f: float
    mae: float


def pranet_scores(
    probability: NDArray[np.floating], reference: NDArray[np.uint8] | NDArray[np.bool_], *, frame: str = ""
) -> PranetScores:
    """Score one frame that shows a polyp.

    Args:
        probability: float H×W in [0, 1]; rounded to 8 bits, as the evaluation reads maps from PNG files.
        reference: bool or 0/1 integers, H×W.
        frame: the frame's id, for messages.

    Raises: as :func:`polypda.evaluation.scoring.metrics.frame_metrics`; UsageError E_EXTRA_MISSING.
    """
    check_frame(probability, reference, np.ones(reference.shape, bool), ANY_THRESHOLD, frame)
    library = _pysodmetrics()
    image = np.rint(np.clip(probability, 0.0, 1.0) * 255).astype(np.uint8)
    truth = reference.astype(np.uint8) * np.uint8(255)
    settings = {"with_dynamic": True, "with_adaptive": False}
    curves = library.FmeasureV2(
        metric_handlers={"dice": library.DICEHandler(**settings), "iou": library.IOUHandler(**settings)}
    )
    parts = {
        "s": library.Smeasure(), "e": library.Emeasure(), "mae": library.MAE(), "w": library.WeightedFmeasure()
    }  # fmt: skip
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", RuntimeWarning)  # the S-measure's empty quarter is counted by the table
        for measure in (curves, *parts.values()):
            measure.step(pred=image, gt=truth)
    found = {name: measure.get_results() for name, measure in parts.items()}
    overlaps = curves.get_results()
    return PranetScores(
        dice=overlaps["dice"]["dynamic"],
        iou=overlaps["iou"]["dynamic"],
        e_measure=found["e"]["em"]["curve"],
        s_measure=float(found["s"]["sm"]),
        weighted_f=float(found["w"]["wfm"]),
        mae=float(found["mae"]["mae"]),
    )


@dataclass
class _Sums:
    """Sums over the frames of one cohort and model: memory does not grow with the cohort."""

    n: int = 0
    without_polyp: int = 0
    s_undefined: int = 0
    curves: NDArray[np.float64] = field(default_factory=lambda: np.zeros((3, 256)))
    single: NDArray[np.float64] = field(default_factory=lambda: np.zeros(3))


class PranetTable:
    """Collects frames per cohort and model; gives the profile's own table."""

    def __init__(self) -> None:
        self._sums: dict[Group, _Sums] = {}
        _pysodmetrics()  # missing: better said now than after the first prediction

    def add(
        self,
        cohort: str,
        model: str,
        probability: NDArray[np.floating],
        reference: NDArray[np.uint8] | NDArray[np.bool_],
        *,
        frame: str = "",
    ) -> None:
        """Score one frame and count it; a frame without a polyp is counted apart, as the profile leaves it out.

        Raises: as :func:`pranet_scores`.
        """
        sums = self._sums.setdefault((cohort, model), _Sums())
        if not np.any(reference):
            sums.without_polyp += 1
            return
        scores = pranet_scores(probability, reference, frame=frame)
        sums.n += 1
        sums.curves += np.stack([scores.dice, scores.iou, scores.e_measure])
        undefined = math.isnan(scores.s_measure)
        sums.s_undefined += undefined
        sums.single += [scores.weighted_f, 0.0 if undefined else scores.s_measure, scores.mae]

    def table(self) -> pd.DataFrame:
        """One row per cohort and model, in the order of their first frames.

        Columns: profile, cohort, model, n (frames with a polyp), n_without_polyp (left out), meanDice, meanIoU, wFm,
        Sm, Sm_undefined (frames that have none: not in its mean), meanEm, maxEm, MAE, maxDice, maxIoU. Mean and max are
        over the thresholds of the curve that is averaged over frames. NaN where n is 0.
        """
        return pd.DataFrame([self._row(*group, sums) for group, sums in self._sums.items()])

    def write(self, folder: Path) -> Path:
        """Write the table as ``pranet2020.csv`` into an existing folder; returns its path. Raises: E_WRITE_FAILED."""
        path = folder / FILE_NAME
        write_table(path, self.table())
        return path

    def warnings(self, dice_frame: Mapping[Group, float]) -> list[str]:
        """A line for each cohort and model whose meanDice is not its ``dice_frame`` (of v1) within 0.01."""
        lines = []
        for row in self.table().to_dict("records"):
            dice = dice_frame.get((row["cohort"], row["model"]), math.nan)
            difference = row["meanDice"] - dice
            if abs(difference) > NOTABLE_DIFFERENCE:  # false for NaN: nothing to compare
                lines.append(
                    f"{row['cohort']}, {row['model']}: meanDice of {PROFILE} is {row['meanDice']:.3f}, dice_frame is "
                    f"{dice:.3f} ({difference:+.3f}): stretched maps and 256 thresholds, not a better or worse model."
                )
        return lines

    def _row(self, cohort: str, model: str, sums: _Sums) -> dict[str, object]:
        n = sums.n or math.nan
        dice, iou, e_measure = sums.curves / n
        weighted_f, _, mae = sums.single / n
        s_measure = sums.single[1] / ((sums.n - sums.s_undefined) or math.nan)
        return {
            "profile": PROFILE,
            "cohort": cohort,
            "model": model,
            "n": sums.n,
            "n_without_polyp": sums.without_polyp,
            "meanDice": dice.mean(),
            "meanIoU": iou.mean(),
            "wFm": weighted_f,
            "Sm": s_measure,
            "Sm_undefined": sums.s_undefined,
            "meanEm": e_measure.mean(),
            "maxEm": e_measure.max(),
            "MAE": mae,
            "maxDice": dice.max(),
            "maxIoU": iou.max(),
        }


def _pysodmetrics() -> ModuleType:
    try:
        return importlib.import_module("py_sod_metrics")
    except ImportError as error:
        raise UsageError(
            "E_EXTRA_MISSING",
            f"the profile {PROFILE} needs pysodmetrics ({error}).",
            where=PROFILE,
            fix="pip install 'polypda[legacy]' (takes NumPy, scikit-image and OpenCV back to older versions), "
            f"or keep them: {WITHOUT_DOWNGRADE}",
        ) from error
