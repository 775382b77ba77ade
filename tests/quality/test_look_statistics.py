"""The measurements on painted frames whose answers are known."""

from __future__ import annotations

import cv2
import numpy as np
import pytest

from polypda.quality.look_statistics import measure_cohort, table_row


def _disc(radius: int, size: int = 400) -> np.ndarray:
    mask = np.zeros((size, size), np.uint8)
    cv2.circle(mask, (size // 2, size // 2), radius, 255, cv2.FILLED)
    return mask


def _rgb(lightness: float, a: float, b: float) -> np.ndarray:
    lab = np.array([[[lightness, a, b]]], np.float32)
    return np.rint(255 * cv2.cvtColor(lab, cv2.COLOR_LAB2RGB))[0, 0]


def _painted(field_radius: int = 180, polyp_radius: int = 60) -> tuple[np.ndarray, np.ndarray]:
    image = np.zeros((400, 400, 3), np.uint8)
    image[_disc(field_radius) > 0] = _rgb(45, 20, 22)
    mask = _disc(polyp_radius)
    image[mask > 0] = _rgb(60, 28, 30)
    return image, mask


def test_area_contrast_and_colour() -> None:
    image, mask = _painted()
    look = measure_cohort([(image, mask)])
    assert look.field_share == pytest.approx(np.pi * 180**2 / 400**2, rel=0.02)
    assert look.polyp_area_percent[1] == pytest.approx(100 * (60 / 180) ** 2, rel=0.03)
    assert look.polyp_contrast == pytest.approx((15, 8, 8), abs=0.8)
    share = look.polyp_area_percent[1] / 100
    # The found field ends in a thin dark rim: the finder blurs before it looks for light.
    assert look.lightness == pytest.approx(60 * share + 45 * (1 - share), abs=0.8)
    assert look.polyps_per_frame == 1
    assert look.rim_to_centre == pytest.approx(45 / 58, abs=0.06)


def test_highlights_are_bright_and_colourless() -> None:
    image, mask = _painted()
    image[100:120, 150:170] = 255
    image[250:270, 250:270] = (255, 255, 100)  # bright, but coloured
    look = measure_cohort([(image, mask)])
    assert look.specular_percent == pytest.approx(100 * 400 / (np.pi * 180**2), rel=0.05)


def test_blur_lowers_sharpness_and_size_does_not_matter() -> None:
    rng = np.random.default_rng(0)
    image, mask = _painted()
    coarse = cv2.resize(rng.integers(0, 60, (100, 100), dtype=np.uint8), (400, 400))[..., None]
    textured = np.where(_disc(180)[..., None] > 0, np.clip(image.astype(int) + coarse, 0, 255), 0).astype(np.uint8)
    sharp = measure_cohort([(textured, mask)])
    assert measure_cohort([(cv2.GaussianBlur(textured, (0, 0), 4), mask)]).laplacian_sd < 0.5 * sharp.laplacian_sd
    large = measure_cohort([(cv2.resize(textured, (1024, 1024)), cv2.resize(mask, (1024, 1024)))])
    assert large.laplacian_sd == pytest.approx(sharp.laplacian_sd, rel=0.15)
    assert large.polyp_area_percent[1] == pytest.approx(sharp.polyp_area_percent[1], rel=0.03)


def test_negative_frames_count_but_have_no_polyp_figures() -> None:
    image, mask = _painted()
    look = measure_cohort([(image, mask), (image, np.zeros_like(mask))])
    assert look.polyps_per_frame == 0.5
    assert look.polyp_area_percent[1] == pytest.approx(100 * (60 / 180) ** 2, rel=0.03)
    assert np.isfinite(look.polyp_contrast).all()
    only_negative = measure_cohort([(image, np.zeros_like(mask))])
    assert np.isnan(only_negative.polyp_area_percent).all() and np.isnan(only_negative.polyp_contrast).all()
    assert table_row("x", look).count("|") == 13
    with pytest.raises(ValueError, match="no frame"):
        measure_cohort([])
