"""Turning pictures and boxes upright, against Pillow's own transposition."""

import io

import numpy as np
import pytest
from PIL import Image, ImageOps

from polypda.importing.images.decoded_image import turned, turned_box


@pytest.mark.parametrize("orientation", range(1, 9))
def test_turned_as_pillow_turns(orientation):
    stored = np.random.default_rng(0).integers(0, 256, (5, 7, 3), np.uint8)
    image = Image.fromarray(stored)
    exif = Image.Exif()
    exif[0x0112] = orientation
    data = io.BytesIO()
    image.save(data, "PNG", exif=exif.tobytes())
    upright = np.asarray(ImageOps.exif_transpose(Image.open(data)))
    assert np.array_equal(turned(stored, orientation), upright)


@pytest.mark.parametrize("orientation", range(1, 9))
def test_a_box_turns_with_its_pixels(orientation):
    stored = np.zeros((5, 7), np.uint8)
    stored[1:3, 2:6] = 1
    rows, columns = np.nonzero(turned(stored, orientation))
    seen = (columns.min(), rows.min(), columns.max() + 1, rows.max() + 1)
    assert turned_box((2, 1, 6, 3), (5, 7), orientation) == seen
