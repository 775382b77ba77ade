"""Figures of single frames against pictures whose answers are known, and the store that keeps them."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import cv2
import numpy as np
import pytest
from support.painted import write_frames

from polypda.cohorts.frames import LabelState, PolypBox
from polypda.quality import measuring
from polypda.quality.frame_figures import box_figures, image_figures, mask_figures, noise_sd, reduced_image
from polypda.quality.frame_table import drawn_evenly, frame_table, place_maps
from polypda.quality.measuring import FigureStore, measure_files, measure_frames

NOWHERE = FigureStore(None)


def _lit(mask: np.ndarray, level: int = 120) -> np.ndarray:
    image = np.zeros((*mask.shape, 3), np.uint8)
    image[mask > 0] = (level + 30, level - 20, level - 30)
    return image


def _disc(size: int = 400, radius: int = 180) -> np.ndarray:
    y, x = np.mgrid[:size, :size]
    return ((x - size / 2) ** 2 + (y - size / 2) ** 2 < radius**2).astype(np.uint8)


def _figures(image: np.ndarray):
    return image_figures(image, reduced_image(image))


@pytest.mark.parametrize("sd", [1.0, 3.0, 8.0])
def test_noise_is_found_on_a_slope_and_not_in_its_slope(sd):
    y, x = np.mgrid[:288, :384]
    slope = 60 + 0.2 * x + 0.15 * y
    noisy = np.clip(np.rint(slope + np.random.default_rng(0).normal(0, sd, slope.shape)), 0, 255).astype(np.uint8)
    everywhere = np.ones(slope.shape, bool)
    assert noise_sd(noisy, everywhere) == pytest.approx(sd, rel=0.08)
    assert noise_sd(np.rint(slope).astype(np.uint8), everywhere) < 0.5
    assert np.isnan(noise_sd(noisy[:10, :10], everywhere[:10, :10]))


def test_outline_of_the_field_of_view():
    circle, rectangle = _figures(_lit(_disc())), np.zeros((300, 400), np.uint8)
    rectangle[30:270, 50:350] = 1
    framed = _figures(_lit(rectangle))
    assert circle.field_fill == pytest.approx(np.pi / 4, rel=0.02) and circle.field_aspect == pytest.approx(1, abs=0.01)
    assert framed.field_fill > 0.97 and framed.field_aspect == pytest.approx(300 / 240, rel=0.02)
    assert framed.field_share == pytest.approx(0.6, rel=0.03)
    centre, corner = framed.field_map[24, 24], framed.field_map[0, 0]
    assert (centre, corner) == (255, 0)
    assert framed.field_map.mean() / 255 == pytest.approx(framed.field_share, abs=0.01)


def test_colour_is_that_of_the_field_alone():
    image = _lit(_disc())
    image[:, :] = np.where(_disc()[..., None] > 0, image, (0, 0, 0))
    told = _figures(image)
    one_pixel = cv2.cvtColor(np.float32([[[150, 100, 90]]]) / 255, cv2.COLOR_RGB2LAB)[0, 0]
    assert (told.lightness, told.a, told.b) == pytest.approx(tuple(one_pixel), abs=1.0)
    assert (told.width_px, told.height_px) == (400, 400)


def test_a_mask_has_its_area_place_and_contrast():
    field = _disc()
    mask = np.zeros_like(field)
    mask[180:220, 290:330] = 255
    image = _lit(field)
    image[mask > 0] = (200, 150, 140)
    told = mask_figures(reduced_image(image), mask)
    assert told.polyps == 1
    assert told.area == pytest.approx(1600 / (np.pi * 180**2), rel=0.03)
    assert told.off_centre == pytest.approx(110 / 180, abs=0.02)
    assert told.contrast_lightness > 15 and told.location_map is not None
    rows, columns = np.nonzero(told.location_map > 127)
    assert abs(rows.mean() - 23.5) < 1 and columns.mean() > 36
    assert mask_figures(reduced_image(image), np.zeros_like(mask)).polyps == 0


def test_boxes_count_each_and_cover_their_union():
    image = _lit(_disc())
    boxes = [(150, 150, 250, 250), (200, 150, 300, 250)]
    told = box_figures(reduced_image(image), boxes, image.shape)
    assert told.polyps == 2
    assert told.area == pytest.approx(15_000 / (np.pi * 180**2), rel=0.03)
    assert np.isnan(told.contrast_lightness)  # a box holds mucosa too
    large = cv2.resize(image, (1200, 1200))
    same = box_figures(reduced_image(large), [tuple(3 * v for v in box) for box in boxes], large.shape)
    assert same.area == pytest.approx(told.area, rel=0.03)


def test_ignored_pixels_are_no_part_of_the_field():
    image = _lit(_disc())
    image[180:220, 180:220] = 255
    reduced = reduced_image(image)
    ignored = np.zeros(image.shape[:2], np.uint8)
    ignored[180:220, 180:220] = 255
    assert image_figures(image, reduced).specular_share > 0.01
    assert image_figures(image, reduced.without(ignored)).specular_share == 0
    assert reduced.without(np.ones_like(ignored)) is reduced


def test_frames_are_drawn_evenly_and_again_the_same():
    frames = list(range(1000))
    drawn = drawn_evenly(frames, 40, name="a", seed=0)
    assert len(drawn) == 40 and list(drawn) == sorted(set(drawn))
    assert all(25 * index <= item < 25 * (index + 1) for index, item in enumerate(drawn))
    assert drawn == drawn_evenly(frames, 40, name="a", seed=0) != drawn_evenly(frames, 40, name="b", seed=0)
    assert drawn_evenly(frames[:7], 40, name="a") == drawn_evenly(frames[:7], None, name="a") == tuple(range(7))
    assert len(set(drawn_evenly(range(7), 6, name="x"))) == 6


def test_what_was_measured_is_not_decoded_again(tmp_path, monkeypatch):
    frames = write_frames(tmp_path / "c", 3)
    store = FigureStore(tmp_path / "store")
    first = frame_table("c", measure_frames(frames, store, processes=1))

    def refuse(path: Path):
        raise AssertionError(f"{path.name} is decoded")

    monkeypatch.setattr(measuring, "read_image", refuse)
    monkeypatch.setattr(measuring, "read_mask", refuse)
    again = measure_frames(frames, store, processes=1)
    assert frame_table("c", again).equals(first)
    maps = place_maps(again)
    assert maps is not None and maps.polyps is not None and maps.polyp_frames == 3
    cv2.imwrite(str(frames[0].image), np.full((72, 96, 3), 90, np.uint8))
    with pytest.raises(AssertionError, match="decoded"):
        measure_files(frames[0], store)


def test_a_damaged_or_missing_store_is_no_loss(tmp_path):
    (frame,) = write_frames(tmp_path / "c", 1)
    store = FigureStore(tmp_path / "store")
    first = measure_files(frame, store)
    entries = list((tmp_path / "store").rglob("*.json"))
    assert len(entries) == 2  # the picture's and the label's
    for entry in entries:
        entry.write_text("{}")
    assert measure_files(frame, store).image.lightness == first.image.lightness
    (tmp_path / "file").write_text("in the way")
    assert measure_files(frame, FigureStore(tmp_path / "file" / "store")).image is not None


def test_label_states_decide_what_is_read(tmp_path):
    (frame,) = write_frames(tmp_path / "c", 1)
    unlabelled = measure_files(frame.without_label(), NOWHERE)
    assert unlabelled.image is not None and unlabelled.polyps is None
    negative = measure_files(replace(frame, mask=None, label_state=LabelState.NEGATIVE), NOWHERE)
    assert negative.polyps is not None and negative.polyps.polyps == 0
    boxed = replace(frame, mask=None, label_state=LabelState.BOX, boxes=(PolypBox(20, 20, 40, 40),))
    table = frame_table("c", [unlabelled, negative, measure_files(boxed, NOWHERE)])
    assert list(table["label"]) == ["none", "negative", "box"]
    assert list(table["negative_percent"].fillna(-1)) == [-1, 100, 0]
    assert table["polyp_area_percent"].isna().all() and table["box_area_percent"].notna().tolist() == [
        False,
        False,
        True,
    ]


def test_files_that_cannot_be_used_become_problems(tmp_path):
    broken, wrong_mask, sound = write_frames(tmp_path / "c", 3)
    broken.image.write_bytes(b"no picture")
    cv2.imwrite(str(wrong_mask.mask), np.zeros((10, 10), np.uint8))
    told = [measure_files(frame, NOWHERE) for frame in (broken, wrong_mask, sound)]
    assert [one.problem.code if one.problem else None for one in told] == ["E_IMAGE_UNREADABLE", "E_MASK_SIZE", None]
    assert told[0].image is None and told[1].image is not None and told[1].polyps is None
    assert list(frame_table("c", told)["label"]) == ["none", "mask"]


@pytest.mark.slow
def test_two_processes_measure_the_same(tmp_path, monkeypatch):
    frames = write_frames(tmp_path / "c", 12)
    monkeypatch.setattr(measuring, "WORTH_A_PROCESS", 1)
    seen = []
    two = measure_frames(frames, NOWHERE, processes=2, on_frame=lambda: seen.append(1))
    one = measure_frames(frames, NOWHERE, processes=1)
    assert frame_table("c", two).equals(frame_table("c", one)) and len(seen) == 12
