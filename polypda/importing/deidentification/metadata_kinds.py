"""Which kinds of metadata a picture's file held: for the report of what was removed. None of it is read."""

from __future__ import annotations

import struct
from collections.abc import Iterator

_SEGMENTS = (
    (0xE1, b"Exif\x00", "EXIF"),
    (0xE1, b"http://ns.adobe.com/xap/", "XMP"),
    (0xE1, b"http://ns.adobe.com/xmp/", "XMP"),
    (0xED, b"Photoshop", "IPTC"),
    (0xE2, b"ICC_PROFILE", "colour profile"),
    (0xFE, b"", "comment"),
)
_CHUNKS = {
    b"tEXt": "text",
    b"zTXt": "text",
    b"iTXt": "text",
    b"eXIf": "EXIF",
    b"tIME": "date",
    b"iCCP": "colour profile",
}
_PNG, _JPEG = b"\x89PNG\r\n\x1a\n", b"\xff\xd8"


def metadata_kinds(encoded: bytes | None) -> tuple[str, ...]:
    """Kinds of metadata in a JPEG or PNG file, in alphabetical order; none for other formats."""
    if encoded is None:
        return ()
    if encoded.startswith(_JPEG):
        return tuple(sorted(set(_in_jpeg(encoded))))
    return tuple(sorted(set(_in_png(encoded)))) if encoded.startswith(_PNG) else ()


def _in_jpeg(data: bytes) -> Iterator[str]:
    place = 2
    while place + 4 <= len(data) and data[place] == 0xFF and data[place + 1] != 0xDA:
        marker, length = data[place + 1], int.from_bytes(data[place + 2 : place + 4], "big")
        content = data[place + 4 : place + 2 + length]
        named = [kind for code, start, kind in _SEGMENTS if marker == code and content.startswith(start)]
        if named:
            yield named[0]
        elif 0xE1 <= marker <= 0xEF:
            yield "other application data"
        place += 2 + length
    end = data.rfind(b"\xff\xd9")
    if end >= 0 and data[end + 2 :].strip(b"\x00"):
        yield "bytes after the picture"


def _in_png(data: bytes) -> Iterator[str]:
    place = len(_PNG)
    while place + 12 <= len(data):
        length, name = struct.unpack_from(">I4s", data, place)
        if name in _CHUNKS:
            yield _CHUNKS[name]
        place += 12 + length
        if name == b"IEND":
            break
    if data[place:]:
        yield "bytes after the picture"
