"""Frames with boxes among the cases; parts of sub-cohorts by name; what teaches a source."""

from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from polypda.cohorts.field_of_view import Box, FieldOfView
from polypda.cohorts.frames import Frame, LabelState, OpenedCohort, PolypBox, Split
from polypda.data.labels import BoxSupervision
from polypda.errors import DataError, UsageError
from polypda.evaluation.cases.case_table import CaseKey
from polypda.evaluation.scoring.predictions import NativePrediction
from polypda.training.progress import Silent
from polypda.workflows.runs.source_labels import LearntLabels, require_teaching
from polypda.workflows.scoring.prediction_overlay import lesion_words
from polypda.workflows.scoring.scoring import ScoredPart, Scoring

SIZE = (60, 80)


def frame(name: str, state: LabelState, *boxes: PolypBox, split=Split.TEST) -> Frame:
    return Frame("sun", name, Path(f"{name}.png"), patient=f"p{name}", label_state=state, boxes=boxes, split=split)


def seen(one: Frame, marked: tuple[int, int, int, int], ignored: np.ndarray | None = None) -> NativePrediction:
    probability = np.zeros(SIZE, np.float32)
    left, top, right, bottom = marked
    probability[top:bottom, left:right] = 0.9
    reference = None if one.label_state is LabelState.BOX else np.zeros(SIZE, np.uint8)
    view = FieldOfView(np.ones(SIZE, bool), Box(0, 0, 80, 60), found=False)
    return NativePrediction(one, np.zeros((*SIZE, 3), np.uint8), view, reference, {"m": probability}, ignored=ignored)


def key(model: str, one: Frame) -> CaseKey:
    names = {"run": "r", "source": "zju2", "target": "sun", "model": model, "seed": 0, "role": "target"}
    return CaseKey(**names, cohort="sun", split="test", frame=one.frame, phantom=False, training="t")


def scored(*predictions: NativePrediction):
    cohort = OpenedCohort("sun", Path(), tuple(one.frame for one in predictions))
    scoring = Scoring()
    scoring.add(cohort, len(predictions), predictions, key, Silent())
    return scoring.cases().set_index("frame")


def test_boxes_are_scored_by_lesions_and_never_by_pixels():
    hit = frame("hit", LabelState.BOX, PolypBox(10, 10, 30, 30), PolypBox(50, 40, 70, 55))
    free = frame("free", LabelState.NEGATIVE)
    cases = scored(seen(hit, (12, 12, 30, 30)), seen(free, (5, 5, 20, 20)))
    assert list(cases["annotation"]) == ["box", "box"], "frames without a polyp follow their cohort"
    assert cases["dice"].isna().all() and cases["iou"].isna().all() and cases["mae"].isna().all()
    assert cases.loc["hit", ["lesions_reference", "lesions_hit_10", "lesions_predicted"]].tolist() == [2, 1, 1]
    assert cases.loc["free", "negative"] and cases.loc["free", "fp_components"] == 1
    assert lesion_words(cases.loc["hit"]) == "1 of 2 polyps found"
    assert lesion_words(cases.loc["free"]) == ""


def test_beside_masks_a_negative_counts_as_one_with_a_mask():
    boxed, free = frame("boxed", LabelState.BOX, PolypBox(10, 10, 30, 30)), frame("free", LabelState.NEGATIVE)
    masked = frame("masked", LabelState.MASK)
    cases = scored(*(seen(one, (40, 40, 60, 60)) for one in (boxed, free, masked)))
    assert cases["annotation"].to_dict() == {"boxed": "box", "free": "mask", "masked": "mask"}
    assert lesion_words(cases.loc["boxed"]) == "0 of 1 polyp found, 1 mark elsewhere"


def test_ignored_pixels_raise_no_false_alarm():
    ignored = np.zeros(SIZE, bool)
    ignored[:30, :30] = True
    cases = scored(seen(frame("free", LabelState.NEGATIVE), (5, 5, 20, 20), ignored))
    assert cases.loc["free", "fp_components"] == 0 and cases.loc["free", "valid_px"] == 60 * 80 - 900


def test_the_legacy_profile_refuses_boxes():
    boxed = frame("boxed", LabelState.BOX, PolypBox(10, 10, 30, 30))
    scoring = Scoring(object())  # never reached: the table of the extra, which may not be installed
    with pytest.raises(DataError, match="E_LEGACY_BOXES sun"):
        scoring.add(OpenedCohort("sun", Path(), (boxed,)), 1, [], key, Silent())


@pytest.mark.parametrize(
    ("text", "cohort", "part", "name"),
    [
        ("kvasir", "kvasir", "test", "kvasir-test"),
        ("kvasir:all", "kvasir", "all", "kvasir-all"),
        ("polydeep:NBI", "polydeep:nbi", "test", "polydeep.nbi-test"),
        ("polydeep:wl:train", "polydeep:wl", "train", "polydeep.wl-train"),
    ],
)
def test_parts_and_modes_are_told_apart(text, cohort, part, name):
    parsed = ScoredPart.parse(text)
    assert (parsed.cohort, parsed.part, parsed.name) == (cohort, part, name)


@pytest.mark.parametrize("text", ["kvasir:tset", "polydeep:nbi:tset", "polydeep:nbi:wl", "a:b:c:test", "kvasir:"])
def test_other_parts_are_refused(text):
    with pytest.raises(UsageError, match=r"E_PART|E_MODE_NAME"):
        ScoredPart.parse(text)


def cohort_of(**states: int) -> OpenedCohort:
    frames = [
        frame(f"{state}{number}", LabelState(state), split=Split.TRAIN)
        for state, count in states.items()
        for number in range(count)
    ]
    return OpenedCohort("sun", Path(), tuple(frames))


def test_a_source_of_boxes_needs_the_users_word():
    boxed = cohort_of(box=3, negative=2)
    with pytest.raises(
        DataError, match=r"(?s)E_BOX_SUPERVISION sun: .*boxes only \(3 frames.*--box-supervision filled"
    ):
        require_teaching(boxed, Split.TRAIN, None)
    assert len(require_teaching(boxed, Split.TRAIN, BoxSupervision.FILLED)) == 5
    with pytest.raises(DataError, match=r"E_NO_LABELS sun: .*but 2 without a polyp"):
        require_teaching(cohort_of(negative=2, none=1), Split.TRAIN, BoxSupervision.FILLED)
    assert len(require_teaching(cohort_of(mask=2, box=3), Split.TRAIN, None)) == 2


def test_every_table_is_told_what_trained_on():
    learnt = LearntLabels.of(cohort_of(box=3, negative=2), BoxSupervision.FILLED)
    assert learnt.words == "trained on boxes (filled, ignore band): 3 frames, no masks" and learnt.notes == ()
    beside = LearntLabels.of(cohort_of(mask=4, box=3, none=1), BoxSupervision.PROJECTION)
    assert beside.words.endswith("(projection loss, background outside): 3 frames, beside 4 with masks")
    assert beside.notes == ("1 training frames of the source have no label and taught nothing.",)
    silent = LearntLabels.of(cohort_of(mask=4, box=3), None)
    assert silent.words == "" and "3 training frames of the source have boxes only" in silent.notes[0]
    assert LearntLabels.of(cohort_of(mask=4), BoxSupervision.FILLED).words == ""


def test_rows_that_become_columns_as_they_come_give_the_same_table(monkeypatch):
    monkeypatch.setattr("polypda.workflows.scoring.scoring.ROWS_AT_ONCE", 2)
    frames = [frame(f"free{number}", LabelState.NEGATIVE) for number in range(5)]
    cohort = OpenedCohort("sun", Path(), tuple(frames))
    held, columns, most = Scoring(), Scoring(as_columns=True), 0

    def watched():
        nonlocal most
        for number, one in enumerate(frames):
            most = max(most, len(columns.rows))
            yield seen(one, (5 + number, 5, 20, 20))

    held.add(cohort, 5, [seen(one, (5 + number, 5, 20, 20)) for number, one in enumerate(frames)], key, Silent())
    columns.add(cohort, 5, watched(), key, Silent())
    pd.testing.assert_frame_equal(columns.cases(), held.cases())
    assert most == 1 and len(held.rows) == 5
    pd.testing.assert_frame_equal(columns.cases(), held.cases())  # asked a second time
