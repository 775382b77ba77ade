"""Frames that a run learnt from, found again for a later evaluation."""

from __future__ import annotations

import io
from dataclasses import replace

import pandas as pd

from polypda.cohorts.frames import Frame, Split
from polypda.cohorts.opening import open_cohort
from polypda.errors import DataError
from polypda.training.config import AdaptConfig
from polypda.training.run_folder import RunFolder
from polypda.workflows.runs.places import Places

NOT_HERE = ("E_COHORT_ABSENT", "E_COHORT_EMPTY", "E_COHORT_BOXES", "E_COHORT_VIDEO")


def learnt_frames(run: RunFolder, config: AdaptConfig, places: Places) -> tuple[tuple[Frame, ...], tuple[str, ...]]:
    """Frames of the run's training and validation parts as they were recorded, without labels; and what was not found.

    The target's are among them: the methods saw them, without labels. Nothing is found of rendered cohorts.
    """
    if config.phantom:
        return (), ()
    frames: list[Frame] = []
    notes = []
    for cohort in (config.source, config.target):
        text = run.split_text(cohort)
        if not text:
            continue  # a run from a source package never saw source frames
        split = pd.read_csv(io.StringIO(text), dtype=str, keep_default_na=False).set_index("frame")["split"]
        try:
            opened = open_cohort(cohort, places.data_root, labels=False, allow_leakage=True)
        except DataError as error:
            if error.code not in NOT_HERE:
                raise
            notes.append(f"{cohort} is not here: whether scored frames resemble its training frames was not checked.")
            continue
        known = ((frame, split.get(frame.frame)) for frame in opened.frames)
        frames += [replace(frame, split=Split(part)) for frame, part in known if part and part != Split.TEST.value]
    return tuple(frames), tuple(notes)
