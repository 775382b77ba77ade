"""Masks of all kinds as 0/1, and classes never taken for emptiness."""

import io

import numpy as np
import pytest
import tifffile
from importing.painted_sources import HEIGHT, WIDTH, encoded, frame, lines, mask, put, run_import, write_pairs
from PIL import Image

from polypda.cohorts.images import read_mask
from polypda.cohorts.opening import open_cohort
from polypda.cohorts.polyp_values import PolypValues
from polypda.errors import DataError, UsageError
from polypda.importing.images.masks import read_mask_file
from polypda.importing.source_tree import FolderTree

SIZE = (HEIGHT, WIDTH)
DRAWN = mask() > 0


def read(tmp_path, data, name="m.png", **options):
    put(tmp_path / name, data)
    return read_mask_file(FolderTree(tmp_path), name, SIZE, **options)


def tiff(pixels):
    data = io.BytesIO()
    tifffile.imwrite(data, pixels, photometric="minisblack")
    return data.getvalue()


def palette(pixels):
    image = Image.fromarray(pixels).quantize(4)
    data = io.BytesIO()
    image.save(data, "PNG")
    return data.getvalue()


RED = np.dstack([mask(), mask() * 0, mask() * 0])
GREEN = np.roll(RED, (8, 1), axis=(0, 2))
BINARY = {
    "0-255": encoded(mask(), "PNG"),
    "0-1": encoded(mask(value=1), "PNG"),
    "three channels": encoded(np.dstack([mask()] * 3), "PNG"),
    "red": encoded(RED, "PNG"),
    "maroon of 128": encoded(RED // 255 * 128, "PNG"),
    "transparent": encoded(np.dstack([np.full((*SIZE, 3), 255, np.uint8), mask()]), "PNG"),
    "one bit": tiff(DRAWN),
    "16 bit": tiff(mask().astype(np.uint16) * 257),
    "16 bit, 0-1": tiff(DRAWN.astype(np.uint16)),
    "16 bit, 0-255": tiff(mask().astype(np.uint16)),
    "float 0-1": tiff(DRAWN.astype(np.float32)),
    "palette": palette(RED),
}


@pytest.mark.parametrize("kind", BINARY)
def test_binary_masks_of_every_kind(tmp_path, kind):
    assert np.array_equal(read(tmp_path, BINARY[kind]), DRAWN.astype(np.uint8))


def test_jpeg_masks_lose_nothing_but_their_rim(tmp_path):
    seen = read(tmp_path, encoded(mask(), quality=85), "m.jpg")
    assert np.mean(seen != DRAWN) < 0.01
    empty = np.random.default_rng(0).integers(0, 8, SIZE, np.uint8)  # what JPEG makes of black
    assert not read(tmp_path, encoded(empty, quality=60), "e.jpg").any()


def two_values(low, high):
    values = mask(value=high)
    values[-12:, -12:] = low
    return encoded(values, "PNG")


def rimmed(value):
    """A polyp of one value within a rim of white, as VOC draws it: the rim alone is no polyp."""
    values = mask()
    values[6 : HEIGHT // 2 - 2, 8 : WIDTH // 3 - 2] = value
    return encoded(values, "PNG")


REFUSED = {
    "VOC's class and void": (rimmed(1), "E_MASK_CLASS"),
    "a class of 14 and void": (rimmed(14), "E_MASK_CLASS"),
    "classes 1 and 2": (two_values(1, 2), "E_MASK_CLASS"),
    "one class of 38": (encoded(mask(value=38), "PNG"), "E_MASK_CLASS"),
    "black, grey, white": (two_values(127, 255), "E_MASK_CLASS"),
    "grey picture": (encoded(frame(1)[..., 0], "PNG"), "E_MASK_NOT_BINARY"),
    "drawn in alpha": (encoded(np.dstack([np.zeros((*SIZE, 3), np.uint8), mask()]), "PNG"), "E_MASK_ALPHA"),
    "probabilities": (tiff(np.linspace(0, 1, HEIGHT * WIDTH, dtype=np.float32).reshape(SIZE)), "E_MASK_FLOAT"),
    "not a number": (tiff(np.full(SIZE, np.nan, np.float32)), "E_MASK_NAN"),
    "half a file": (encoded(np.random.default_rng(0).integers(0, 2, SIZE, np.uint8), "PNG")[:150], "E_MASK_TRUNCATED"),
    "no picture": (b"nothing", "E_MASK_UNREADABLE"),
    "no byte": (b"", "E_MASK_EMPTY_FILE"),
    "cropped": (encoded(mask((HEIGHT, WIDTH - 8)), "PNG"), "E_MASK_SIZE"),
}


@pytest.mark.parametrize("kind", REFUSED)
def test_what_is_no_binary_mask_has_its_code(tmp_path, kind):
    data, code = REFUSED[kind]
    with pytest.raises(DataError) as caught:
        read(tmp_path, data)
    assert caught.value.code == code and caught.value.fix


def test_grey_edges_of_a_lossless_mask_are_no_class(tmp_path):
    soft = mask()
    soft[3, 6:20] = 23
    assert np.array_equal(read(tmp_path, encoded(soft, "PNG")), DRAWN.astype(np.uint8))
    soft[20:24, 6:60] = 11  # as in ClinicDB's
    soft[3] = mask()[3]
    assert np.array_equal(read(tmp_path, encoded(soft, "PNG")), DRAWN.astype(np.uint8))


def test_named_values_and_colours(tmp_path):
    values = mask(value=2)
    values[-5:] = 1
    data = encoded(values, "PNG")
    assert np.array_equal(read(tmp_path, data, polyp=PolypValues.parse("2")), DRAWN.astype(np.uint8))
    assert np.array_equal(read(tmp_path, data, polyp=PolypValues.parse("1,2")), (values > 0).astype(np.uint8))
    both = encoded(np.maximum(RED, GREEN), "JPEG", quality=95, subsampling=0)
    seen = read(tmp_path, both, "c.jpg", polyp=PolypValues.parse("#ff0000"))
    assert np.mean(seen != (DRAWN & (GREEN[..., 1] == 0))) < 0.02
    for wrong in ("256", "red", "#ff00"):
        with pytest.raises(UsageError, match="E_OPTION"):
            PolypValues.parse(wrong)


def test_the_option_reaches_the_import(tmp_path):
    source = write_pairs(tmp_path / "src", ("a",))
    put(source / "masks/a.png", mask(value=2))
    assert lines(run_import(source, tmp_path / "one")) == {"E_MASK_CLASS": ["images/a.jpg"]}
    result = run_import(source, tmp_path / "two", options={"polyp": "2"})
    assert result.summary.everything_taken
    assert np.array_equal(np.asarray(Image.open(result.folder / "masks/a.png")), mask())


def test_an_import_and_a_data_root_decide_a_masks_scale_alike(tmp_path):
    """A mask of 0 and 1 among masks of 0 and 255 may be one with a polyp, or black with next to black in it."""
    source = write_pairs(tmp_path / "root" / "haining", tuple("abcdefgh"))
    put(source / "masks/c.png", mask(value=1))
    result = run_import(source, tmp_path / "out")
    assert result.summary.left_out == {"E_MASK_SCALE": 1} and lines(result)["E_MASK_SCALE"] == ["images/c.jpg"]
    frames = {each.frame: each for each in open_cohort("haining", tmp_path / "root").frames}
    with pytest.raises(DataError, match="E_MASK_SCALE"):
        read_mask(frames["c"].mask, frames["c"].fellows)
    assert read_mask(frames["a"].mask, frames["a"].fellows).any()


def test_masks_that_are_all_0_and_1_are_polyps(tmp_path):
    source = write_pairs(tmp_path / "src")
    for stem in "abc":
        put(source / f"masks/{stem}.png", mask(value=1))
    result = run_import(source, tmp_path / "out")
    assert result.summary.everything_taken
    assert np.array_equal(read_mask(result.folder / "masks/a.png"), DRAWN.astype(np.uint8))
