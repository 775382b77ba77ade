"""The small judges of a check, each against a picture painted so that the answer is known."""

from __future__ import annotations

import cv2
import numpy as np
import pytest

from polypda.cohorts.field_of_view import Box, FieldOfView
from polypda.cohorts.phantom_look import FieldOfViewShape
from polypda.quality.checking.frame_quality import GLARE_FRACTION, judge_image, judge_mask, shape_of
from polypda.quality.checking.observation import cut_short

SIZE = (240, 320)


def disc(x, y, radius, size=SIZE):
    rows, columns = np.mgrid[: size[0], : size[1]]
    return ((columns - x) ** 2 + (rows - y) ** 2 <= radius**2).astype(np.uint8)


def test_clean_mask_has_nothing_to_say():
    quality = judge_mask(disc(160, 120, 50))
    assert (quality.polyps, quality.specks, quality.holes) == (1, 0, 0)
    assert not quality.is_jagged and not quality.touches_border
    assert quality.area_px == disc(160, 120, 50).sum()


def test_holes_specks_polyps_and_border():
    mask = disc(80, 120, 50) | disc(240, 120, 30)
    mask[110:118, 75:80] = 0
    mask[20:22, 160:163] = 1
    quality = judge_mask(mask)
    assert (quality.polyps, quality.specks, quality.holes) == (2, 1, 1)
    assert judge_mask(disc(0, 120, 60)).touches_border and judge_mask(disc(0, 120, 60)).on_border > 0.1
    assert judge_mask(np.zeros(SIZE, np.uint8)).area_px == 0


@pytest.mark.parametrize("radius", [12, 30, 80])
def test_outlines_enlarged_from_few_pixels_are_jagged_and_clean_ones_are_not(radius):
    small = disc(20, 15, max(2, radius / 8), (30, 40))
    enlarged = cv2.resize(small, (320, 240), interpolation=cv2.INTER_NEAREST)
    assert judge_mask(enlarged).is_jagged
    turned = np.zeros(SIZE, np.uint8)
    cv2.ellipse(turned, (160, 120), (radius, max(8, radius // 2)), 33, 0, 360, 1, -1)
    assert not judge_mask(turned).is_jagged


def test_frayed_outline_is_jagged():
    rng = np.random.default_rng(0)
    mask = disc(160, 120, 60)
    ring = (disc(160, 120, 63) == 1) & (disc(160, 120, 57) == 0)
    mask[ring] = rng.integers(0, 2, int(ring.sum()))
    assert judge_mask(mask).is_jagged


def view(mask):
    left, top, width, height = cv2.boundingRect(mask.astype(np.uint8))
    return FieldOfView(mask.astype(bool), Box(left, top, left + width, top + height), found=True)


def octagon(cut, size=SIZE):
    height, width = size
    corners = [(cut, 0), (width - cut, 0), (width, cut), (width, height - cut), (width - cut, height), (cut, height),
               (0, height - cut), (0, cut)]  # fmt: skip
    mask = np.zeros(size, np.uint8)
    cv2.fillPoly(mask, [np.array(corners, np.int32)], 1)
    return mask


@pytest.mark.parametrize(
    ("mask", "shape"),
    [
        (np.ones(SIZE, np.uint8), FieldOfViewShape.RECTANGLE),
        (octagon(5), FieldOfViewShape.RECTANGLE),
        (octagon(30), FieldOfViewShape.CUT_CORNERS),
        (octagon(70), FieldOfViewShape.OCTAGON),
        (disc(160, 120, 115), FieldOfViewShape.CIRCLE),
        (disc(160, 120, 138), FieldOfViewShape.CIRCLE),  # cut off above and below
    ],
)
def test_shape_of_the_field_of_view(mask, shape):
    assert shape_of(view(mask)).shape == shape


def test_field_that_was_not_found_has_no_shape():
    whole = FieldOfView(np.ones(SIZE, bool), Box(0, 0, 320, 240), found=False)
    assert shape_of(whole).shape is None


def test_glare_and_blur():
    rng = np.random.default_rng(1)
    inside = np.ones(SIZE, bool)
    sharp = rng.integers(60, 190, (*SIZE, 3)).astype(np.uint8)
    soft = cv2.GaussianBlur(sharp, (0, 0), 4)
    assert judge_image(soft, inside).sharpness < 0.2 * judge_image(sharp, inside).sharpness
    white = sharp.copy()
    white[:60] = 255
    judged = judge_image(white, inside)
    assert judged.overexposed > GLARE_FRACTION and judged.overexposed == pytest.approx(0.25, abs=0.03)
    assert judge_image(sharp, inside).overexposed <= GLARE_FRACTION


@pytest.mark.parametrize("suffix", [".jpg", ".png"])
def test_cut_short(suffix):
    data = cv2.imencode(suffix, np.random.default_rng(0).integers(0, 255, (40, 40, 3)).astype(np.uint8))[1].tobytes()
    assert not cut_short(data) and not cut_short(data + b"\0" * 100)
    assert cut_short(data[: len(data) // 2]) and cut_short(data[:-13])
