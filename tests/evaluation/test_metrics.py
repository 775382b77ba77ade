"""Per-frame metrics: a conformance table with exact rational answers, properties, bad input."""

from __future__ import annotations

import math
from dataclasses import asdict
from fractions import Fraction as Q

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from polypda.errors import DataError, UsageError
from polypda.evaluation.cases.case_table import NEEDS_MASK, CaseKey, case_row, cases_table
from polypda.evaluation.scoring.mask_geometry import LESION_RULE, find_lesions
from polypda.evaluation.scoring.metrics import FrameMetrics, box_ious, frame_metrics, frame_metrics_boxes

NAN = None


def grid(text: str) -> np.ndarray:
    return np.array([[cell == "#" for cell in row] for row in text.split()])


def expect(**answers: Q | int | bool | None) -> dict:
    return answers


# reference, prediction, valid area ("" = everywhere), {metric: exact answer; NAN = not a number}
CONFORMANCE = {
    "equal": (
        "##. ...", "##. ...", "",
        expect(dice=Q(1), iou=Q(1), sensitivity=Q(1), ppv=Q(1), specificity=Q(1), f2=Q(1)),
    ),
    "half found": (
        "##.. ....", "#... ....", "",
        expect(dice=Q(2, 3), iou=Q(1, 2), sensitivity=Q(1, 2), ppv=Q(1), specificity=Q(1), f2=Q(5, 9), mae=Q(1, 8)),
    ),
    "twice too large": (
        "##.. ....", "##.. ##..", "",
        expect(dice=Q(2, 3), iou=Q(1, 2), sensitivity=Q(1), ppv=Q(1, 2), specificity=Q(2, 3), f2=Q(5, 6), mae=Q(1, 4)),
    ),
    "overlap of one": (
        "##... .....", ".##.. .....", "",
        expect(dice=Q(1, 2), iou=Q(1, 3), sensitivity=Q(1, 2), ppv=Q(1, 2), specificity=Q(7, 8), f2=Q(1, 2)),
    ),
    "beside": (
        "#.. ...", "..# ...", "",
        expect(dice=Q(0), iou=Q(0), sensitivity=Q(0), ppv=Q(0), specificity=Q(4, 5), f2=Q(0), missed=False),
    ),
    "missed": (
        "##. ...", "... ...", "",
        expect(dice=Q(0), iou=Q(0), sensitivity=Q(0), ppv=NAN, specificity=Q(1), f2=Q(0), missed=True),
    ),
    "false alarm": (
        "... ...", "#.. ...", "",
        expect(dice=NAN, iou=NAN, sensitivity=NAN, ppv=Q(0), specificity=Q(5, 6), f2=NAN, mae=Q(1, 6), negative=True),
    ),
    "rightly silent": (
        "... ...", "... ...", "",
        expect(dice=NAN, iou=NAN, sensitivity=NAN, ppv=NAN, specificity=Q(1), f2=NAN, mae=Q(0), fp_components=0),
    ),
    "polyp everywhere": (
        "### ###", "### ##.", "",
        expect(dice=Q(10, 11), iou=Q(5, 6), sensitivity=Q(5, 6), ppv=Q(1), specificity=NAN, relative_polyp_area=Q(1)),
    ),
    "only the valid area counts": (
        "##.. ##..", "###. ..#.", "###. ....",
        expect(dice=Q(4, 5), iou=Q(2, 3), valid_px=3, relative_polyp_area=Q(2, 3), fp_area_fraction=Q(1, 3),
             reference_outside_share=Q(1, 2)),
    ),
    "reference wholly outside": (
        "#... ....", ".#.. ....", ".### ####",
        expect(dice=NAN, sensitivity=NAN, ppv=Q(0), positive=False, negative=False, fp_components=None,
             reference_outside_share=Q(1)),
    ),
}  # fmt: skip


@pytest.mark.parametrize("name", CONFORMANCE)
def test_conformance(name: str) -> None:
    reference, prediction, valid, expected = CONFORMANCE[name]
    area = grid(valid) if valid else np.ones(grid(reference).shape, bool)
    got = asdict(frame_metrics(grid(prediction).astype(np.float32), grid(reference), area))
    for metric, answer in expected.items():
        if answer is None and metric != "fp_components":
            assert math.isnan(got[metric]), metric
        elif isinstance(answer, Q):
            assert got[metric] == pytest.approx(float(answer), abs=1e-15), metric
        else:
            assert got[metric] == answer, metric
    assert got["tp_px"] + got["fp_px"] + got["fn_px"] + got["tn_px"] == got["valid_px"]


def test_every_case_is_not_square() -> None:
    assert all(len(set(grid(row[0]).shape)) == 2 for row in CONFORMANCE.values())


def test_a_probability_at_the_threshold_is_polyp_and_mae_sees_the_probability() -> None:
    probability = np.array([[0.5, 0.499, 0.25]], np.float32)
    got = frame_metrics(probability, np.array([[1, 1, 0]], np.uint8), np.ones((1, 3), bool))
    assert (got.tp_px, got.fn_px) == (1, 1)
    assert got.mae == pytest.approx((0.5 + 0.501 + 0.25) / 3)


def test_components_are_eight_connected_and_specks_are_counted_apart() -> None:
    marked = np.zeros((60, 80), bool)
    marked[2:6, 2:7] = True  # 20 px
    marked[6:10, 7:12] = True  # touches the first at a corner only: one component
    marked[30:33, 30:36] = True  # 18 px: a speck
    marked[50, 70] = True
    marked[40:44, 40:45] = True  # 20 px by itself: no speck
    few = find_lesions(marked, marked.size)
    assert (few.count, few.specks) == (2, 2)
    # 0.02 % of a field of 250,000 px is 50 px: the larger ones become specks as well
    none = find_lesions(marked, 250_000)
    assert (none.count, none.specks) == (0, 4)


def test_more_than_one_percent_of_the_field_makes_a_false_positive_frame() -> None:
    valid = np.ones((20, 50), bool)
    probability = np.zeros(valid.shape)
    probability[0, :10] = 1.0
    nothing = np.zeros(valid.shape, np.uint8)
    assert not frame_metrics(probability, nothing, valid).false_positive_frame  # exactly 1 %
    probability[0, 10] = 1.0
    assert frame_metrics(probability, nothing, valid).false_positive_frame


masks = arrays(bool, (5, 7))


@given(masks, masks, masks.filter(np.any))
@settings(max_examples=150, deadline=None)
def test_dice_is_symmetric_and_iou_follows_from_it(first: np.ndarray, second: np.ndarray, valid: np.ndarray) -> None:
    one = frame_metrics(first.astype(float), second, valid)
    other = frame_metrics(second.astype(float), first, valid)
    if one.positive and other.positive:
        assert one.dice == other.dice and one.sensitivity == other.ppv
        assert one.iou == pytest.approx(one.dice / (2 - one.dice))


@given(masks, masks, masks.filter(np.any), st.sampled_from([np.fliplr, np.flipud, np.rot90, np.transpose]))
@settings(max_examples=150, deadline=None)
def test_turning_the_frame_changes_nothing(first: np.ndarray, second: np.ndarray, valid: np.ndarray, turn) -> None:
    straight = asdict(frame_metrics(first.astype(float), second, valid))
    turned = asdict(frame_metrics(turn(first).astype(float), turn(second), turn(valid)))
    for name, tenths in straight.pop("reliability").items():
        assert tenths == pytest.approx(turned["reliability"][name]), name
    ignored = {"width_px", "height_px"}
    for name in straight.keys() - ignored:
        assert straight[name] == pytest.approx(turned[name], nan_ok=True) if straight[name] is not None else True, name


@given(masks.filter(np.any), masks)
@settings(max_examples=150, deadline=None)
def test_one_more_true_positive_never_lowers_a_metric(reference: np.ndarray, prediction: np.ndarray) -> None:
    everywhere = np.ones(reference.shape, bool)
    missing = np.argwhere(reference & ~prediction)
    if len(missing):
        better = prediction.copy()
        better[tuple(missing[0])] = True
        low, high = (frame_metrics(p.astype(float), reference, everywhere) for p in (prediction, better))
        assert high.dice > low.dice and high.iou > low.iou and high.sensitivity > low.sensitivity and high.f2 > low.f2


@given(arrays(np.float32, (5, 7), elements=st.floats(0, 1, width=32)), masks, masks.filter(np.any))
@settings(max_examples=150, deadline=None)
def test_the_tenths_hold_every_valid_pixel_once(probability: np.ndarray, reference: np.ndarray, valid) -> None:
    got = frame_metrics(probability, reference, valid)
    tenths = got.reliability
    assert sum(tenths.pixels) == got.valid_px and sum(tenths.reference) == got.reference_px
    assert sum(tenths.probability) == pytest.approx(probability[valid].sum(dtype=np.float64))
    for tenth, (pixels, total) in enumerate(zip(tenths.pixels, tenths.probability, strict=True)):
        assert tenth / 10 * pixels - 1e-5 <= total <= (tenth + 1) / 10 * pixels + 1e-5


EVERYWHERE = np.ones((3, 4), bool)
REFERENCE = np.zeros((3, 4), np.uint8)
GOOD = np.full((3, 4), 0.2)


@pytest.mark.parametrize(
    ("code", "probability", "reference", "valid", "threshold"),
    [
        ("E_METRIC_SIZE", GOOD.T, REFERENCE, EVERYWHERE, 0.5),
        ("E_METRIC_SIZE", GOOD, REFERENCE, EVERYWHERE[:2], 0.5),
        ("E_METRIC_SIZE", GOOD[..., None], REFERENCE[..., None], EVERYWHERE[..., None], 0.5),
        ("E_METRIC_TYPE", REFERENCE, REFERENCE, EVERYWHERE, 0.5),
        ("E_METRIC_TYPE", GOOD, REFERENCE, REFERENCE, 0.5),
        ("E_PROBABILITY_NAN", np.where(EVERYWHERE, np.nan, 0), REFERENCE, EVERYWHERE, 0.5),
        ("E_PROBABILITY_RANGE", GOOD * 255, REFERENCE, EVERYWHERE, 0.5),
        ("E_PROBABILITY_RANGE", GOOD - 1, REFERENCE, EVERYWHERE, 0.5),
        ("E_REFERENCE_NOT_BINARY", GOOD, REFERENCE + 255, EVERYWHERE, 0.5),
        ("E_REFERENCE_NOT_BINARY", GOOD, GOOD, EVERYWHERE, 0.5),
        ("E_VALID_AREA_EMPTY", GOOD, REFERENCE, ~EVERYWHERE, 0.5),
    ],
)
def test_bad_input_is_refused(code, probability, reference, valid, threshold) -> None:
    with pytest.raises(DataError) as caught:
        frame_metrics(probability, reference, valid, threshold, frame="0412")
    assert caught.value.code == code and "0412" in str(caught.value) and caught.value.fix


@pytest.mark.parametrize("threshold", [0.0, -1.0, 1.01, math.nan])
def test_a_threshold_outside_its_range_is_refused(threshold: float) -> None:
    with pytest.raises(UsageError, match="E_THRESHOLD_RANGE"):
        frame_metrics(GOOD, REFERENCE, EVERYWHERE, threshold)


def test_rounding_of_resampled_probabilities_is_forgiven() -> None:
    got = frame_metrics(np.full((3, 4), 1.000001), np.ones((3, 4), np.uint8), EVERYWHERE)
    assert got.mae == 0.0 and got.dice == 1.0


SIZE = (60, 90)
WHOLE_FRAME = np.ones(SIZE, bool)


def marked(*blocks: tuple[int, int, int, int]) -> np.ndarray:
    probability = np.full(SIZE, 0.1)
    for left, top, right, bottom in blocks:
        probability[top:bottom, left:right] = 0.9
    return probability


def scored(probability: np.ndarray, boxes: list, valid: np.ndarray = WHOLE_FRAME) -> FrameMetrics:
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
    boxed, masked = scored(prediction, []), frame_metrics(prediction, np.zeros(SIZE, bool), WHOLE_FRAME)
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
        frame_metrics_boxes(marked(), [], WHOLE_FRAME, 0.0)
