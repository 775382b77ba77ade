"""The real folders, where they are at hand: POLYPDA_TEST_DATA, or shared/data beside the repository."""

import os
from pathlib import Path

import numpy as np
import pytest

from polypda.cohorts.frames import LabelState
from polypda.cohorts.images import read_image, read_mask
from polypda.cohorts.opening import open_cohort, present
from polypda.cohorts.splits import assign_splits

REPOSITORY = Path(__file__).parents[2]
ROOT = Path(os.environ.get("POLYPDA_TEST_DATA", REPOSITORY.parent / "shared" / "data"))
# cohort → frames of train, validation and test, which must never move
COUNTS = {
    "cvc-clinicdb": (407, 70, 135),
    "kvasir": (800, 96, 97),
    "bkai-neopolyp": (362, 50, 106),
    "polypgen-c1": (195, 18, 43),
    "polypgen-c2": (219, 24, 58),
    "polypgen-c3": (318, 42, 97),
    "polypgen-c4": (164, 18, 45),
}


@pytest.fixture(params=COUNTS)
def cohort(request):
    if not present(request.param, ROOT):
        pytest.skip(f"no real frames of {request.param}: set POLYPDA_TEST_DATA to a data root that holds them")
    return request.param


def test_frames_pair_up_and_their_split_stays(cohort):
    opened = open_cohort(cohort, ROOT)
    assert tuple(opened.counts().values()) == COUNTS[cohort]
    assert all(frame.mask is not None for frame in opened.frames)


def test_polyp_free_sequences_are_negatives_by_declaration():
    if not present("polypgen-negative", ROOT):
        pytest.skip("no real frames of polypgen-negative")
    frames = open_cohort("polypgen-negative", ROOT).frames
    assert len(frames) == 159 and {frame.label_state for frame in frames} == {LabelState.NEGATIVE}
    assert len({frame.sequence for frame in frames}) == 10 and all(frame.mask is None for frame in frames)
    assert {frame.label_state for frame in open_cohort("polypgen-negative", ROOT, labels=False).frames} == {
        LabelState.NONE
    }


def test_split_does_not_depend_on_labels(cohort):
    with_labels, without = (open_cohort(cohort, ROOT, labels=labels) for labels in (True, False))
    assert [(f.frame, f.split) for f in with_labels.frames] == [(f.frame, f.split) for f in without.frames]
    assert assign_splits(without.frames) == without.frames


def test_some_frames_read_with_a_mask_of_their_size(cohort):
    frames = open_cohort(cohort, ROOT).frames
    for frame in frames[:: max(1, len(frames) // 5)]:
        image, mask = read_image(frame.image), read_mask(frame.mask)
        assert image.shape[:2] == mask.shape and set(np.unique(mask)) <= {0, 1}
