"""Progress of an import: bars over the files and over the film at hand on a terminal, a line now and then elsewhere."""

from __future__ import annotations

import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager

from rich.console import Console
from rich.progress import BarColumn, Progress, TaskID, TaskProgressColumn, TextColumn, TimeElapsedColumn
from rich.progress import TimeRemainingColumn as TimeLeft

LINE_EVERY_S = 15.0
LONGEST_NAME = 40


class ImportProgress:
    """files: after each file of the source. advance: while a large one (a film) is gone through."""

    def __init__(self, what: str, bars: Progress) -> None:
        self._bars = bars
        self._source = bars.add_task(what, total=None, count="")
        self._film: TaskID | None = None
        self._files = ""
        self._last_line_s = time.monotonic()

    def files(self, done: int, every: int) -> None:
        self._files = f"{done}/{every} files"
        self._bars.update(self._source, completed=done, total=every, count=self._files)

    def advance(self, path: str, share: float) -> None:
        name = path if len(path) <= LONGEST_NAME else f"…{path[1 - LONGEST_NAME :]}"
        if self._film is None:
            self._film = self._bars.add_task(name, total=1.0, count="")
        self._bars.update(self._film, description=name, completed=min(1.0, share))
        if self._bars.disable and time.monotonic() - self._last_line_s > LINE_EVERY_S:
            self._last_line_s = time.monotonic()
            print(f"{self._files}, {name} {share:.0%}", file=sys.stderr, flush=True)


@contextmanager
def import_progress(what: str) -> Iterator[ImportProgress]:
    """Show progress for the length of the block; nothing of it stays on the terminal."""
    columns = (TextColumn("{task.description}"), BarColumn(), TaskProgressColumn(), TextColumn("{task.fields[count]}"))
    times = (TimeElapsedColumn(), TextColumn("ETA"), TimeLeft())
    hidden = not sys.stderr.isatty()
    with Progress(*columns, *times, console=Console(stderr=True), transient=True, disable=hidden) as bars:
        yield ImportProgress(what, bars)
