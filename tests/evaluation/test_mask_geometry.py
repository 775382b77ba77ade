"""Lesions: components, specks, one-to-one matching; every count known by hand or found by trying all matchings."""

from __future__ import annotations

import itertools
import math

import cv2
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from scipy.ndimage import binary_erosion, distance_transform_edt
from skimage.measure import label, regionprops

from polypda.evaluation.scoring import mask_geometry as surface
from polypda.evaluation.scoring.mask_geometry import (
    bounding_box,
    count_hits,
    edge_pixels,
    find_lesions,
    hd95_and_nsd,
    lesion_ious,
    nsd_tolerance_px,
    outline_distances,
    percentile_95,
)
from polypda.evaluation.scoring.metrics import frame_metrics

SIZE = (60, 90)


def painted(*blocks: tuple[int, int, int, int]) -> np.ndarray:
    """True in each half-open x0, y0, x1, y1."""
    mask = np.zeros(SIZE, bool)
    for left, top, right, bottom in blocks:
        mask[top:bottom, left:right] = True
    return mask


def scored_lesions(reference: np.ndarray, predicted: np.ndarray, valid: np.ndarray | None = None):
    return frame_metrics(predicted.astype(float), reference, np.ones(SIZE, bool) if valid is None else valid)


def counts(got) -> tuple[int, int, int, int]:
    return got.lesions_reference, got.lesions_predicted, got.lesions_hit_10, got.lesions_hit_50


def test_one_blob_over_two_polyps_finds_one_of_them() -> None:
    two = painted((10, 10, 30, 30), (40, 10, 60, 30))
    assert counts(scored_lesions(two, painted((10, 10, 60, 30)))) == (2, 1, 1, 0)  # IoU 0.4 with either


def test_two_halves_of_a_polyp_are_one_hit() -> None:
    halves = painted((10, 10, 20, 30), (21, 10, 30, 30))
    assert counts(scored_lesions(painted((10, 10, 30, 30)), halves)) == (1, 2, 1, 1)  # 200 of 400 px: IoU 0.5


@pytest.mark.parametrize(
    ("width", "hits"),
    [(2, (1, 0)), (1, (0, 0)), (10, (1, 1)), (9, (1, 0))],  # of 20 columns: IoU 0.1, 0.05, 0.5, 0.45
)
def test_the_rules_include_their_bounds(width: int, hits: tuple[int, int]) -> None:
    got = scored_lesions(painted((10, 10, 30, 30)), painted((10, 10, 10 + width, 30)))
    assert (got.lesions_hit_10, got.lesions_hit_50) == hits


def test_specks_are_dropped_and_counted_in_both_masks() -> None:
    reference = painted((10, 10, 30, 30), (50, 5, 54, 9))  # the second: 16 px
    predicted = painted((10, 10, 30, 30), (50, 5, 54, 9), (80, 50, 81, 51), (70, 20, 74, 25))  # the last: 20 px
    got = scored_lesions(reference, predicted)
    assert counts(got) == (1, 2, 1, 1)
    assert (got.lesion_specks_reference, got.lesion_specks_predicted) == (1, 2)


def test_corners_connect_and_false_positive_components_are_the_same_count() -> None:
    got = scored_lesions(painted(), painted((5, 5, 10, 10), (10, 10, 15, 15), (40, 40, 50, 50), (0, 59, 9, 60)))
    assert (got.fp_components, got.specks) == (got.lesions_predicted, got.lesion_specks_predicted) == (2, 1)


def test_what_lies_outside_the_valid_area_is_no_lesion() -> None:
    valid = np.ones(SIZE, bool)
    valid[:, 45:] = False
    both = painted((10, 10, 30, 30), (50, 10, 70, 30))
    assert counts(scored_lesions(both, both, valid)) == (1, 1, 1, 1)


def test_an_empty_mask_has_none() -> None:
    assert counts(scored_lesions(painted(), painted())) == (0, 0, 0, 0)
    assert counts(scored_lesions(painted((10, 10, 30, 30)), painted())) == (1, 0, 0, 0)


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


def by_distance_transform(first: np.ndarray, second: np.ndarray, tolerance_px: float) -> tuple[float, float]:
    """The same definition, computed the slow way over the whole picture."""
    edges = [mask ^ binary_erosion(mask) for mask in (first, second)]
    there = distance_transform_edt(~edges[1])[edges[0]]
    back = distance_transform_edt(~edges[0])[edges[1]]
    near = (there <= tolerance_px).sum() + (back <= tolerance_px).sum()
    return max(np.percentile(there, 95), np.percentile(back, 95)), near / (there.size + back.size)


def disc(radius: float, x: float, y: float, size: tuple[int, int] = (90, 130)) -> np.ndarray:
    rows, columns = np.ogrid[: size[0], : size[1]]
    return (columns - x) ** 2 + (rows - y) ** 2 <= radius**2


non_empty = arrays(bool, (7, 11)).filter(np.any)


@given(non_empty, non_empty, st.sampled_from([0.0, 1.0, 2.0, 3.5]))
@settings(max_examples=200, deadline=None)
def test_equals_the_distance_transforms_on_any_masks(first, second, tolerance_px) -> None:
    assert hd95_and_nsd(first, second, tolerance_px) == pytest.approx(
        by_distance_transform(first, second, tolerance_px), abs=1e-9
    )


@pytest.mark.parametrize("route", ["all pairs", "trees"])
@pytest.mark.parametrize(("radius", "x", "y"), [(3, 20, 80), (30, 64, 40), (44, 50, 44), (60, 0, 0)])
def test_both_routes_are_exact(route: str, radius: float, x: float, y: float, monkeypatch) -> None:
    if route == "trees":
        monkeypatch.setattr(surface, "FEW_PAIRS", 0)
    first, second = disc(radius, x, y), disc(25, 70, 45) | disc(3, 5, 5)
    edges = [mask ^ binary_erosion(mask) for mask in (first, second)]
    there, back = outline_distances(first, second)
    assert np.array_equal(there, distance_transform_edt(~edges[1])[edges[0]])
    assert np.array_equal(back, distance_transform_edt(~edges[0])[edges[1]])


def test_a_very_wide_image_takes_the_route_without_rounding() -> None:
    """Squared distances beyond 2**24 would be rounded in float32."""
    first, second = np.zeros((3, 6001), bool), np.zeros((3, 6001), bool)
    first[1, 0], second[2, 6000] = True, True
    there, back = outline_distances(first, second)
    assert there[0] == back[0] == math.hypot(6000, 1)


@given(arrays(float, st.integers(1, 60), elements=st.floats(0, 1e4)))
@settings(max_examples=200, deadline=None)
def test_the_percentile_is_numpys(values: np.ndarray) -> None:
    assert percentile_95(values) == pytest.approx(float(np.percentile(values, 95)), rel=1e-12, abs=1e-12)


@given(arrays(bool, (6, 9)))
def test_edges_and_boxes_are_those_of_an_erosion(mask: np.ndarray) -> None:
    assert bounding_box(mask) == tuple(cv2.boundingRect(mask.view(np.uint8)))
    if mask.any():
        edge, (left, top, width, height) = edge_pixels(mask)
        whole = np.zeros_like(mask)
        whole[top : top + height, left : left + width] = edge
        assert np.array_equal(whole, mask ^ binary_erosion(mask))


@given(non_empty, non_empty, st.sampled_from([np.fliplr, np.flipud, np.rot90, np.transpose]))
@settings(max_examples=100, deadline=None)
def test_symmetric_and_indifferent_to_turning(first, second, turn) -> None:
    straight = hd95_and_nsd(first, second, 2.0)
    assert straight == pytest.approx(hd95_and_nsd(second, first, 2.0))
    assert straight == pytest.approx(hd95_and_nsd(turn(first), turn(second), 2.0))
    assert hd95_and_nsd(first, first, 0.0) == (0.0, 1.0)


def test_equals_monai() -> None:
    """MONAI answers in float32, so its answer is ours rounded to float32."""
    metrics = pytest.importorskip("monai.metrics", reason="a development comparison: pip install --no-deps monai")
    torch = pytest.importorskip("torch")
    for first, second in [(disc(30, 64, 40), disc(25, 70, 45)), (disc(9, 3, 3), disc(20, 110, 70))]:
        here, there = (torch.from_numpy(mask)[None, None] for mask in (first, second))
        hd95 = metrics.compute_hausdorff_distance(there, here, include_background=True, percentile=95).item()
        nsd = metrics.compute_surface_dice(there, here, [2.0], include_background=True).item()
        own = hd95_and_nsd(first, second, 2.0)
        assert own == pytest.approx((hd95, nsd), rel=2e-7)


def scored(reference: np.ndarray, predicted: np.ndarray, valid: np.ndarray | None = None):
    return frame_metrics(predicted.astype(float), reference, np.ones_like(reference) if valid is None else valid)


NOTHING = np.zeros((90, 130), bool)


def test_a_missed_polyp_costs_the_fields_diagonal_and_says_so() -> None:
    valid = NOTHING.copy()
    valid[10:50, 20:50] = True  # 30×40
    got = scored(disc(5, 30, 30), NOTHING, valid)
    assert got.hd95_px == 50.0 and got.hd95_penalised and got.nsd == 0.0


@pytest.mark.parametrize("predicted", [NOTHING, disc(5, 30, 30)])
def test_without_a_polyp_there_is_no_distance(predicted: np.ndarray) -> None:
    got = scored(NOTHING, predicted)
    assert math.isnan(got.hd95_px) and math.isnan(got.nsd) and not got.hd95_penalised


def test_a_shift_by_three_pixels_is_an_hd95_of_three() -> None:
    reference = NOTHING.copy()
    reference[20:60, 30:70] = True
    got = scored(reference, np.roll(reference, 3, axis=1))
    assert got.hd95_px == 3.0 and not got.hd95_penalised
    # of 156 edge pixels each, 40 of the side that is left behind and 34 of the overtaken one (its ends are near the
    # other's top and bottom) lie farther than 2 px
    assert got.nsd == pytest.approx(82 / 156, abs=1e-15)


def test_only_outlines_inside_the_valid_area_count() -> None:
    valid = np.ones((90, 130), bool)
    valid[:, 65:] = False
    reference = disc(10, 30, 45)
    assert scored(reference, reference | disc(8, 100, 45), valid).hd95_px == 0.0


@pytest.mark.parametrize(
    ("field", "tolerance"), [((0, 0, 90, 50), 2.0), ((5, 5, 300, 720), 7.2), ((0, 0, 200, 9), 2.0)]
)
def test_the_tolerance_is_one_percent_of_the_field(field, tolerance) -> None:
    assert nsd_tolerance_px(field) == pytest.approx(tolerance)
