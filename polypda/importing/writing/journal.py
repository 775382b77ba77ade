"""What of an import is complete, for a command that goes on with it: one JSON value a line, flushed per file."""

from __future__ import annotations

import json
import os
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any

from polypda.files import whole_file

Entry = dict[str, Any]
"""One of: ``identity``; ``row`` with ``files``, a frame; ``line``, of the ledger; ``finished``, a source's file."""


class Journal:
    """An import's journal, begun anew with the entries that are taken over."""

    def __init__(self, path: Path, identity: dict[str, str], entries: list[Entry]) -> None:
        self.anything_finished = any("finished" in entry for entry in entries)
        with whole_file(path) as temporary:
            lines = [json.dumps(entry) + "\n" for entry in [{"identity": identity}, *entries]]
            temporary.write_text("".join(lines), encoding="utf-8")
        self._file = path.open("a", encoding="utf-8")

    def note(self, entry: Entry) -> None:
        """Add an entry; it counts once a file is finished after it."""
        self._file.write(json.dumps(entry) + "\n")

    def finish(self, path: str) -> None:
        """A file of the source is complete, with all entries so far."""
        self.note({"finished": path})
        self._sync()
        self.anything_finished = True

    def close(self) -> None:
        """Close the file; what came after the last finished one is dropped by whoever goes on."""
        with suppress(OSError):
            self._file.close()

    @staticmethod
    def complete_part(path: Path, identity: dict[str, str]) -> list[Entry]:
        """The entries up to the last finished file; none where the journal is another import's."""
        entries = list(_entries(path))
        if not entries or entries[0].get("identity") != identity:
            return []
        ends = [place for place, entry in enumerate(entries) if "finished" in entry]
        return entries[1 : ends[-1] + 1] if ends else []

    def _sync(self) -> None:
        self._file.flush()
        os.fsync(self._file.fileno())


def _entries(path: Path) -> Iterator[Entry]:
    with suppress(OSError, ValueError):  # a crash may leave half a line at the end
        for text in path.read_text(encoding="utf-8").splitlines():
            yield json.loads(text)
