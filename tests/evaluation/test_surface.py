"""HD95 and NSD: answers known by hand, an independent computation by distance transforms, MONAI where installed."""

import math

import cv2
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from scipy.ndimage import binary_erosion, distance_transform_edt

from polypda.evaluation.scoring import mask_geometry as surface
from polypda.evaluation.scoring.mask_geometry import (
    bounding_box,
    edge_pixels,
    hd95_and_nsd,
    nsd_tolerance_px,
    outline_distances,
    percentile_95,
)
from polypda.evaluation.scoring.metrics import frame_metrics


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
