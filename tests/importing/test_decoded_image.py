"""Every defect of a picture file has its own code; what is sound is kept byte for byte."""

import io
import struct
import zlib

import numpy as np
import pytest
import tifffile
from importing.painted_sources import encoded, frame, lines, mask, put, run_import
from PIL import Image

from polypda.errors import DataError
from polypda.importing.images.decoded_image import image_of

RGB = frame(3)


def with_orientation(pixels, orientation, kind="PNG"):
    exif = Image.Exif()
    exif[0x0112] = orientation
    return encoded(pixels, kind, exif=exif.tobytes())


def animated(kind):
    data = io.BytesIO()
    first, second = (Image.fromarray(frame(number)) for number in (1, 2))
    first.save(data, kind, save_all=True, append_images=[second])
    return data.getvalue()


def tiff(pixels, **options):
    data = io.BytesIO()
    tifffile.imwrite(data, pixels, **options)
    return data.getvalue()


def png_header(width, height):
    body = b"IHDR" + struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0)
    chunk = struct.pack(">I", 13) + body + struct.pack(">I", zlib.crc32(body))
    return b"\x89PNG\r\n\x1a\n" + chunk + struct.pack(">I", 0) + b"IEND" + struct.pack(">I", zlib.crc32(b"IEND"))


def nan_tiff():
    values = np.zeros((40, 60), np.float32)
    values[3, 4] = np.nan
    return tiff(values)


WHOLE = encoded(RGB, quality=95)
BAD = {
    "zero.jpg": (b"", "E_IMAGE_EMPTY_FILE"),
    "text.jpg": (b"this is no picture at all", "E_IMAGE_UNREADABLE"),
    "half.jpg": (WHOLE[: len(WHOLE) // 2], "E_IMAGE_TRUNCATED"),
    "last-byte.jpg": (WHOLE[:-1], "E_IMAGE_TRUNCATED"),
    "progressive.jpg": (encoded(RGB, progressive=True)[:-400], "E_IMAGE_TRUNCATED"),
    "half.png": (encoded(RGB, "PNG")[:-600], "E_IMAGE_TRUNCATED"),
    "half.tif": (tiff(RGB)[:-4000], "E_IMAGE_TRUNCATED"),
    "header.png": (png_header(60_000, 60_000), "E_IMAGE_TOO_LARGE"),
    "header-65-mpx.png": (png_header(13_000, 5_000), "E_IMAGE_TOO_LARGE"),
    "moving.gif": (animated("GIF"), "E_IMAGE_ANIMATED"),
    "moving.png": (animated("PNG"), "E_IMAGE_ANIMATED"),
    "moving.webp": (animated("WEBP"), "E_IMAGE_ANIMATED"),
    "pages.tif": (animated("TIFF"), "E_IMAGE_ANIMATED"),
    "nan.tif": (nan_tiff(), "E_IMAGE_NAN"),
    "float.tif": (tiff(np.ones((40, 60), np.float32)), "E_IMAGE_FLOAT"),
    "twelve-bit.tif": (tiff(np.full((40, 60), 3000, np.uint16)), "E_IMAGE_DEPTH"),
    "volume.tif": (tiff(np.zeros((4, 40, 60), np.uint8), photometric="minisblack"), "E_IMAGE_ANIMATED"),
}


@pytest.mark.parametrize("name", BAD)
def test_each_defect_has_its_code(name):
    data, code = BAD[name]
    with pytest.raises(DataError) as caught:
        image_of(data, name)
    assert caught.value.code == code and caught.value.fix


def test_all_defects_in_one_folder_leave_the_rest(tmp_path):
    for name, (data, _) in BAD.items():
        put(tmp_path / "src" / "images" / name, data)
    put(tmp_path / "src" / "images" / "sound.jpg", WHOLE)
    result = run_import(tmp_path / "src", tmp_path / "root")
    told = {origin.removeprefix("images/"): code for code, origins in lines(result).items() for origin in origins}
    assert told == {name: code for name, (_, code) in BAD.items()}
    assert [path.name for path in (result.folder / "images").iterdir()] == ["sound.jpg"]
    assert not result.summary.everything_taken and result.summary.files == len(BAD) + 1


@pytest.mark.parametrize(("kind", "name"), [("JPEG", "a.jpg"), ("JPEG", "A.JPEG"), ("PNG", "a.png")])
@pytest.mark.parametrize("pixels", [RGB, RGB[..., 0]], ids=["rgb", "grey"])
def test_usual_frames_are_kept_byte_for_byte(kind, name, pixels):
    data = encoded(pixels, kind)
    image = image_of(data, name)
    assert image.encoded is data and image.remarks == () and image.pixels.shape == RGB.shape
    assert image.suffix == {"JPEG": ".jpg", "PNG": ".png"}[kind]
    seen = np.asarray(Image.open(io.BytesIO(data)).convert("RGB"))
    assert np.array_equal(image.pixels, seen)


def codes(image):
    return [remark.code for remark in image.remarks]


def test_content_decides_and_not_the_name():
    image = image_of(encoded(RGB, "PNG"), "a.jpg")
    assert codes(image) == ["N_IMAGE_SUFFIX"] and image.suffix == ".png" and image.encoded is not None
    assert np.array_equal(image.pixels, RGB)


def test_palette_sixteen_bit_alpha_and_cmyk_are_converted_with_a_remark():
    flat = np.repeat(np.repeat(np.arange(12, dtype=np.uint8).reshape(3, 4) * 20, 5, 0), 5, 1)
    palette = io.BytesIO()
    Image.fromarray(np.dstack([flat, 255 - flat, flat])).quantize(16).save(palette, "PNG")
    image = image_of(palette.getvalue(), "a.png")
    assert codes(image) == ["N_IMAGE_PALETTE"] and image.encoded is None
    assert np.array_equal(image.pixels, np.dstack([flat, 255 - flat, flat]))

    deep = image_of(tiff(RGB.astype(np.uint16) * 257), "a.tif")
    assert codes(deep) == ["N_IMAGE_16_BIT"] and np.array_equal(deep.pixels, RGB)
    grey = image_of(encoded((RGB[..., 0].astype(np.uint16) * 257), "PNG"), "a.png")
    assert codes(grey) == ["N_IMAGE_16_BIT"] and np.array_equal(grey.pixels[..., 1], RGB[..., 0])

    opaque = image_of(encoded(np.dstack([RGB, np.full(RGB.shape[:2], 255, np.uint8)]), "PNG"), "a.png")
    assert codes(opaque) == ["N_IMAGE_ALPHA"] and np.array_equal(opaque.pixels, RGB)
    hidden = image_of(encoded(np.dstack([RGB, mask()]), "PNG"), "a.png")
    assert codes(hidden) == ["W_IMAGE_ALPHA"] and np.array_equal(hidden.pixels, RGB * (mask() > 0)[..., None])

    cmyk = io.BytesIO()
    Image.fromarray(RGB).convert("CMYK").save(cmyk, "JPEG", quality=100)
    image = image_of(cmyk.getvalue(), "a.jpg")
    assert codes(image) == ["W_IMAGE_CMYK"] and image.suffix == ".png"
    assert np.abs(image.pixels.astype(int) - RGB).mean() < 3


def test_clinicdbs_tiff_keeps_its_colours():
    image = image_of(tiff(RGB, photometric="minisblack", planarconfig="contig"), "1.tif")
    assert np.array_equal(image.pixels, RGB) and image.encoded is None and image.suffix == ".png"
    planar = image_of(tiff(np.moveaxis(RGB, 2, 0), photometric="rgb", planarconfig="separate"), "1.tif")
    assert np.array_equal(planar.pixels, RGB)


@pytest.mark.parametrize("orientation", range(2, 9))
def test_turned_images_and_their_masks_stay_together(tmp_path, orientation):
    stored = np.zeros((40, 60, 3), np.uint8)
    stored[..., 1] = np.arange(60) // 4  # a frame is not black alone
    stored[mask() > 0] = (200, 90, 80)  # the lesion is where the mask is
    put(tmp_path / "src/images/a.png", with_orientation(stored, orientation))
    upright = np.asarray(Image.open(tmp_path / "src/images/a.png").transpose(_transposition(orientation)))
    drawn = (upright[..., 0] > 100).astype(np.uint8) * 255
    on_stored = orientation >= 5  # only then can a mask that was drawn on the stored picture be told by its size
    put(tmp_path / "src/masks/a.png", mask() if on_stored else drawn)
    result = run_import(tmp_path / "src", tmp_path / "root")
    written = np.asarray(Image.open(result.folder / "images/a.png"))
    label = np.asarray(Image.open(result.folder / "masks/a.png"))
    assert np.array_equal(written, upright) and np.array_equal(label > 0, written[..., 0] > 100)
    expected = {"N_IMAGE_ORIENTATION", "N_MASK_ORIENTATION" if on_stored else "W_LABEL_ORIENTATION"}
    assert set(lines(result)) == expected and result.summary.everything_taken


def _transposition(orientation):
    way = Image.Transpose
    return {
        2: way.FLIP_LEFT_RIGHT,
        3: way.ROTATE_180,
        4: way.FLIP_TOP_BOTTOM,
        5: way.TRANSPOSE,
        6: way.ROTATE_270,
        7: way.TRANSVERSE,
        8: way.ROTATE_90,
    }[orientation]


def test_a_mask_drawn_on_the_upright_image_is_left_as_it_is(tmp_path):
    put(tmp_path / "src/images/a.png", with_orientation(RGB, 6))
    put(tmp_path / "src/masks/a.png", mask((60, 40)))
    result = run_import(tmp_path / "src", tmp_path / "root")
    assert set(lines(result)) == {"N_IMAGE_ORIENTATION"}
    assert np.array_equal(np.asarray(Image.open(result.folder / "masks/a.png")), mask((60, 40)))
