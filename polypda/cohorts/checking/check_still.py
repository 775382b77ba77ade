"""Insets and burned-in text, by the pixels that never change."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Sequence

import numpy as np

from polypda.cohorts.checking.cohort_view import CohortView
from polypda.cohorts.checking.findings import Drawing, Finding, Severity, StillMap
from polypda.cohorts.checking.observation import Observation
from polypda.cohorts.checking.still_pixels import FEWEST_FRAMES, MOST_FRAMES, reduced_grey, still_pixels
from polypda.cohorts.images import read_image
from polypda.errors import DataError

MOST_SIZES = 3
LEAST_SHARE = 2e-4
"""Still content below this share of the frame is not worth a word."""


def still_maps(seen: Sequence[Observation]) -> tuple[StillMap, ...]:
    """Maps of the commonest sizes, from evenly spread frames of each; frames of one cluster are not enough.

    These few frames are read a second time: which sizes are common is known only after the first look.
    """
    by_size: dict[tuple[int, int], list[Observation]] = defaultdict(list)
    for one in seen:
        if one.image_size is not None and one.problem is None:
            by_size[one.image_size].append(one)
    counts = Counter({size: len(group) for size, group in by_size.items()})
    maps = (_map_of(size, by_size[size]) for size, count in counts.most_common(MOST_SIZES) if count >= FEWEST_FRAMES)
    return tuple(made for made in maps if made is not None)


def _map_of(size: tuple[int, int], group: Sequence[Observation]) -> StillMap | None:
    chosen = [group[place] for place in np.unique(np.linspace(0, len(group) - 1, MOST_FRAMES).astype(int))]
    greys, last = [], chosen[0]
    for one in chosen:
        try:
            greys.append(reduced_grey(read_image(one.frame.image)))
        except DataError:  # gone since the first look
            continue
        last = one
    if len(greys) < FEWEST_FRAMES:
        return None
    still = still_pixels(greys)
    return StillMap(size, len(greys), float(still.mean()), still, (last.frame.cohort, last.frame.frame))


def check_still(view: CohortView) -> list[Finding]:
    """What every frame shows at one place is no mucosa: it must not teach, and may name a patient."""
    shown = [one for one in view.still if one.share >= LEAST_SHARE]
    if not shown:
        return []
    listed = "; ".join(
        f"{one.size[0]}×{one.size[1]}: {one.share:.1%} of the frame ({one.frames} frames compared)" for one in shown
    )
    message = f"content that does not change from frame to frame (inset, burned-in text): {listed}."
    covered = all(one.frame.ignore is not None for one in view.seen)
    hint = "" if covered else " `polypda cohorts import --deidentify` blanks or ignores such regions."
    return [Finding("N_STILL", Severity.NOTE, message + hint, drawing=Drawing.MAP, maps=tuple(shown))]
