"""Whether a picture file is whole: decoders fill what is missing with grey and say nothing."""

from __future__ import annotations

import io

from PIL import Image, UnidentifiedImageError

JPEG_START, JPEG_END = b"\xff\xd8", b"\xff\xd9"
PNG_START, PNG_END = b"\x89PNG", b"IEND"
TAIL_BYTES = 4096
"""Some devices write a few bytes after a picture's end."""
ORIENTATION_TAG = 0x0112
UPRIGHT = 1


def cut_short(data: bytes) -> bool:
    """True for a JPEG or PNG whose end is missing."""
    tail = data[-TAIL_BYTES:]
    if data.startswith(JPEG_START):
        return JPEG_END not in tail
    return data.startswith(PNG_START) and PNG_END not in tail


def orientation(data: bytes) -> int:
    """The EXIF orientation, 1 to 8; 1 (upright) where none is told or it cannot be read."""
    if b"Exif" not in data[:TAIL_BYTES] and not data.startswith((b"II", b"MM", PNG_START)):
        return UPRIGHT
    try:
        with Image.open(io.BytesIO(data)) as picture:
            told = picture.getexif().get(ORIENTATION_TAG, UPRIGHT)
    except (UnidentifiedImageError, OSError, ValueError, SyntaxError, Image.DecompressionBombError):
        return UPRIGHT
    return told if isinstance(told, int) and 1 <= told <= 8 else UPRIGHT
