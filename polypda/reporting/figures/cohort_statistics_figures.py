"""Which figures a page of cohort statistics has."""

from __future__ import annotations

from collections.abc import Iterator

from polypda.evaluation.cohort_differences.results import ALPHA, SUPPORTED_FROM
from polypda.reporting.cohort_statistics import CohortStatistics
from polypda.reporting.figures.cohort_distribution_figure import (
    LABEL_FEATURES,
    PICTURE_FEATURES,
    distributions,
    shown_features,
)
from polypda.reporting.figures.cohort_effect_figure import cohort_profile, distance_matrix, effect_forest
from polypda.reporting.figures.cohort_place_figure import field_outlines, polyp_places
from polypda.reporting.figures.figure_style import Drawing

MOST_FOR_PHONES = 5
"""Cohorts; with more, drawings are laid out once and a phone scrolls them sideways, so that the page stays small."""
READING = (
    "One row per cohort: density over its frames, bar from the first to the third quartile, line and number at the "
    "median. The outermost 0.5 % of frames may lie beyond the axis."
)


def cohort_drawings(statistics: CohortStatistics) -> list[Drawing]:
    """All figures that the statistics allow, in the order of the page."""
    return list(_drawings(statistics))


def _drawings(statistics: CohortStatistics) -> Iterator[Drawing]:
    frames, phantom = statistics.differences.frames, statistics.phantom
    small = len(statistics.cohorts) <= MOST_FOR_PHONES
    yield from _comparisons(statistics)
    yield Drawing(
        "pictures",
        "Pictures, side by side",
        READING,
        lambda layout: distributions(frames, PICTURE_FEATURES, layout, phantom=phantom),
        small,
    )
    if shown_features(frames, LABEL_FEATURES):
        yield Drawing(
            "polyps",
            "Polyps, side by side",
            f"{READING} Frames with a polyp only.",
            lambda layout: distributions(frames, LABEL_FEATURES, layout, phantom=phantom),
            small,
        )
    if len(statistics.cohorts) == 2:
        yield _pair_drawing(statistics)
    yield Drawing(
        "field-of-view",
        "Mean field of view",
        "Over the whole frame, brought to one size: white where every frame shows the inside, black where none does. "
        "Solid line: half of the frames; dotted: a tenth; dashed: nine tenths.",
        lambda layout: field_outlines(statistics.maps, layout, phantom=phantom),
        small,
    )
    if any(one.polyps is not None for one in statistics.maps.values()):
        yield Drawing(
            "polyp-places",
            "Where polyps lie",
            "Over the bounding box of each frame’s field of view, frames with a polyp only; boxes count with all of "
            "their area.",
            lambda layout: polyp_places(statistics.maps, layout, phantom=phantom),
            small,
        )


def _comparisons(statistics: CohortStatistics) -> Iterator[Drawing]:
    differences, phantom = statistics.differences, statistics.phantom
    if len(statistics.cohorts) > 2:
        yield Drawing(
            "distances",
            "Distance between cohorts",
            "Energy coefficient of light, colour, highlights, sharpness and noise inside the field of view: 0 alike, 1 "
            "wholly apart. Framed: two halves of one cohort, which shows what chance does.",
            lambda layout: distance_matrix(differences, layout, phantom=phantom),
            for_small_pages=False,
        )
        yield Drawing(
            "profiles",
            "What sets each cohort apart",
            "Mean Cliff’s δ of a cohort over the others: +1 (blue) all of its frames lie above theirs, −1 (red) "
            "below, 0 "
            "the same.",
            lambda layout: cohort_profile(differences, layout, phantom=phantom),
            for_small_pages=False,
        )


def _pair_drawing(statistics: CohortStatistics) -> Drawing:
    return Drawing(
        "differences",
        "In what they differ",
        "Cliff’s δ: the chance that a frame of the one lies above a frame of the other, less the reverse. Lines: "
        "95 % "
        "intervals; dashed where frames were treated as independent (likely too narrow); none where the cohorts do "
        f"not overlap or have too few clusters. Filled: at least {SUPPORTED_FROM:g} (outside the grey band) and "
        "p < "
        f"{ALPHA:g} after Holm’s correction.",
        lambda layout: effect_forest(statistics.differences.effects, layout, phantom=statistics.phantom),
    )
