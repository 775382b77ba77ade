"""Frames as the page shows them: the cohort's own pixels at native size, without anything else that a file may hold."""

from __future__ import annotations

import base64
import io

import cv2
import numpy as np
from matplotlib import colormaps
from numpy.typing import NDArray
from PIL import Image

from polypda.cohorts.frames import Frame
from polypda.cohorts.images import decode_image, file_bytes
from polypda.errors import DataError

UNCERTAINTY_WIDTH_PX = 240
JPEG_START, JPEG_END = b"\xff\xd8", 0xD9
SCAN, ADOBE = 0xDA, 0xEE
"""Adobe's segment tells how colours are coded: without it a decoder may guess wrongly."""


def shown_image(frame: Frame, pixels: NDArray[np.uint8]) -> tuple[bytes, str]:
    """A frame's picture (pixels: uint8 H×W×3, as it is read) without metadata, and its suffix.

    A JPEG keeps its coded pixels where they decode to the very same ones; everything else becomes a PNG.
    Raises: DataError E_IMAGE_MISSING, E_IMAGE_UNREADABLE.
    """
    data = file_bytes(frame.image, "E_IMAGE")
    if data.startswith(JPEG_START):
        bare = without_metadata(data)
        if bare is not None and _decodes_to(bare, frame, pixels):
            return bare, ".jpg"
    buffer = io.BytesIO()
    Image.fromarray(pixels).save(buffer, "PNG", compress_level=6)
    return buffer.getvalue(), ".png"


def shown_whole(content: bytes, suffix: str, shape: tuple[int, ...]) -> bytes:
    """A JPEG or PNG of H×W pixels inside an SVG: the same pixels, but shown by a browser only where the file is whole.

    Of a JPEG or PNG that was copied by half a browser paints what is there, and a page opened from a folder cannot read
    the file to find out. An SVG that was cut, or ends in zeros, is no XML: every browser refuses it.
    """
    height, width = shape[:2]
    kind = {".jpg": "jpeg", ".png": "png"}[suffix]
    size = f'width="{width}" height="{height}"'
    link = f"data:image/{kind};base64,{base64.b64encode(content).decode()}"
    return f'<svg xmlns="http://www.w3.org/2000/svg" {size}><image {size} href="{link}"/></svg>\n'.encode()


def _decodes_to(data: bytes, frame: Frame, pixels: NDArray[np.uint8]) -> bool:
    try:
        return bool(np.array_equal(decode_image(data, frame.image), pixels))
    except DataError:
        return False


def without_metadata(jpeg: bytes) -> bytes | None:
    """A JPEG without comments, application segments and what lies behind its end; None where it cannot be followed."""
    kept, index = [JPEG_START], 2
    while index + 4 <= len(jpeg):
        if jpeg[index] != 0xFF:
            return None
        marker = jpeg[index + 1]
        if marker == 0xFF:  # padding
            index += 1
            continue
        if marker == JPEG_END:
            break
        length = int.from_bytes(jpeg[index + 2 : index + 4], "big")
        end = index + 2 + length
        if marker == SCAN:
            end = _end_of_scan(jpeg, end)
        metadata = marker == 0xFE or (0xE0 <= marker <= 0xEF and marker not in (0xE0, ADOBE))
        if not metadata:
            kept.append(jpeg[index:end])
        index = end
    if jpeg[index : index + 2] != bytes((0xFF, JPEG_END)):
        return None
    return b"".join([*kept, bytes((0xFF, JPEG_END))])


def _end_of_scan(jpeg: bytes, index: int) -> int:
    """Where the coded pixels of a scan end: at the next marker that is neither stuffing nor a restart."""
    while (index := jpeg.find(b"\xff", index)) >= 0 and index + 1 < len(jpeg):
        following = jpeg[index + 1]
        if following != 0 and not 0xD0 <= following <= 0xD7:
            return index
        index += 2
    return len(jpeg)


def entropy(probability: NDArray[np.floating]) -> NDArray[np.float32]:
    """Binary entropy of P(polyp) in bits, float32 in [0, 1]: 1 where the model could as well toss a coin."""
    p = np.clip(probability.astype(np.float64), 1e-7, 1 - 1e-7)
    return (-(p * np.log2(p) + (1 - p) * np.log2(1 - p))).astype(np.float32)


def uncertainty_image(values: NDArray[np.float32]) -> tuple[bytes, tuple[int, int]]:
    """Values H×W in [0, 1] in cividis, reduced to the panel's size: a PNG with a palette, and its H×W."""
    height, width = values.shape
    scale = min(1.0, UNCERTAINTY_WIDTH_PX / width)
    size = (max(1, round(width * scale)), max(1, round(height * scale)))
    small = cv2.resize(values, size, interpolation=cv2.INTER_AREA)
    image = Image.fromarray(np.clip(np.rint(small * 255), 0, 255).astype(np.uint8), "P")
    image.putpalette((colormaps["cividis"](np.arange(256))[:, :3] * 255).round().astype(np.uint8).tobytes())
    buffer = io.BytesIO()
    image.save(buffer, "PNG", optimize=True)
    return buffer.getvalue(), small.shape
