"""Frames annotated with boxes: lesions by box, no pixel figure, false positives where there is no box."""

import math

import numpy as np
import pytest

from polypda.errors import DataError, UsageError
from polypda.evaluation.cases.case_table import NEEDS_MASK, CaseKey, case_row, cases_table
from polypda.evaluation.scoring.mask_geometry import LESION_RULE
from polypda.evaluation.scoring.metrics import FrameMetrics, box_ious, frame_metrics, frame_metrics_boxes

SIZE = (60, 90)
EVERYWHERE = np.ones(SIZE, bool)


def marked(*blocks: tuple[int, int, int, int]) -> np.ndarray:
    probability = np.full(SIZE, 0.1)
    for left, top, right, bottom in blocks:
        probability[top:bottom, left:right] = 0.9
    return probability


def scored(probability: np.ndarray, boxes: list, valid: np.ndarray = EVERYWHERE) -> FrameMetrics:
    return frame_metrics_boxes(probability, boxes, valid, frame="0412")


def test_a_component_is_compared_by_its_tight_box() -> None:
    frame = np.full(SIZE, 0.1)
    frame[10:31, 20] = frame[30, 20:41] = 0.9  # an L: 41 px, whose box is 21×21
    got = scored(frame, [[20, 10, 41, 31]])
    assert (got.lesions_reference, got.lesions_predicted, got.lesions_hit_10, got.lesions_hit_50) == (1, 1, 1, 1)


def test_matching_is_one_to_one_by_the_rules_of_lesions() -> None:
    assert "0.1" in LESION_RULE and "0.5" in LESION_RULE
    got = scored(marked((10, 10, 60, 30)), [[10, 10, 30, 30], [40, 10, 60, 30]])
    assert (got.lesions_reference, got.lesions_predicted, got.lesions_hit_10, got.lesions_hit_50) == (2, 1, 1, 0)


def test_no_pixel_figure_is_made_of_a_box() -> None:
    got = scored(marked((10, 10, 30, 30)), [[10, 10, 30, 30]])
    values = vars(got)
    assert all(math.isnan(values[name]) for name in (*NEEDS_MASK, "fp_area_fraction", "reference_outside_share"))
    assert all(values[f"{name}_px"] is None for name in ("tp", "fp", "fn", "tn", "reference"))
    assert got.positive and not got.negative and not got.missed and got.fp_components is None
    assert sum(got.reliability.pixels) == got.valid_px and sum(got.reliability.reference) == 0
    row = case_row(
        CaseKey("r", "a", "b", "m", 0, "target", "b", "test", "f", False, training="w", annotation="box"), got
    )
    table = cases_table([row])
    assert table["tp_px"].isna().all() and table["annotation"].tolist() == ["box"]
    with pytest.raises(DataError, match="no Dice"):
        cases_table([row | {"annotation": "mask"}])


@pytest.mark.parametrize("prediction", [marked(), marked((5, 5, 8, 9))])  # nothing, and a speck of 12 px
def test_missed_means_no_component(prediction: np.ndarray) -> None:
    got = scored(prediction, [[10, 10, 30, 30]])
    assert got.missed and got.lesions_predicted == 0 and not got.hd95_penalised


def test_without_a_box_the_false_positive_block_is_that_of_masks() -> None:
    prediction = marked((10, 10, 30, 30), (50, 50, 52, 52))
    boxed, masked = scored(prediction, []), frame_metrics(prediction, np.zeros(SIZE, bool), EVERYWHERE)
    for name in ("negative", "positive", "missed", "fp_components", "specks", "fp_area_fraction"):
        assert vars(boxed)[name] == vars(masked)[name], name
    assert boxed.false_positive_frame and masked.false_positive_frame and math.isnan(boxed.specificity)


def test_a_box_outside_the_field_of_view_is_neither_positive_nor_negative() -> None:
    valid = np.zeros(SIZE, bool)
    valid[10:50, 10:50] = True
    got = scored(marked(), [[60, 10, 80, 30]], valid)
    assert (got.positive, got.negative, got.missed, got.lesions_reference) == (False, False, False, 0)
    cut = scored(marked((40, 20, 90, 40)), [[40, 20, 80, 40]], valid)  # both are cut at 50
    assert (cut.lesions_reference, cut.lesions_hit_50) == (1, 1)


def test_ious_of_boxes() -> None:
    first, second = np.array([[0, 0, 4, 2.0]]), np.array([[2, 0, 6, 2], [0, 0, 4, 2], [4, 0, 8, 2.0]])
    assert box_ious(first, second).tolist() == [[pytest.approx(1 / 3), 1.0, 0.0]]
    assert box_ious(first, np.zeros((0, 4))).shape == (1, 0)


@pytest.mark.parametrize(
    ("code", "boxes"),
    [
        ("E_BOX_SHAPE", [[1, 2, 3]]),
        ("E_BOX_SHAPE", [1, 2, 3, 4]),
        ("E_BOX_SHAPE", [["a", 2, 3, 4]]),
        ("E_BOX_SHAPE", [[1, 2, 3, 4], [1, 2]]),
        ("E_BOX_RANGE", [[1, 2, 3, 4], [5, 5, 5, 9]]),
        ("E_BOX_RANGE", [[30, 30, 10, 10]]),
        ("E_BOX_RANGE", [[-1, 2, 3, 4]]),
        ("E_BOX_RANGE", [[80, 50, 91, 60]]),
        ("E_BOX_RANGE", [[1, 2, math.nan, 4]]),
        ("E_BOX_RANGE", [[1, 2, math.inf, 4]]),
    ],
)
def test_wrong_boxes_are_refused(code: str, boxes: list) -> None:
    with pytest.raises(DataError) as caught:
        scored(marked(), boxes)
    assert caught.value.code == code and "0412" in str(caught.value) and caught.value.fix


def test_wrong_maps_are_refused_as_with_masks() -> None:
    with pytest.raises(DataError, match="E_PROBABILITY_NAN"):
        scored(np.full(SIZE, np.nan), [])
    with pytest.raises(DataError, match="E_METRIC_SIZE"):
        scored(np.zeros((3, 4)), [])
    with pytest.raises(UsageError, match="E_THRESHOLD_RANGE"):
        frame_metrics_boxes(marked(), [], EVERYWHERE, 0.0)
