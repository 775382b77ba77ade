"""Tables that tell of videos: one row a video, with its patient, sequence, split and mode.

They are read as tables of frames are, but that the column that names a video may be headed ``video``, as owners do.
"""

from __future__ import annotations

import csv
import io
from collections.abc import Sequence
from pathlib import Path

from polypda.errors import DataError
from polypda.importing.contract import Ledger, SourceTree
from polypda.importing.folders.folder_words import words_of
from polypda.importing.folders.frame_tables import COLUMN_NAMES, is_table_name
from polypda.importing.folders.table_lookup import Tables
from polypda.importing.folders.table_text import table_rows, table_text

VIDEO_HEADINGS = ("video", "video id", "video name", "clip", "film", "视频", "视频编号")


def video_tables(tree: SourceTree, ledger: Ledger) -> Tables:
    """What all tables of the tree say of its videos; what cannot be read goes into the ledger."""
    return Tables.of(_HeadedByVideo(tree), ledger)


class _HeadedByVideo:
    """The same tree, its tables headed ``frame`` where they say ``video``."""

    def __init__(self, tree: SourceTree) -> None:
        self._tree = tree
        self.name = tree.name
        self.refused = tree.refused

    def files(self) -> Sequence[str]:
        return [path for path in self._tree.files() if is_table_name(path)]

    def local(self, path: str) -> Path:
        return self._tree.local(path)

    def read(self, path: str) -> bytes:
        data = self._tree.read(path)
        try:
            rows = table_rows(table_text(data, path))
        except (csv.Error, DataError):
            return data  # whoever reads it as a table says what is wrong
        start = next((index for index, row in enumerate(rows) if any(row)), None)
        if start is None:
            return data
        header = [words_of(heading) for heading in rows[start]]
        videos = [place for place, heading in enumerate(header) if heading in VIDEO_HEADINGS]
        if not videos or any(heading in COLUMN_NAMES["frame"] for heading in header):
            return data
        rows[start][videos[0]] = "frame"
        text = io.StringIO()
        csv.writer(text).writerows(rows)
        return text.getvalue().encode()
