"""Frames of which nothing can be learnt: told by name before a training begins, and an error where all are so."""

from __future__ import annotations

import logging

import numpy as np
from numpy.typing import NDArray

from polypda.cohorts.image_files import name_some
from polypda.data.cache import CachedFrames
from polypda.errors import DataError

log = logging.getLogger(__name__)


def require_learnable(frames: CachedFrames, role: str) -> None:
    """Refuse training frames that are all blank, or whose masks are all empty or all full; tell where some are.

    Costs nothing: it was seen when the frames were cached. Masks of which some are empty are frames without a polyp.
    role: "source" or "target", for messages.
    Raises: DataError E_FRAMES_BLANK, E_MASKS_EMPTY, E_MASKS_FULL.
    """
    facts = frames.facts
    if facts is None or not len(frames):
        return
    what = f"{role} training frames are of one colour: nothing can be seen on them"
    if _all(frames, facts.blank, "W_FRAMES_BLANK", what):
        fix = "look at them; import the cohort again where its files were damaged."
        raise DataError("E_FRAMES_BLANK", f"all {len(frames)} {what}.", where=frames.frames[0].cohort, fix=fix)
    if facts.polyp is None or facts.full is None:
        return
    if not facts.polyp.any():
        what = f"none of the {len(frames)} {role} training masks marks a polyp within the field of view."
        fix = "look at the masks; frames without a polyp alone teach to find none."
        raise DataError("E_MASKS_EMPTY", what, where=frames.frames[0].cohort, fix=fix)
    what = f"{role} training masks cover their whole frame: nothing is no polyp there"
    if _all(frames, facts.full, "W_MASKS_FULL", what):
        fix = "look at the masks: are black and white exchanged, or are they masks of the field of view?"
        raise DataError("E_MASKS_FULL", f"all {len(frames)} {what}.", where=frames.frames[0].cohort, fix=fix)


def _all(frames: CachedFrames, concerned: NDArray[np.bool_], code: str, what: str) -> bool:
    """Whether all are concerned; where some are, these are named in the log."""
    count = int(concerned.sum())
    if 0 < count < len(frames):
        named = name_some([frames.frames[index].frame for index in np.flatnonzero(concerned)])
        log.warning("%s %s: %d of %d %s: %s", code, frames.frames[0].cohort, count, len(frames), what, named)
    return count == len(frames)
