"""Lesions: components, specks, one-to-one matching; every count known by hand or found by trying all matchings."""

import itertools

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from skimage.measure import label, regionprops

from polypda.evaluation.scoring.mask_geometry import count_hits, find_lesions, lesion_ious
from polypda.evaluation.scoring.metrics import frame_metrics

SIZE = (60, 90)


def painted(*blocks: tuple[int, int, int, int]) -> np.ndarray:
    """True in each half-open x0, y0, x1, y1."""
    mask = np.zeros(SIZE, bool)
    for left, top, right, bottom in blocks:
        mask[top:bottom, left:right] = True
    return mask


def scored(reference: np.ndarray, predicted: np.ndarray, valid: np.ndarray | None = None):
    return frame_metrics(predicted.astype(float), reference, np.ones(SIZE, bool) if valid is None else valid)


def counts(got) -> tuple[int, int, int, int]:
    return got.lesions_reference, got.lesions_predicted, got.lesions_hit_10, got.lesions_hit_50


def test_one_blob_over_two_polyps_finds_one_of_them() -> None:
    two = painted((10, 10, 30, 30), (40, 10, 60, 30))
    assert counts(scored(two, painted((10, 10, 60, 30)))) == (2, 1, 1, 0)  # IoU 0.4 with either


def test_two_halves_of_a_polyp_are_one_hit() -> None:
    halves = painted((10, 10, 20, 30), (21, 10, 30, 30))
    assert counts(scored(painted((10, 10, 30, 30)), halves)) == (1, 2, 1, 1)  # 200 of 400 px: IoU 0.5


@pytest.mark.parametrize(
    ("width", "hits"),
    [(2, (1, 0)), (1, (0, 0)), (10, (1, 1)), (9, (1, 0))],  # of 20 columns: IoU 0.1, 0.05, 0.5, 0.45
)
def test_the_rules_include_their_bounds(width: int, hits: tuple[int, int]) -> None:
    got = scored(painted((10, 10, 30, 30)), painted((10, 10, 10 + width, 30)))
    assert (got.lesions_hit_10, got.lesions_hit_50) == hits


def test_specks_are_dropped_and_counted_in_both_masks() -> None:
    reference = painted((10, 10, 30, 30), (50, 5, 54, 9))  # the second: 16 px
    predicted = painted((10, 10, 30, 30), (50, 5, 54, 9), (80, 50, 81, 51), (70, 20, 74, 25))  # the last: 20 px
    got = scored(reference, predicted)
    assert counts(got) == (1, 2, 1, 1)
    assert (got.lesion_specks_reference, got.lesion_specks_predicted) == (1, 2)


def test_corners_connect_and_false_positive_components_are_the_same_count() -> None:
    got = scored(painted(), painted((5, 5, 10, 10), (10, 10, 15, 15), (40, 40, 50, 50), (0, 59, 9, 60)))
    assert (got.fp_components, got.specks) == (got.lesions_predicted, got.lesion_specks_predicted) == (2, 1)


def test_what_lies_outside_the_valid_area_is_no_lesion() -> None:
    valid = np.ones(SIZE, bool)
    valid[:, 45:] = False
    both = painted((10, 10, 30, 30), (50, 10, 70, 30))
    assert counts(scored(both, both, valid)) == (1, 1, 1, 1)


def test_an_empty_mask_has_none() -> None:
    assert counts(scored(painted(), painted())) == (0, 0, 0, 0)
    assert counts(scored(painted((10, 10, 30, 30)), painted())) == (1, 0, 0, 0)


def all_matchings(ious: np.ndarray, least: float) -> int:
    """Hits of the matching of greatest total IoU, by trying every one (ties: more hits)."""
    rows, columns = ious.shape
    slots = [*range(columns), *[None] * rows]
    best = (0.0, 0)
    for choice in set(itertools.permutations(slots, rows)):
        chosen = [ious[row, column] for row, column in enumerate(choice) if column is not None]
        allowed = [iou for iou in chosen if iou >= least]
        best = max(best, (round(sum(allowed), 9), len(allowed)))
    return best[1]


@given(
    arrays(
        float, st.tuples(st.integers(0, 3), st.integers(0, 3)), elements=st.sampled_from([0, 0.05, 0.1, 0.3, 0.5, 1])
    ),
    st.sampled_from([0.1, 0.5]),
)
@settings(max_examples=150, deadline=None)
def test_hits_are_those_of_the_best_matching(ious: np.ndarray, least: float) -> None:
    assert count_hits(ious, least) == all_matchings(ious, least)


@given(arrays(bool, (8, 13)), arrays(bool, (8, 13)))
@settings(max_examples=150, deadline=None)
def test_components_and_ious_are_those_of_scikit_image(first: np.ndarray, second: np.ndarray) -> None:
    # enlarged, so that single cells are more than specks
    big = [np.kron(mask, np.ones((5, 5), bool)) for mask in (first, second)]
    lesions = [find_lesions(mask, mask.size) for mask in big]
    labels = [label(mask, connectivity=2) for mask in big]
    for found, reference in zip(lesions, labels, strict=True):
        regions = regionprops(reference)
        boxes = sorted((r.bbox[1], r.bbox[0], r.bbox[3], r.bbox[2], int(r.area)) for r in regions)
        assert sorted((*box, area) for box, area in zip(found.boxes.tolist(), found.areas_px, strict=True)) == boxes
        assert found.specks == 0
    expected = [
        np.sum((labels[0] == i) & (labels[1] == j)) / np.sum((labels[0] == i) | (labels[1] == j))
        for i in range(1, labels[0].max() + 1)
        for j in range(1, labels[1].max() + 1)
    ]
    assert sorted(lesion_ious(*lesions).ravel()) == pytest.approx(sorted(expected))


def test_labels_stay_consecutive_when_specks_are_dropped() -> None:
    mask = painted((0, 0, 2, 2), (10, 10, 20, 20), (30, 0, 31, 1), (40, 30, 60, 50))
    found = find_lesions(mask, mask.size)
    assert found.areas_px.tolist() == [100, 400] and found.specks == 2
    assert np.bincount(found.labels.ravel())[1:].tolist() == [100, 400]
    assert found.boxes.tolist() == [[10, 10, 20, 20], [40, 30, 60, 50]]
