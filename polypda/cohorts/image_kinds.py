"""What kind of picture file some bytes are, told by the bytes and not by the name."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import PurePosixPath

IMAGE_SUFFIXES = (".png", ".jpg", ".jpeg", ".bmp", ".tif", ".tiff")
"""Names of the frames and masks of a cohort folder."""
READABLE_SUFFIXES = (
    *(".png", ".apng", ".jpg", ".jpeg", ".jpe", ".jfif", ".bmp", ".tif", ".tiff"),
    *(".gif", ".webp", ".jp2", ".j2k", ".ppm", ".pgm", ".pnm"),
)
"""Names that promise a picture. What a file is, its bytes decide."""


@dataclass(frozen=True)
class Kind:
    """A picture format: its name for messages and the suffixes that fit it, the usual one first."""

    name: str
    suffixes: tuple[str, ...]


JPEG = Kind("JPEG", (".jpg", ".jpeg", ".jpe", ".jfif"))
PNG = Kind("PNG", (".png", ".apng"))
TIFF = Kind("TIFF", (".tif", ".tiff"))
GIF = Kind("GIF", (".gif",))
BMP = Kind("BMP", (".bmp",))
WEBP = Kind("WebP", (".webp",))
JPEG_2000 = Kind("JPEG 2000", (".jp2", ".j2k"))
PORTABLE = Kind("portable pixmap", (".ppm", ".pgm", ".pnm"))

_BEGINNINGS: tuple[tuple[bytes, Kind], ...] = (
    (b"\xff\xd8\xff", JPEG),
    (b"\x89PNG\r\n\x1a\n", PNG),
    (b"II*\0", TIFF),
    (b"MM\0*", TIFF),
    (b"II+\0", TIFF),
    (b"MM\0+", TIFF),
    (b"GIF87a", GIF),
    (b"GIF89a", GIF),
    (b"BM", BMP),
    (b"\0\0\0\x0cjP  ", JPEG_2000),
    (b"\xff\x4f\xff\x51", JPEG_2000),
    (b"P5", PORTABLE),
    (b"P6", PORTABLE),
)


def kind_of(data: bytes) -> Kind | None:
    """The kind of picture that the bytes begin as; None when they are none."""
    if data[:4] == b"RIFF" and data[8:12] == b"WEBP":
        return WEBP
    return next((kind for beginning, kind in _BEGINNINGS if data.startswith(beginning)), None)


def suffix_of(path: str) -> str:
    """A path's suffix in lower case, with its dot; empty where there is none."""
    return PurePosixPath(path).suffix.lower()


def is_image_name(path: str) -> bool:
    """Whether a file's name promises a picture."""
    return suffix_of(path) in READABLE_SUFFIXES
