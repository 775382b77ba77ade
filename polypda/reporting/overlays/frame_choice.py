"""Which frames to show: the bad news as surely as the good, chosen by rule and not by eye."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import chain, zip_longest
from typing import Literal, NamedTuple

import pandas as pd

from polypda.errors import DataError, UsageError, nearest
from polypda.evaluation.aggregation.centres import paired_cases
from polypda.evaluation.cases.case_table import BOX


class ChosenFrame(NamedTuple):
    """A frame's id and the reason for showing it."""

    frame: str
    why: str


class _Pick(NamedTuple):
    """rank: within the reason, from 1; 0 where rank means nothing."""

    frame: str
    why: str
    rank: int


def choose_frames(
    cases: pd.DataFrame, before: str, after: str, cohort: str, count: int | Literal["all"]
) -> list[ChosenFrame]:
    """Choose frames of a cohort in turn from: worst after, most improved, most harmed, median, and negatives with the
    largest false positive; then the second of each, and so on. With several trainings their mean decides.

    Frames with a polyp are ranked by Dice; those annotated with boxes by the Dice of lesions, 2 · hits / (reference +
    predicted lesions), which is for ranking only.

    Args:
        count: how many at most, or "all".

    Returns: distinct frames; the same for the same cases, whatever the order of their rows.
    Raises: UsageError E_OVERLAY_COUNT; DataError E_CASES_COHORT, E_CASES_MODEL, E_CASES_FRAMES_DIFFER.
    """
    if count != "all" and count < 0:
        raise UsageError("E_OVERLAY_COUNT", f"{count} frames cannot be shown.", fix="give a number from 0, or 'all'.")
    frames = _mean_over_trainings(_pairs_of_cohort(cases, before, after, cohort))
    limit = len(frames) if count == "all" else count
    chosen: dict[str, str] = {}
    for pick in _picks(frames):
        if len(chosen) >= limit:
            break
        if pick.frame not in chosen:
            chosen[pick.frame] = pick.why if pick.rank < 2 else f"{pick.why}, number {pick.rank}"
        elif pick.rank == 1:
            chosen[pick.frame] += f"; {pick.why}"
    return [ChosenFrame(frame, why) for frame, why in chosen.items()]


def _pairs_of_cohort(cases: pd.DataFrame, before: str, after: str, cohort: str) -> pd.DataFrame:
    own = cases[cases["cohort"] == cohort]
    if own.empty:
        known = sorted(set(cases["cohort"]))
        raise DataError(
            "E_CASES_COHORT",
            f"no case of cohort '{cohort}'.{nearest(cohort, known)}",
            where="cases",
            fix=f"the cases hold {', '.join(known)}.",
        )
    models = sorted(set(own["model"]))
    for model in (before, after):
        if model not in models:
            raise DataError(
                "E_CASES_MODEL",
                f"model '{model}' was not scored on {cohort}.{nearest(model, models)}",
                where="cases",
                fix=f"the cases hold {', '.join(models)}.",
            )
    return paired_cases(own, before, after)


def _mean_over_trainings(pairs: pd.DataFrame) -> pd.DataFrame:
    """One row per frame, sorted by frame id so that ties fall the same way every time."""
    values = ["worth_before", "worth_after", "fp_area_fraction_after", "positive", "negative"]
    worth = {f"worth_{when}": _worth(pairs, when) for when in ("before", "after")}
    frames = pairs.assign(**worth).groupby("frame", sort=True)[values].mean().reset_index()
    return frames.assign(change=frames["worth_after"] - frames["worth_before"])


def _worth(pairs: pd.DataFrame, when: str) -> pd.Series:
    """Dice; of lesions where boxes are all that is known."""
    lesions = pairs["lesions_reference"] + pairs[f"lesions_predicted_{when}"]
    of_lesions = 2.0 * pairs[f"lesions_hit_10_{when}"] / lesions.where(lesions > 0)
    return pairs[f"dice_{when}"].where(pairs["annotation"] != BOX, of_lesions)


def _picks(frames: pd.DataFrame) -> Iterator[_Pick]:
    """Candidates in the order of showing; a frame may come more than once."""
    positive, negative = frames[frames["positive"] > 0], frames[frames["negative"] > 0]
    middle = positive.assign(distance=(positive["worth_after"] - positive["worth_after"].median()).abs())
    false_positive = negative[negative["fp_area_fraction_after"] > 0]
    rankings = (
        _ranked(positive, "worth_after", True, "worst after adaptation"),
        _ranked(positive[positive["change"] > 0], "change", False, "most improved"),
        _ranked(positive[positive["change"] < 0], "change", True, "most harmed"),
        _ranked(middle, "distance", True, "nearest the median after adaptation")[:1],
        _ranked(false_positive, "fp_area_fraction_after", False, "largest false positive on a frame without a polyp"),
    )
    in_turn = chain.from_iterable(zip_longest(*rankings))
    yield from (pick for pick in in_turn if pick is not None)
    # What no reason above has named: clean negatives, and frames whose reference lies outside the field of view.
    outside = frames[(frames["positive"] == 0) & (frames["negative"] == 0)]
    rest = _ranked(negative, "frame", True, "frame without a polyp, nothing marked")
    rest += _ranked(outside, "frame", True, "polyp outside the field of view")
    yield from (pick._replace(rank=0) for pick in rest)


def _ranked(frames: pd.DataFrame, column: str, ascending: bool, why: str) -> list[_Pick]:
    ordered = frames.sort_values(column, ascending=ascending, kind="stable")["frame"]
    return [_Pick(str(frame), why, index) for index, frame in enumerate(ordered, 1)]
