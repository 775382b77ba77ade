"""One predicted frame as an overlay: reference, or boxes, or neither, under what two models marked."""

from __future__ import annotations

import math

import pandas as pd

from polypda.cohorts.frames import OpenedCohort
from polypda.data.labels import box_corners
from polypda.evaluation.cases.case_table import BOX
from polypda.evaluation.scoring.metrics import DEFAULT_THRESHOLD
from polypda.evaluation.scoring.predictions import NativePrediction
from polypda.reporting.overlays.drawing import DecodedImage
from polypda.reporting.overlays.frame_overlay import OverlayCaption, draw_overlay


def prediction_overlay(prediction: NativePrediction, cohort: OpenedCohort, own: pd.DataFrame, why: str) -> DecodedImage:
    """Draw a scored frame.

    Args:
        prediction: with a map of each of the two models.
        own: the frame's cases, indexed by model: first the one before, then the one after.
    """
    before, after = (str(model) for model in own.index)
    boxed = [str(kind) == BOX for kind in own["annotation"]]
    caption = OverlayCaption(
        cohort=cohort.id,
        frame=prediction.frame.frame,
        before_model=before,
        after_model=after,
        dice_before=float(own["dice"].iloc[0]),
        dice_after=float(own["dice"].iloc[1]),
        phantom=cohort.phantom,
        why=why,
        found_before=lesion_words(own.iloc[0]) if boxed[0] else "",
        found_after=lesion_words(own.iloc[1]) if boxed[1] else "",
    )
    return _drawn(prediction, caption, before, after, boxed=any(boxed))


def unscored_overlay(
    prediction: NativePrediction, cohort: OpenedCohort, models: tuple[str, str], why: str
) -> DecodedImage:
    """Draw a frame that has no label: only what the two models marked."""
    caption = OverlayCaption(
        cohort.id, prediction.frame.frame, *models, math.nan, math.nan, phantom=cohort.phantom, why=why
    )
    return _drawn(prediction, caption, *models, boxed=False)


def lesion_words(case: pd.Series) -> str:
    """What a case with boxes says of its lesions: "1 of 2 polyps found, 1 mark elsewhere"."""
    reference, hits, marked = (int(case[f"lesions_{name}"]) for name in ("reference", "hit_10", "predicted"))
    if not reference:
        return ""
    elsewhere = f", {marked - hits} mark{'s' if marked - hits != 1 else ''} elsewhere" if marked > hits else ""
    return f"{hits} of {reference} {'polyp' if reference == 1 else 'polyps'} found{elsewhere}"


def _drawn(
    prediction: NativePrediction, caption: OverlayCaption, before: str, after: str, *, boxed: bool
) -> DecodedImage:
    marked = {model: p >= DEFAULT_THRESHOLD for model, p in prediction.probabilities.items()}
    return draw_overlay(
        prediction.image,
        None if boxed else prediction.reference,
        marked[before],
        marked[after],
        prediction.view.mask,
        caption,
        boxes=box_corners(prediction.frame) if boxed else None,
        ignored=prediction.ignored,
    )
