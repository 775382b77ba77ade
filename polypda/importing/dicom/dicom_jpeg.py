"""Colour JPEG frames of DICOM objects that do not say themselves how their colours are coded.

A JPEG with a JFIF or Adobe marker says it, and is right whatever the object says. Without one: components named R, G, B
are RGB; colours stored at half size are YCbCr, for nobody halves red and blue; else the object's own word is followed.
"""

from __future__ import annotations

import io
from dataclasses import dataclass

import numpy as np
from PIL import Image

from polypda.importing.contract import Pixels, Remark

START_OF_SCAN = 0xDA
FRAME_HEADERS = (*range(0xC0, 0xC4), *range(0xC5, 0xC8), *range(0xC9, 0xCC), *range(0xCD, 0xD0))
APP0, APP14 = 0xE0, 0xEE
RGB_NAMES = b"RGB"
AS_RGB, AS_YCBCR = 0, 1
"""Adobe's colour transforms."""


@dataclass(frozen=True)
class JpegHeader:
    """marked: a JFIF or Adobe marker tells the colours. names: the components' ids. sampling: how dense each is."""

    marked: bool = False
    names: bytes = b""
    sampling: tuple[int, ...] = ()

    @classmethod
    def read(cls, data: bytes) -> JpegHeader:
        """Read the segments before the scan; what cannot be followed is left to the decoder."""
        marked, names = False, b""
        sampling: tuple[int, ...] = ()
        place = 2
        while place + 4 <= len(data) and data[place] == 0xFF and data[place + 1] != START_OF_SCAN:
            marker, length = data[place + 1], int.from_bytes(data[place + 2 : place + 4], "big")
            body = data[place + 4 : place + 2 + length]
            marked |= (marker == APP0 and body.startswith(b"JFIF")) or (marker == APP14 and body.startswith(b"Adobe"))
            if marker in FRAME_HEADERS and len(body) >= 6:
                components = [body[6 + 3 * k : 9 + 3 * k] for k in range(body[5])]
                names = b"".join(component[:1] for component in components)
                sampling = tuple(component[1] for component in components if len(component) > 1)
            place += 2 + max(length, 2)
        return cls(marked, names, sampling)


def decode_colour_jpeg(data: bytes, photometric: str) -> tuple[Pixels, tuple[Remark, ...]]:
    """A three-channel 8-bit JPEG as RGB, uint8 H×W×3, and what was decided without being told.

    Raises: what Pillow raises.
    """
    header = JpegHeader.read(data)
    remarks = []
    if not header.marked:
        halved = len(set(header.sampling)) > 1
        rgb = header.names == RGB_NAMES or (photometric == "RGB" and not halved)
        if photometric == "RGB" and not rgb:
            what = "says RGB, but its JPEG halves two of the components: read as YCbCr."
            remarks.append(Remark("N_DICOM_COLOUR", what))
        elif photometric == "RGB" and header.names != RGB_NAMES:
            what = "its JPEG does not tell how colours are coded: read as RGB, as the object says. Look at the colours."
            remarks.append(Remark("W_DICOM_COLOUR", what))
        data = _with_adobe_marker(data, AS_RGB if rgb else AS_YCBCR)
    picture = Image.open(io.BytesIO(data), formats=("JPEG",))
    return np.asarray(picture.convert("RGB")), tuple(remarks)


def _with_adobe_marker(data: bytes, transform: int) -> bytes:
    """The same JPEG, with the marker that tells its decoder the colour transform."""
    body = b"Adobe" + (100).to_bytes(2, "big") + bytes(4) + bytes([transform])
    return data[:2] + bytes([0xFF, APP14]) + (len(body) + 2).to_bytes(2, "big") + body + data[2:]
