"""Decoding an image file, or an array, to the values that it stores; whatever is wrong with it has a code.

The header is read first: nothing is decoded that claims more than ``MOST_PIXELS``.
"""

from __future__ import annotations

import io
import math
import warnings
from dataclasses import dataclass
from typing import Any

import cv2
import numpy as np
import tifffile
from numpy.typing import NDArray
from PIL import Image
from scipy.io import loadmat, whosmat

from polypda.cohorts.image_files import JPEG, PNG, TIFF, Kind, kind_of
from polypda.errors import DataError
from polypda.git_lfs import is_pointer, pointer_error

MOST_PIXELS = 64_000_000
"""A header that claims more is refused: no endoscope delivers it, and decoding would take gigabytes."""
ENDS = {JPEG: b"\xff\xd9", PNG: b"IEND"}
LAST_BYTES = 1024
"""Some cameras write a few bytes behind a file's end."""
UNTOLD_GREY = 128
"""What JPEG decoders show where a file's data end before its image does."""
CORNER_PX = 4
MORE_DATA = b"\x5a\xa5" * 64
ORIENTATION_TAG = 0x0112
MOST_SAMPLES = 5
"""CMYK with alpha; a TIFF that claims more samples of a pixel is reckoned as so many more pixels."""
MINISWHITE, MINISBLACK, RGB_SAMPLES, PALETTE, SEPARATED = 0, 1, 2, 3, 5
"""TIFF's photometric interpretations that are read here."""


@dataclass(frozen=True)
class StoredPixels:
    """A file's pixels as stored: H×W or H×W×channels, any dtype.

    mode: ``grey``, ``rgb``, ``cmyk`` or ``palette`` (then ``pixels`` are already RGB); alpha: H×W of the same dtype.
    orientation: EXIF's, 1–8. kind: what the bytes are.
    """

    pixels: NDArray[Any]
    kind: Kind
    mode: str
    alpha: NDArray[Any] | None = None
    orientation: int = 1


def decode_stored(data: bytes, where: str, code: str = "E_IMAGE") -> StoredPixels:
    """Decode an image file.

    code: how the errors' codes begin (``E_IMAGE``, ``E_MASK``).
    Raises: DataError with ``_EMPTY_FILE``, ``_UNREADABLE`` (no image), ``_TRUNCATED``, ``_TOO_LARGE``,
        ``_ANIMATED`` (several images in a file), ``_LFS_POINTER`` (the file was never fetched).
    """
    if not data:
        raise DataError(f"{code}_EMPTY_FILE", "the file holds no byte.", where=where, fix="fetch it again.")
    if is_pointer(data):
        raise pointer_error(code, where)
    kind = kind_of(data)
    if kind is None:
        what = f"{len(data)} bytes that are no picture."
        fix = "the file is mislabelled or damaged: export it again, or leave it out."
        raise DataError(f"{code}_UNREADABLE", what, where=where, fix=fix)
    return _decode_tiff(data, where, code) if kind is TIFF else _decode_other(data, kind, where, code)


def _decode_other(data: bytes, kind: Kind, where: str, code: str) -> StoredPixels:
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # a bomb's warning comes as our own error; EXIF's are no matter
            image = Image.open(io.BytesIO(data))
    except Image.DecompressionBombError as error:
        what = "the header claims more pixels than any frame has."
        raise DataError(f"{code}_TOO_LARGE", what, where=where, fix=_SMALLER) from error
    except Exception as error:  # a decoder that is fed damaged bytes raises anything
        raise _failed(data, kind, where, code, error) from error
    _refuse_large(*image.size, where, code)
    several = int(getattr(image, "n_frames", 1))
    _refuse_large(*image.size, where, code)  # a GIF's later parts may reach beyond its screen
    if several > 1 and kind is not JPEG:  # a JPEG with more images behind it (a camera's preview) is one frame
        raise _several(several, kind, where, code)
    try:
        image.load()
        orientation = int(image.getexif().get(ORIENTATION_TAG, 1) or 1)
    except Exception as error:
        raise _failed(data, kind, where, code, error) from error
    orientation = orientation if 1 <= orientation <= 8 else 1
    if kind is JPEG and _takes_more(data, image):
        raise _cut(where, code)
    if kind is PNG and _wide_colour(data):
        return _wide_png(data, orientation, where, code)
    return _from_pillow(image, kind, orientation)


def _takes_more(data: bytes, image: Image.Image) -> bool:
    """Whether a JPEG's data end before its image does, though an end marker follows: what is put before the marker
    then becomes visible, while behind a whole image it would be passed over.

    Asked of those alone whose last corner is as decoders leave it, and of progressive ones, which show it nowhere.
    """
    corner = image.crop((image.width - CORNER_PX, image.height - CORNER_PX, *image.size))
    untold = set(corner.tobytes()) == {UNTOLD_GREY}
    end = data.rfind(ENDS[JPEG])
    if end < 0 or not (untold or image.info.get("progressive")):
        return False
    try:
        longer = Image.open(io.BytesIO(data[:end] + MORE_DATA + data[end:]))
        return longer.tobytes() != image.tobytes()
    except Exception:  # what was put in leads a decoder astray only where it is read
        return True


def _wide_colour(data: bytes) -> bool:
    """Whether a PNG's header says 16 bits per channel and more than one channel: Pillow drops the lower eight."""
    return data[24] == 16 and data[25] in (2, 4, 6)


def _wide_png(data: bytes, orientation: int, where: str, code: str) -> StoredPixels:
    pixels = cv2.imdecode(np.frombuffer(data, np.uint8), cv2.IMREAD_UNCHANGED)  # BGR or BGRA, also where it is grey
    if pixels is None or pixels.ndim != 3:
        raise _failed(data, PNG, where, code, ValueError("16-bit colour"))
    alpha = pixels[..., 3] if pixels.shape[2] == 4 else None
    return StoredPixels(np.ascontiguousarray(pixels[..., 2::-1]), PNG, "rgb", alpha, orientation)


def _from_pillow(image: Image.Image, kind: Kind, orientation: int) -> StoredPixels:
    mode = image.mode
    transparent = "transparency" in image.info
    if mode in ("P", "PA"):
        rgba = np.asarray(image.convert("RGBA"))
        alpha = rgba[..., 3] if transparent or mode == "PA" else None
        return StoredPixels(rgba[..., :3], kind, "palette", alpha, orientation)
    if mode in ("RGBA", "LA", "RGBa", "La") or (mode in ("L", "RGB") and transparent):
        rgba = np.asarray(image.convert("RGBA"))
        if mode[0] == "L":
            return StoredPixels(rgba[..., 0], kind, "grey", rgba[..., 3], orientation)
        return StoredPixels(rgba[..., :3], kind, "rgb", rgba[..., 3], orientation)
    if mode == "1":
        return StoredPixels(np.asarray(image.convert("L")), kind, "grey", None, orientation)
    if mode == "CMYK":
        return StoredPixels(np.asarray(image), kind, "cmyk", None, orientation)
    if mode.startswith(("I", "F")):
        stored = np.asarray(image)
        wide = stored.astype(np.uint16) if stored.dtype.kind in "iu" and mode != "F" else stored
        return StoredPixels(wide, kind, "grey", None, orientation)
    plain = np.asarray(image if mode in ("L", "RGB") else image.convert("RGB"))
    return StoredPixels(plain, kind, "grey" if mode == "L" else "rgb", None, orientation)


def _decode_tiff(data: bytes, where: str, code: str) -> StoredPixels:
    # OpenCV silently reads ClinicDB's TIF as grey and PIL refuses it: the tag says MINISBLACK with three samples.
    try:
        with tifffile.TiffFile(io.BytesIO(data)) as file:
            several = len(file.pages)
            if several == 0:
                raise ValueError("no page")
            page = file.pages.first
            deep = max(1, page.imagedepth) * max(1, -(-page.samplesperpixel // MOST_SAMPLES))
            _refuse_large(page.imagewidth, page.imagelength * deep, where, code)
            _refuse_large(page.tilewidth, page.tilelength * max(1, page.tiledepth), where, code)
            full = [other for other in file.pages if not getattr(other, "is_reduced", False)]
            if len(full) > 1:
                raise _several(len(full), TIFF, where, code)
            return _from_tiff(page, page.asarray())
    except DataError:
        raise
    except Exception as error:  # a decoder that is fed damaged bytes raises anything
        raise _failed(data, TIFF, where, code, error) from error


def _from_tiff(page: Any, pixels: NDArray[Any]) -> StoredPixels:
    if pixels.ndim == 3 and int(page.planarconfig) == 2:
        pixels = np.moveaxis(pixels, 0, 2)
    if pixels.ndim not in (2, 3):
        raise ValueError(f"{pixels.ndim} dimensions")
    tag = page.tags.get(ORIENTATION_TAG)
    orientation = int(tag.value) if tag is not None and 1 <= int(tag.value) <= 8 else 1
    photometric = int(page.photometric)
    if pixels.dtype == bool:
        pixels = pixels.astype(np.uint8) * 255
    if photometric == PALETTE and pixels.ndim == 2 and page.colormap is not None:
        colours = np.moveaxis(np.asarray(page.colormap), 0, 1)
        expanded = (colours[pixels] // 257).astype(np.uint8)
        return StoredPixels(expanded, TIFF, "palette", None, orientation)
    if photometric == MINISWHITE and pixels.dtype.kind == "u":
        pixels = np.iinfo(pixels.dtype).max - pixels
    if pixels.ndim == 2 or pixels.shape[2] == 1:
        return StoredPixels(pixels.reshape(pixels.shape[:2]), TIFF, "grey", None, orientation)
    if photometric == SEPARATED and pixels.shape[2] == 4:
        return StoredPixels(pixels, TIFF, "cmyk", None, orientation)
    if pixels.shape[2] == 2:
        return StoredPixels(pixels[..., 0], TIFF, "grey", pixels[..., 1], orientation)
    alpha = pixels[..., 3] if pixels.shape[2] > 3 else None
    return StoredPixels(pixels[..., :3], TIFF, "rgb", alpha, orientation)


def _failed(data: bytes, kind: Kind, where: str, code: str, error: Exception) -> DataError:
    """The error for what a decoder could not do: the file is cut off, or something else is wrong with it."""
    message = str(error).lower()
    words = ("truncated", "end of", "not enough", "buffer is smaller", "failed to read")
    cut = isinstance(error, EOFError) or any(word in message for word in words)
    end = ENDS.get(kind)
    if cut or (end is not None and end not in data[-LAST_BYTES:]):
        return _cut(where, code)
    reason = " ".join(str(error).split())[:120] or type(error).__name__
    what = f"{len(data)} bytes that cannot be decoded ({reason})."
    return DataError(f"{code}_UNREADABLE", what, where=where, fix="fetch the file again, or leave it out.")


def _cut(where: str, code: str) -> DataError:
    fix = "fetch or export the file again; what is missing would be grey rows."
    return DataError(f"{code}_TRUNCATED", "the file ends before its image does.", where=where, fix=fix)


_SMALLER = "export the frame at the recording's own size."


def _refuse_large(width: int, height: int, where: str, code: str) -> None:
    if width * height > MOST_PIXELS:
        what = f"the header claims {width}×{height} pixels, more than {MOST_PIXELS // 1_000_000} million."
        raise DataError(f"{code}_TOO_LARGE", what, where=where, fix=_SMALLER)


def _several(count: int, kind: Kind, where: str, code: str) -> DataError:
    what = f"a {kind.name} of {count} pictures: which one is the frame?"
    fix = "export the pictures as single files, or the film as a video."
    return DataError(f"{code}_ANIMATED", what, where=where, fix=fix)


def brightest_channel(pixels: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """uint8 H×W×(3 or more) → H×W, the largest of the first three channels.

    Plane by plane: a reduction over the short last axis takes twenty times as long.
    """
    return np.maximum(np.maximum(pixels[..., 0], pixels[..., 1]), pixels[..., 2])


NPY = Kind("NumPy array", (".npy",))
MAT = Kind("MATLAB file", (".mat",))
ARRAY_SUFFIXES = (*NPY.suffixes, *MAT.suffixes)
NPY_MAGIC, MAT_MAGIC = b"\x93NUMPY", b"MATLAB 5.0 MAT-file"
_ONE_ARRAY = "save one array of the frame's height and width, of 0 (no polyp) and 1 (polyp)."


def is_array(data: bytes) -> bool:
    """Whether a file begins as an array that is read here; version 7.3 of MATLAB's files does not."""
    return data.startswith((NPY_MAGIC, MAT_MAGIC))


def read_npy(data: bytes, where: str, code: str = "E_MASK") -> NDArray[Any]:
    """The array of a ``.npy`` file, which is refused by its header where that claims what no frame or file holds.

    Raises: DataError ``_TOO_LARGE``, ``_UNREADABLE`` (pickled objects among them: nothing is ever unpickled).
    """
    file = io.BytesIO(data)
    fix = "save it again by numpy.save(path, array, allow_pickle=False)."
    try:
        version = np.lib.format.read_magic(file)
        read = np.lib.format.read_array_header_1_0 if version == (1, 0) else np.lib.format.read_array_header_2_0
        shape, _, dtype = read(file)
    except Exception as error:  # the header is a Python literal: anything may be wrong with it
        what = f"the header of the NumPy array cannot be read ({type(error).__name__})."
        raise DataError(f"{code}_UNREADABLE", what, where=where, fix=fix) from error
    if math.prod(shape) > MOST_PIXELS:
        what = f"the header claims {'×'.join(map(str, shape))} values, more than any frame has."
        raise DataError(f"{code}_TOO_LARGE", what, where=where, fix=_ONE_ARRAY)
    held = len(data) - file.tell()
    if dtype.hasobject or math.prod(shape) * dtype.itemsize > held:
        what = "an array of Python objects." if dtype.hasobject else "the header claims more than the file holds."
        raise DataError(f"{code}_UNREADABLE", what, where=where, fix=fix)
    return np.load(io.BytesIO(data), allow_pickle=False)


def _mat(data: bytes, where: str) -> dict[str, Any]:
    """The variables of a MATLAB file, whose headers are read first. Raises: DataError E_MASK_TOO_LARGE; any."""
    if any(math.prod(shape) > MOST_PIXELS for _, shape, _ in whosmat(io.BytesIO(data))):
        raise DataError("E_MASK_TOO_LARGE", "more pixels than any frame has.", where=where, fix=_ONE_ARRAY)
    return loadmat(io.BytesIO(data))


def decode_array(data: bytes, where: str) -> StoredPixels:
    """The one array of two dimensions in a file of NumPy or MATLAB (to version 7), H×W, truth values as 0 and 1.

    Raises: DataError E_MASK_UNREADABLE, E_MASK_ARRAY (not one such array), E_MASK_TOO_LARGE.
    """
    kind = NPY if data.startswith(NPY_MAGIC) else MAT
    try:
        held = {"": read_npy(data, where)} if kind is NPY else _mat(data, where)
    except DataError:
        raise
    except Exception as error:  # a reader that is fed damaged bytes raises anything
        what = f"the {kind.name} cannot be read ({type(error).__name__})."
        raise DataError("E_MASK_UNREADABLE", what, where=where, fix=_ONE_ARRAY) from error
    found = [value for name, value in held.items() if not name.startswith("__") and isinstance(value, np.ndarray)]
    flat = [array for array in found if array.ndim == 2 and min(array.shape) > 1 and array.dtype.kind in "buif"]
    if len(flat) != 1:
        shapes = ", ".join("×".join(map(str, array.shape)) or "a single value" for array in found) or "nothing"
        raise DataError(
            "E_MASK_ARRAY", f"it holds {shapes}, not one array of two dimensions.", where=where, fix=_ONE_ARRAY
        )
    pixels = flat[0].astype(np.uint8) if flat[0].dtype.kind == "b" else flat[0]
    return StoredPixels(np.ascontiguousarray(pixels), kind, "grey")
