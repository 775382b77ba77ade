"""Annotation files as text, JSON and XML, of any origin: what is damaged or hostile ends in a coded error.

XML with a document type is refused: entities can expand without bound or fetch other files, and no annotation tool
writes one. Of a JSON value whatever is of a wrong kind reads as nothing, never as an exception.
"""

from __future__ import annotations

import codecs
import json
import math
import re
from typing import Any
from xml.etree.ElementTree import Element, ParseError

from defusedxml import DefusedXmlException
from defusedxml.ElementTree import fromstring

from polypda.errors import DataError
from polypda.git_lfs import is_pointer, pointer_error
from polypda.importing.contract import SourceTree

LARGEST_BYTES = 1 << 30
"""An annotation file beyond this is not opened: parsed, it would take tens of times as much memory."""
MOST_NESTED = 200
"""Levels of XML elements; annotation tools use five."""
_BYTE_ORDER_MARKS = (
    (codecs.BOM_UTF8, "utf-8"),
    (codecs.BOM_UTF32_LE, "utf-32-le"),  # before UTF-16, whose mark is its beginning
    (codecs.BOM_UTF32_BE, "utf-32-be"),
    (codecs.BOM_UTF16_LE, "utf-16-le"),
    (codecs.BOM_UTF16_BE, "utf-16-be"),
)
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
    marked = next(((mark, encoding) for mark, encoding in _BYTE_ORDER_MARKS if data.startswith(mark)), None)
    if marked is not None:
        data, tried = data[len(marked[0]) :], [marked[1]]
    elif head[1::2].count(0) > many:
        tried = ["utf-16-le"]
    elif head[::2].count(0) > many:
        tried = ["utf-16-be"]
    else:
        tried = ["utf-8", "gb18030"]
    for encoding in tried:
        try:
            return data.decode(encoding)
        except UnicodeDecodeError:
            continue
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
