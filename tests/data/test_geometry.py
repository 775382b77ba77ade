import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from polypda.cohorts.field_of_view import Box
from polypda.data.geometry import Fit, Geometry

SIDES = st.integers(24, 900)


@st.composite
def geometries(draw):
    height, width = draw(SIDES), draw(SIDES)
    left, top = draw(st.integers(0, width // 3)), draw(st.integers(0, height // 3))
    right = draw(st.integers(left + width // 3 + 1, width))
    bottom = draw(st.integers(top + height // 3 + 1, height))
    size, fit = draw(st.sampled_from([64, 96, 128])), draw(st.sampled_from(list(Fit)))
    return Geometry.of((height, width), Box(left, top, right, bottom), size, fit)


@given(geometries(), st.floats(0, 1), st.floats(0, 1))
def test_points_return_exactly(geometry, across, down):
    x = geometry.crop.left + across * geometry.crop.width
    y = geometry.crop.top + down * geometry.crop.height
    there = geometry.point_to_network(x, y)
    (scale_x, scale_y), content, crop = geometry.scale, geometry.content, geometry.crop
    back = (there[0] - content.left) / scale_x + crop.left, (there[1] - content.top) / scale_y + crop.top
    assert back == pytest.approx((x, y), abs=1e-9)
    assert geometry.content.left - 1e-9 <= there[0] <= geometry.content.right + 1e-9
    assert geometry.content.top - 1e-9 <= there[1] <= geometry.content.bottom + 1e-9


@given(geometries())
def test_a_plane_survives_the_way_back(geometry):
    """A linear ramp in network coordinates must be the same ramp in native ones: no half-pixel shift anywhere."""
    height, width = geometry.size
    columns = np.broadcast_to((np.arange(width) + 0.5) / width, (height, width)).astype(np.float32)
    native = geometry.to_native(np.ascontiguousarray(columns))
    row = (geometry.crop.top + geometry.crop.bottom) // 2
    xs = np.arange(geometry.crop.left, geometry.crop.right)
    expected = np.array([geometry.point_to_network(x + 0.5, row)[0] for x in xs]) / width
    # Within half a network pixel of the crop's edge, bilinear interpolation repeats the outermost value.
    inner = np.abs(xs + 0.5 - (geometry.crop.left + geometry.crop.right) / 2) < geometry.crop.width / 2 - (
        0.5 / geometry.scale[0] + 1
    )
    assert native[row, xs[inner]] == pytest.approx(expected[inner], abs=2e-3)


@given(geometries())
def test_outside_the_crop_nothing_is_predicted(geometry):
    native = geometry.to_native(np.ones(geometry.size, np.float32))
    assert native.shape == geometry.native
    inside = np.zeros(geometry.native, bool)
    inside[geometry.crop.top : geometry.crop.bottom, geometry.crop.left : geometry.crop.right] = True
    assert (native[inside] == 1).all()
    assert (native[~inside] == 0).all()


def test_letterbox_keeps_the_aspect_ratio_and_resize_fills():
    crop = Box(10, 20, 310, 170)
    boxed = Geometry.of((200, 320), crop, 128, Fit.LETTERBOX)
    assert (boxed.content.width, boxed.content.height) == (128, 64)
    assert boxed.scale[0] == pytest.approx(boxed.scale[1])
    assert Geometry.of((200, 320), crop, 128, Fit.RESIZE).content == Box(0, 0, 128, 128)


@pytest.mark.parametrize("fit", list(Fit))
def test_a_disc_comes_back_where_it_was(fit):
    height, width = 300, 420
    y, x = np.mgrid[:height, :width]
    disc = ((x - 200) ** 2 + (y - 130) ** 2 < 60**2).astype(np.uint8)
    geometry = Geometry.of((height, width), Box(30, 10, 400, 290), 128, fit)
    back = geometry.to_native(geometry.mask_to_network(disc).astype(np.float32)) >= 0.5
    dice = 2 * (back & (disc > 0)).sum() / (back.sum() + disc.sum())
    assert dice > 0.97
    ys, xs = np.nonzero(back)
    assert (xs.mean(), ys.mean()) == pytest.approx((200, 130), abs=0.7)


def test_a_letterboxed_image_is_padded_black_and_keeps_its_pixels():
    image = np.full((60, 120, 3), 200, np.uint8)
    placed = Geometry.of((60, 120), Box(0, 0, 120, 60), 120, Fit.LETTERBOX).image_to_network(image)
    assert placed.shape == (120, 120, 3)
    assert (placed[30:90] == 200).all()
    assert (placed[:30] == 0).all() and (placed[90:] == 0).all()
