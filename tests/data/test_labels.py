"""What boxes teach on the network's grid: filled with a band that is ignored, and as bits for the projection."""

import dataclasses

import cv2
import numpy as np
import pytest
from support.painted import paint, write_frames

from polypda.cohorts.field_of_view import Box
from polypda.cohorts.frames import LabelState, PolypBox
from polypda.data.augmentation import AugmentationKind
from polypda.data.batches import IGNORED
from polypda.data.cache import FrameCache, NetworkGrid
from polypda.data.geometry import Fit, Geometry
from polypda.data.labels import FURTHER, INNER_AXES, BoxSupervision, box_bits, filled_boxes
from polypda.data.loading import Fraction, LabelledFrames
from polypda.data.sampling import Stream, UniformSampler
from polypda.errors import DataError

WHOLE = Geometry.of((100, 200), Box(0, 0, 200, 100), 100)
"""Two native px to a network px across, one down."""


def tight_box(mask: np.ndarray) -> PolypBox:
    x, y, width, height = cv2.boundingRect((mask > 0).astype(np.uint8))
    return PolypBox(x, y, x + width, y + height)


@pytest.fixture
def boxed(tmp_path):
    """Painted frames known by tight boxes; the last by its mask."""
    frames = write_frames(tmp_path / "cohort", 5)
    return [
        *(
            dataclasses.replace(frame, mask=None, label_state=LabelState.BOX, boxes=(tight_box(paint(number)[1]),))
            for number, frame in enumerate(frames[:4])
        ),
        frames[4],
    ]


def test_the_ellipse_is_polyp_the_band_is_ignored_the_rest_is_background():
    labels = filled_boxes(np.array([[40.0, 20.0, 120.0, 80.0]]), WHOLE)
    assert (labels[20:80, 20:60] != 0).all() and labels[:20].max() == labels[80:].max() == 0
    assert labels[:, :20].max() == labels[:, 60:].max() == 0
    inside = np.count_nonzero(labels == 1)
    assert inside == pytest.approx(np.pi / 4 * INNER_AXES**2 * 40 * 60, rel=0.02)
    assert np.count_nonzero(labels == IGNORED) == 40 * 60 - inside
    rows, columns = np.flatnonzero((labels == 1).any(1)), np.flatnonzero((labels == 1).any(0))
    assert (rows[0], rows[-1] + 1, columns[0], columns[-1] + 1) == (26, 74, 24, 56)


def test_overlapping_boxes_and_boxes_smaller_than_a_pixel():
    corners = np.array([[0, 0, 80, 40], [40, 0, 120, 40], [150.2, 60.1, 150.9, 60.6]])
    labels = filled_boxes(corners, WHOLE)
    alone = [filled_boxes(one[None], WHOLE) for one in corners]
    assert np.array_equal(labels == 1, np.any([one == 1 for one in alone], axis=0))
    assert labels[60, 75] == 1 and np.count_nonzero(alone[2]) == 1
    bits = box_bits(corners, WHOLE)
    assert bits[20, 30] == 3 and bits[20, 10] == 1 and bits[20, 50] == 2 and bits[60, 75] == 4


def test_boxes_beyond_the_bits_are_kept_apart_and_those_outside_the_crop_left_out():
    corners = np.array([[20.0 * k, 0, 20.0 * k + 10, 10] for k in range(9)])
    bits = box_bits(corners, WHOLE)
    assert [bits[5, 10 * k + 2] for k in range(9)] == [1, 2, 4, 8, 16, 32, 64, FURTHER, FURTHER]
    cropped = Geometry.of((100, 200), Box(100, 0, 200, 100), 100)
    assert not box_bits(np.array([[10.0, 10, 90, 90]]), cropped).any()
    assert box_bits(np.array([[90.0, 10, 110, 90]]), cropped)[50, 9] == 1


@pytest.mark.parametrize("fit", list(Fit))
def test_a_filled_box_lies_on_its_polyp(boxed, tmp_path, fit):
    cached = FrameCache(tmp_path / "cache", NetworkGrid(96, fit)).labelled(boxed, BoxSupervision.FILLED)
    whole = [dataclasses.replace(frame, mask=f.mask, label_state=LabelState.MASK) for frame, f in zip(
        boxed, write_frames(tmp_path / "again", 5), strict=True)]  # fmt: skip
    masks = FrameCache(tmp_path / "cache", NetworkGrid(96, fit)).labelled(whole).masks
    for index in range(4):
        labels, mask = cached.masks[index], masks[index]
        assert mask[labels == 1].mean() > 0.97, "discs hold the inner ellipse of their box"
        rim = cv2.dilate((labels != 0).astype(np.uint8), np.ones((3, 3), np.uint8))
        assert not mask[rim == 0].any(), "but for a pixel of resampling no polyp lies outside its box"
        assert mask[labels == 0].mean() < 0.005
    assert np.array_equal(cached.masks[4], masks[4]) and cached.boxes is None


def test_boxes_without_supervision_are_refused_and_those_outside_the_frame_named(boxed, tmp_path):
    cache = FrameCache(tmp_path / "cache", NetworkGrid(64))
    with pytest.raises(DataError, match="E_NO_MASK painted/000"):
        cache.labelled(boxed)
    strayed = dataclasses.replace(boxed[1], boxes=(PolypBox(5, 5, 200, 40),))
    with pytest.raises(DataError, match=r"E_BOX_RANGE painted/001.*96×72"):
        cache.labelled([strayed], BoxSupervision.FILLED)


def test_other_boxes_make_another_entry(boxed, tmp_path):
    cache = FrameCache(tmp_path / "cache", NetworkGrid(64))
    first = cache.labelled(boxed, BoxSupervision.PROJECTION)
    moved = [dataclasses.replace(boxed[0], boxes=(PolypBox(5, 5, 40, 40),)), *boxed[1:]]
    second = cache.labelled(moved, BoxSupervision.PROJECTION)
    assert not np.array_equal(first.masks[0], second.masks[0]) and not np.array_equal(first.boxes[0], second.boxes[0])
    assert np.array_equal(first.boxes[1], second.boxes[1]) and not first.boxes[4].any()
    entries = [path for path in (tmp_path / "cache").glob("*.npy") if not path.stem.endswith("facts")]
    assert len(entries) == 5, "images once, masks and boxes twice"


def test_batches_carry_bits_upright_and_aligned_with_their_masks(boxed, tmp_path):
    cached = FrameCache(tmp_path / "cache", NetworkGrid(64)).labelled(boxed, BoxSupervision.PROJECTION)
    frames = LabelledFrames(cached, UniformSampler(5, 5, 0, Stream.SOURCE_POSITIVE), AugmentationKind.LIGHT, 0)
    batch = frames.batch(0, Fraction())
    assert batch.boxes.shape == batch.masks.shape and batch.boxes.dtype == batch.masks.dtype
    for name, bits, mask, valid in zip(batch.frames, batch.boxes, batch.masks, batch.valid[:, 0], strict=True):
        if name.endswith("004"):
            assert not bits.any() and (mask == 1).any()
            continue
        inside = (bits > 0) & valid
        assert (mask[inside] != 0).all() and (mask[valid & ~inside] == 0).all()
        rows, columns = inside.any(1), inside.any(0)
        assert inside.sum() == rows.sum() * columns.sum(), "still a rectangle along the axes"
    filled = FrameCache(tmp_path / "cache", NetworkGrid(64)).labelled(boxed, BoxSupervision.FILLED)
    assert LabelledFrames(filled, frames.sampler, AugmentationKind.NONE, 0).batch(0, Fraction()).boxes is None


def test_ignored_pixels_are_valid_nowhere_and_enter_the_key(boxed, tmp_path):
    ignore = tmp_path / "ignore.png"
    pixels = np.zeros((72, 96), np.uint8)
    pixels[40:, 50:] = 255
    cv2.imwrite(str(ignore), pixels)
    cache = FrameCache(tmp_path / "cache", NetworkGrid(64))
    plain = cache.unlabelled(boxed[:1])
    hidden = cache.unlabelled([dataclasses.replace(boxed[0], ignore=ignore)])
    assert plain.valid[0][50, 50] == 1 and hidden.valid[0][50, 50] == 0 and hidden.valid[0][10, 10] == 1
    assert np.array_equal(plain.images[0], hidden.images[0])
    cv2.imwrite(str(ignore), pixels[:, :90])
    with pytest.raises(DataError, match="E_IGNORE_SIZE painted/000"):
        cache.unlabelled([dataclasses.replace(boxed[0], ignore=ignore)])
