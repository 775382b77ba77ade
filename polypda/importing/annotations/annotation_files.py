"""Annotation files as text, JSON, XML and runs of pixels, of any origin; what is damaged or hostile gets a code.

XML with a document type is refused: entities can expand without bound or fetch other files, and no annotation tool
writes one. Of a JSON value whatever is of a wrong kind reads as nothing, never as an exception.
"""

from __future__ import annotations

import codecs
import json
import math
import re
from collections.abc import Sequence
from contextlib import suppress
from typing import Any
from xml.etree.ElementTree import Element, ParseError

import numpy as np
from defusedxml import DefusedXmlException
from defusedxml.ElementTree import fromstring
from numpy.typing import NDArray

from polypda.errors import DataError
from polypda.git_lfs import is_pointer, pointer_error
from polypda.importing.contract import MaskPixels, SourceTree

LARGEST_BYTES = 1 << 30
"""An annotation file beyond this is not opened: parsed, it would take tens of times as much memory."""
MOST_NESTED = 200
"""Levels of XML elements; annotation tools use five."""
_BYTE_ORDER_MARKS = {
    codecs.BOM_UTF8: "utf-8",
    codecs.BOM_UTF32_LE: "utf-32-le",  # before UTF-16, whose mark is its beginning
    codecs.BOM_UTF32_BE: "utf-32-be",
    codecs.BOM_UTF16_LE: "utf-16-le",
    codecs.BOM_UTF16_BE: "utf-16-be",
}
_XML_DECLARATION = re.compile(r"\s*<\?xml[^>]*\?>")


def read_text(tree: SourceTree, path: str) -> str:
    """A text file, see :func:`decoded_text`; GB 18030 covers GBK and GB 2312.

    Raises: DataError E_FILE_UNREADABLE, E_ANNOTATION_LFS_POINTER, E_ANNOTATION_LARGE, E_ANNOTATION_ENCODING.
    """
    data = tree.read(path)
    if is_pointer(data):
        raise pointer_error("E_ANNOTATION", path)
    if len(data) > LARGEST_BYTES:
        what = f"{len(data) / 2**20:.0f} MiB of annotation are too many."
        raise DataError("E_ANNOTATION_LARGE", what, where=path, fix="export the annotation in parts.")
    return decoded_text(data, path)


def decoded_text(data: bytes, where: str, code: str = "E_ANNOTATION") -> str:
    """Bytes as text: as their byte order mark says, as UTF-16 where every other byte is 0, else as UTF-8 or GB 18030.

    code: how the error's code begins. Raises: DataError with ``_ENCODING``.
    """
    head = data[:200]
    many = max(len(head) // 3, 1)
    mark = next((mark for mark in _BYTE_ORDER_MARKS if data.startswith(mark)), None)
    if mark is not None:
        data, tried = data[len(mark) :], [_BYTE_ORDER_MARKS[mark]]
    elif head[1::2].count(0) > many:
        tried = ["utf-16-le"]
    elif head[::2].count(0) > many:
        tried = ["utf-16-be"]
    else:
        tried = ["utf-8", "gb18030"]
    for encoding in tried:
        with suppress(UnicodeDecodeError):
            return data.decode(encoding)
    what = f"the text is neither {' nor '.join(tried)}."
    raise DataError(f"{code}_ENCODING", what, where=where, fix="save the file as UTF-8.")


def read_json(tree: SourceTree, path: str) -> Any:
    """A JSON file's value. Raises: DataError E_JSON and what :func:`read_text` raises."""
    text = read_text(tree, path)
    try:
        return json.loads(text)
    except (ValueError, RecursionError) as error:
        reason = "nested too deeply" if isinstance(error, RecursionError) else str(error).splitlines()[0][:120]
        what = f"no JSON ({reason})."
        raise DataError("E_JSON", what, where=path, fix="the file may be truncated: export it again.") from error


def read_xml(tree: SourceTree, path: str) -> Element:
    """An XML file's root. Raises: DataError E_XML, E_XML_ENTITIES and what :func:`read_text` raises."""
    # The text is decoded here: expat knows no multi-byte encoding but Unicode, so GBK must not be left to it.
    text = _XML_DECLARATION.sub("", read_text(tree, path), count=1)
    try:
        root = fromstring(text, forbid_dtd=True)
    except DefusedXmlException as error:
        what = "the XML declares a document type or entities, which can expand without bound."
        raise DataError("E_XML_ENTITIES", what, where=path, fix="no annotation needs them: export again.") from error
    except (ParseError, ValueError, RecursionError) as error:
        what = f"no XML ({str(error).splitlines()[0][:120] if str(error) else type(error).__name__})."
        raise DataError("E_XML", what, where=path, fix="the file may be truncated: export it again.") from error
    _require_flat(root, path)
    return root


def _require_flat(root: Element, where: str) -> None:
    level = [root]
    for _ in range(MOST_NESTED):
        level = [child for element in level for child in element]
        if not level:
            return
    raise DataError("E_XML", f"nested deeper than {MOST_NESTED} levels.", where=where, fix="export it again.")


def mapping(value: object) -> dict[str, Any]:
    """The object, or an empty one."""
    return value if isinstance(value, dict) else {}


def items(value: object) -> list[Any]:
    """The array, or an empty one."""
    return value if isinstance(value, list) else []


def mappings(value: object) -> list[dict[str, Any]]:
    """The objects of an array; what is none of them is passed over."""
    return [item for item in items(value) if isinstance(item, dict)]


def text(value: object) -> str:
    """The string without space around it, a whole number as digits, else an empty string."""
    if isinstance(value, int) and not isinstance(value, bool):
        return str(value) if abs(value) < 10**18 else ""
    # an escaped half of a surrogate pair is a string in JSON, but no text that could be written anywhere
    return value.encode("utf-8", "replace").decode("utf-8").strip() if isinstance(value, str) else ""


def number(value: object) -> float:
    """The number, also where it stands as text; NaN for anything else."""
    if isinstance(value, bool) or not isinstance(value, (int, float, str)):
        return math.nan
    try:
        return float(value)
    except (ValueError, OverflowError):
        return math.nan


def whole(value: object) -> int | None:
    """The number where it is a whole one, else None."""
    found = number(value)
    return int(found) if math.isfinite(found) and found == int(found) else None


def size_px(width: object, height: object) -> tuple[int, int] | None:
    """(height, width) where both are whole and at least 1; tools write 0 or nothing where they do not know."""
    across, down = whole(width), whole(height)
    return (down, across) if across and down and min(across, down) >= 1 else None


# Masks as runs of pixels. COCO and CVAT alternate between runs of background and of polyp and begin with background.
# COCO walks down the columns of the whole frame; CVAT walks along the rows of a window. COCO's text packs the runs six
# bits to a character. pycocotools decodes it too, but returns memory that it never wrote when the runs are too short,
# and reads beyond a text that breaks off: files from elsewhere must not reach it unchecked.
#
# Label Studio's brush holds RGBA values of the frame, row by row, as runs and literals packed into bits: 32 bits, how
# many values (height · width · 4); 5 bits, bits per value less one; four times 4 bits, the lengths of run counters less
# one. Then blocks until all values are there: one bit, 1 for a run and 0 for literals; two bits, which of the four
# counters; the counter, how many less one; then one value, or that many.
_FIRST, _LAST = ord("0"), ord("o")  # 64 characters, six bits each
_MORE, _SIGN, _VALUE = 0x20, 0x10, 0x1F
_LISTED = re.compile(r" *\[ *\d{1,9}(?:\.0)? *(?:, *\d{1,9}(?:\.0)? *)+\] *")
"""A list of runs that somebody wrote as text; a comma is no character of COCO's own text."""
_MOST_CHARACTERS = 8  # 40 bits: beyond any run of any image


def coco_mask(counts: object, size: tuple[int, int], where: str) -> MaskPixels:
    """A COCO mask of the whole frame: column by column, ``counts`` a list of runs or COCO's text.

    size: (height, width) of the mask. Raises: DataError E_RLE, E_RLE_LENGTH.
    """
    if isinstance(counts, str) and _LISTED.fullmatch(counts):
        counts = [float(run) for run in counts.strip(" []").split(",")]
    runs = coco_runs(counts, where) if isinstance(counts, (str, bytes)) else _checked(counts, where)
    height, width = size
    return np.ascontiguousarray(_spread(runs, height * width, where).reshape(width, height).T)


def cvat_mask(
    counts: Sequence[object], window: tuple[int, int, int, int], size: tuple[int, int], where: str
) -> MaskPixels:
    """A CVAT mask: row by row in a window (left, top, width, height, px) of a frame of ``size`` (height, width).

    Raises: DataError E_RLE, E_RLE_LENGTH, E_RLE_WINDOW.
    """
    left, top, width, height = window
    if min(left, top) < 0 or min(width, height) < 1 or left + width > size[1] or top + height > size[0]:
        what = f"the mask's window {width}×{height} at ({left}, {top}) leaves the frame of {size[1]}×{size[0]}."
        raise DataError("E_RLE_WINDOW", what, where=where, fix="export the annotation again.")
    mask = np.zeros(size, np.uint8)
    pixels = _spread(_checked(counts, where), width * height, where)
    mask[top : top + height, left : left + width] = pixels.reshape(height, width)
    return mask


def coco_runs(packed: str | bytes, where: str) -> list[int]:
    """The runs that COCO's text holds: groups of five bits, lowest first; from the fourth run on, what is added to the
    run before the last. Raises: DataError E_RLE."""
    codes = packed.encode("utf-8", "replace") if isinstance(packed, str) else packed
    runs: list[int] = []
    value, shift = 0, 0
    for code in codes:
        if not _FIRST <= code <= _LAST or shift >= 5 * _MOST_CHARACTERS:
            break
        bits = code - _FIRST
        value |= (bits & _VALUE) << shift
        shift += 5
        if bits & _MORE:
            continue
        if bits & _SIGN:
            value -= 1 << shift
        if len(runs) > 2:
            value += runs[-2]
        runs.append(value)
        value, shift = 0, 0
    else:
        if shift == 0:
            return _checked(runs, where)
    raise _broken(f"the packed mask breaks off or holds a strange character after {len(runs)} runs.", where)


def _checked(counts: object, where: str) -> list[int]:
    runs = counts if isinstance(counts, Sequence) and not isinstance(counts, (str, bytes)) else [None]
    if all(isinstance(run, (int, float)) and not isinstance(run, bool) and 0 <= run == run // 1 for run in runs):
        return [int(run) for run in runs if run is not None]
    raise _broken("a run of the mask is no count.", where)


def _spread(runs: list[int], pixels: int, where: str) -> MaskPixels:
    total = sum(runs)
    if total != pixels:
        what = f"the mask's runs cover {total} pixels, but it has {pixels}."
        raise DataError("E_RLE_LENGTH", what, where=where, fix="find the annotation of this very picture.")
    return np.repeat(np.arange(len(runs), dtype=np.int64) & 1, runs).astype(np.uint8)


LEAST_OPAQUE = 128
"""A pixel is polyp when its opacity (0–255) reaches this; the rim of a brush is half transparent."""


def brush_mask(stream: Sequence[object], size: tuple[int, int], where: str) -> MaskPixels:
    """The mask of a brush region.

    stream: the bytes, 0–255. size: (height, width) of the image that was painted on.
    Raises: DataError E_RLE, E_RLE_LENGTH.
    """
    height, width = size
    if not all(isinstance(byte, int) and not isinstance(byte, bool) and 0 <= byte <= 255 for byte in stream):
        raise _broken("a value of the packed brush is no byte.", where)
    values = _values(np.unpackbits(np.array(stream, np.uint8)), height * width * 4, where)
    return (values.reshape(height, width, 4)[..., 3] >= LEAST_OPAQUE).astype(np.uint8)


def _values(bits: NDArray[np.uint8], expected: int, where: str) -> NDArray[np.int64]:
    text = bits.tobytes().translate(bytes([48, 49]) + bytes(254)).decode("ascii")  # int() reads ranges of digits fast
    try:
        count, word = int(text[:32], 2), int(text[32:37], 2) + 1
        counters = [int(text[start : start + 4], 2) + 1 for start in range(37, 53, 4)]
    except ValueError:
        raise _broken("the packed brush has no header.", where) from None
    if count != expected:
        what = f"the brush covers {count} values, but the picture that was painted on has {expected}."
        raise DataError("E_RLE_LENGTH", what, where=where, fix="find the annotation of this very picture.")
    weights = 1 << np.arange(word, dtype=np.int64)[::-1]
    values = np.zeros(count, np.int64)
    done, index = 0, 53
    while done < count:
        try:
            run = text[index] == "1"
            counter = counters[int(text[index + 1 : index + 3], 2)]
            index += 3
            many = min(_number(text, index, counter) + 1, count - done)
            index += counter
            if run:
                values[done : done + many] = _number(text, index, word)
                index += word
            else:
                values[done : done + many] = bits[index : index + many * word].reshape(many, word) @ weights
                index += many * word
        except (ValueError, IndexError):
            raise _broken(f"the packed brush breaks off after {done} of {count} values.", where) from None
        done += many
    return values


def _number(text: str, index: int, length: int) -> int:
    digits = text[index : index + length]
    if len(digits) < length:
        raise IndexError(index)
    return int(digits, 2)


def _broken(what: str, where: str) -> DataError:
    return DataError("E_RLE", what, where=where, fix="export the annotation again.")
