"""The text of a table, in whatever encoding and with whatever separator a spreadsheet wrote it."""

from __future__ import annotations

import codecs
import csv
import io

from polypda.errors import DataError

BYTE_ORDER_MARKS = (
    (codecs.BOM_UTF8, "utf-8-sig"),
    (codecs.BOM_UTF32_LE, "utf-32"),
    (codecs.BOM_UTF32_BE, "utf-32"),
    (codecs.BOM_UTF16_LE, "utf-16"),
    (codecs.BOM_UTF16_BE, "utf-16"),
)
SEPARATORS = ",;\t"


def table_text(data: bytes, path: str) -> str:
    """Decode a table: by its byte-order mark, as UTF-16 where every other byte is 0, else UTF-8, else GB18030.

    GB18030 holds all of GBK and GB2312. Raises: DataError E_TABLE_ENCODING.
    """
    marked = [name for mark, name in BYTE_ORDER_MARKS if data.startswith(mark)]
    head = data[:200]
    if marked:
        tried = [marked[0]]
    elif head[1::2].count(0) > len(head) // 3:
        tried = ["utf-16-le"]
    elif head[::2].count(0) > len(head) // 3:
        tried = ["utf-16-be"]
    else:
        tried = ["utf-8", "gb18030"]
    for encoding in tried:
        try:
            return data.decode(encoding)
        except UnicodeDecodeError:
            continue
    what = f"the text is neither {' nor '.join(tried)}."
    raise DataError("E_TABLE_ENCODING", what, where=path, fix="save the table as UTF-8.")


def table_rows(text: str) -> list[list[str]]:
    """Rows of stripped fields, separated by what separates the first line most often; empty lines are left out."""
    first = next((line for line in text.splitlines() if line.strip()), "")
    separator = max(SEPARATORS, key=first.count)
    rows = csv.reader(io.StringIO(text, newline=""), delimiter=separator)
    return [[field.strip().strip("\ufeff") for field in row] for row in rows]
