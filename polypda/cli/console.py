"""What people see: tables, and progress as a bar on a terminal or as plain lines elsewhere (logs, CI)."""

from __future__ import annotations

import math
import os
import re
import shutil
import sys
import time
import traceback
import unicodedata
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO, TYPE_CHECKING, Any

from rich.console import Console
from rich.progress import (
    BarColumn,
    MofNCompleteColumn,
    Progress,
    ProgressColumn,
    TaskID,
    TaskProgressColumn,
    TextColumn,
    TimeElapsedColumn,
    TimeRemainingColumn,
)
from rich.progress import TimeRemainingColumn as TimeLeft

if TYPE_CHECKING:
    from polypda.training.engine import StepReport
    from polypda.training.progress import Progress as TrainingProgress

NARROWEST_COLUMNS = 80
ROOM_FOR_LOSSES, ROOM_FOR_WHOLE, ROOM_FOR_NAMES, LEAST_OF_NAMES = 130, 90, 66, 5
COLOURS = re.compile(r"\x1b\[[0-9;]*m")
"""Escape sequences that tables are drawn with."""
COLOURS_AND_MOVES = re.compile(r"\x1b\[(?:[0-9;]*[mABCDGHJK]|\?25[lh])")
"""Those of progress bars, which go to standard error."""
OWN_CONTROLS = "\n\t\r"
PLAIN_LETTERS = str.maketrans({"×": "x", "–": "-", "—": "-", "−": "-", "…": "...", "→": "->", "·": "-", "≥": ">=",
                               "≤": "<=", "λ": "lambda", "±": "+-", "’": "'", "“": '"', "”": '"'})  # fmt: skip


class PlainStream:
    """A text stream that never fails for what is written, and lets no file's name or text command the terminal.

    A letter that the stream's encoding does not know becomes a plain one, or a question mark; control characters and
    escape sequences that are not of ours (a title, the clipboard, a question to the terminal) become visible.
    """

    def __init__(self, stream: IO[str], own: re.Pattern[str]) -> None:
        """Args: own: escape sequences that stay."""
        self._stream = stream
        self._own = own

    def write(self, text: str) -> int:
        encoding = getattr(self._stream, "encoding", None) or "utf-8"
        shown = without_controls(text, self._own)
        try:
            shown.encode(encoding)
        except UnicodeEncodeError:
            shown = shown.translate(PLAIN_LETTERS).encode(encoding, "replace").decode(encoding)
        self._stream.write(shown)
        return len(text)

    def __getattr__(self, name: str) -> Any:
        if name == "buffer":  # click would write around this
            raise AttributeError(name)
        return getattr(self._stream, name)


def without_controls(text: str, own_sequences: re.Pattern[str]) -> str:
    """Text with control characters made visible, but for line ends, tabs and the sequences that are our own."""
    if text.isascii() and text.isprintable():
        return text
    own = own_sequences.findall(text)
    parts = ["".join(map(_visible, part)) for part in own_sequences.split(text)]
    return "".join(part + sequence for part, sequence in zip(parts, [*own, ""], strict=True))


def _visible(letter: str) -> str:
    if letter in OWN_CONTROLS or unicodedata.category(letter)[0] != "C":
        return letter
    return f"\\x{ord(letter):02x}" if ord(letter) < 256 else f"\\u{ord(letter):04x}"


@contextmanager
def plain_streams() -> Iterator[None]:
    """For the length of the block standard output and error are :class:`PlainStream`."""
    former = sys.stdout, sys.stderr
    sys.stdout = PlainStream(sys.stdout, COLOURS)
    sys.stderr = PlainStream(sys.stderr, COLOURS_AND_MOVES)
    try:
        yield
    finally:
        sys.stdout, sys.stderr = former


def traceback_without_places(error: BaseException) -> str:
    """A traceback to hand on: files are named from their package on, and the home folder and the one that is worked in
    are not spelled out."""
    text = "".join(traceback.format_exception(error)).rstrip()
    roots = sorted({str(Path(entry).absolute()) for entry in sys.path if entry}, key=len, reverse=True)
    for root in (*roots, sys.base_prefix, sys.prefix):
        text = text.replace(f'File "{root}{os.sep}', 'File "')
    return without_controls(without_own_folders(text), COLOURS)


def without_own_folders(text: str) -> str:
    """The text with ``.`` for the folder that is worked in, and ``~`` for the user's home."""
    for folder, short in ((Path.cwd(), "."), (Path.home(), "~")):
        if len(folder.parts) > 1:  # not of everything that begins with a slash
            text = text.replace(str(folder), short)
    return text


def wide_console() -> Console:
    """A console whose tables keep whole rows in a pipe, which has no width; a terminal keeps its own."""
    wide = max(NARROWEST_COLUMNS, shutil.get_terminal_size(fallback=(120, 24)).columns)
    return Console(
        width=None if sys.stdout.isatty() else wide, highlight=False, soft_wrap=False, markup=False, emoji=False
    )


LINES_PER_STAGE = 10


def terminal_progress() -> TrainingProgress:
    """The bar where standard error is a terminal, else plain lines."""
    return Bar() if sys.stderr.isatty() else Lines()


class Bar:
    """One bar per stage, with its losses and the time left, and that of the whole run; stages at once stand below each
    other."""

    def __init__(self, screen: _Screen | None = None) -> None:
        self._screen = screen or _Screen()
        self._task: TaskID | None = None

    def begin(self, stage: str, start: int, steps: int) -> None:
        self._task = self._screen.open().add_task(stage, total=steps, completed=start, losses="", whole="")

    def advance(self, step: int, report: StepReport | None = None) -> None:
        if self._task is not None:
            self._screen.bars.update(self._task, completed=step, losses=losses_text(report))

    def end(self) -> None:
        if self._task is not None:
            self._screen.close()
            self._task = None

    def beside(self) -> Bar:
        return Bar(self._screen)

    def announce(self, words: str) -> None:
        print(words, file=sys.stderr, flush=True)

    def remaining(self, seconds: float) -> None:
        if self._task is not None:
            self._screen.bars.update(self._task, whole=f"whole run {duration_text(seconds)} left")


class _Screen:
    """The bars on the terminal, drawn anew while a stage runs."""

    def __init__(self) -> None:
        self.bars = self._empty()
        self._stages = 0

    def open(self) -> Progress:
        if not self._stages:
            self.bars = self._empty()
            self.bars.start()
        self._stages += 1
        return self.bars

    def close(self) -> None:
        self._stages -= 1
        if not self._stages:
            self.bars.stop()

    @staticmethod
    def _empty() -> Progress:
        console = Console(stderr=True)
        return Progress(*columns_for(console.width), console=console)


def columns_for(width: int) -> list[ProgressColumn]:
    """What fits a terminal: bar, count, elapsed time and time left always; losses go first, then the whole run's time
    left, then letters of names."""
    letters = "22" if width >= ROOM_FOR_NAMES else f"{LEAST_OF_NAMES}.{LEAST_OF_NAMES}"
    columns: list[ProgressColumn] = [
        TextColumn(f"{{task.description:<{letters}}}"),
        BarColumn(bar_width=None),
        MofNCompleteColumn(),
        TimeElapsedColumn(),
        TextColumn("ETA"),
        TimeRemainingColumn(),
    ]
    if width >= ROOM_FOR_WHOLE:
        columns.append(TextColumn("{task.fields[whole]}"))
    return [*columns, TextColumn("{task.fields[losses]}")] if width >= ROOM_FOR_LOSSES else columns


def duration_text(seconds: float) -> str:
    """About how long: "40 s", "6 min", "2 h 10 min"."""
    if seconds < 90:
        return f"{math.ceil(seconds / 10) * 10} s"
    minutes = round(seconds / 60)
    return f"{minutes} min" if minutes < 90 else f"{minutes // 60} h {minutes % 60} min"


class Lines:
    """A line when a stage begins, then about ten with the time left, of the whole run too where it is known."""

    def __init__(self) -> None:
        self._whole = ""

    def begin(self, stage: str, start: int, steps: int) -> None:
        self._stage, self._start, self._steps = stage, start, steps
        self._began = time.monotonic()
        self._every = max(1, steps // LINES_PER_STAGE)
        print(f"{stage}: goes on at step {start}" if start else f"{stage}…", file=sys.stderr, flush=True)

    def advance(self, step: int, report: StepReport | None = None) -> None:
        if self._steps == 1 or (step % self._every and step != self._steps):
            return  # a single step has been named
        elapsed = time.monotonic() - self._began
        left = elapsed / max(1, step - self._start) * (self._steps - step)
        times = f"{elapsed:.0f} s, {left:.0f} s left{self._whole}"
        line = f"{self._stage}: {step}/{self._steps}  {times}  {losses_text(report)}"
        print(line.rstrip(), file=sys.stderr, flush=True)

    def end(self) -> None: ...

    def beside(self) -> Lines:
        return Lines()

    def announce(self, words: str) -> None:
        print(words, file=sys.stderr, flush=True)

    def remaining(self, seconds: float) -> None:
        self._whole = f" (whole run: {duration_text(seconds)})"


def losses_text(report: StepReport | None) -> str:
    """The main losses of a step, short."""
    if report is None:
        return ""
    values = {name: value for player in report.losses.values() for name, value in player.items()}
    wanted = [name for name in ("seg_main", "adv_main", "d_main_source") if name in values]
    return "  ".join(f"{name} {values[name]:.3f}" for name in wanted)


LINE_EVERY_S = 15.0
LONGEST_NAME = 40


class ImportProgress:
    """files: after each file of the source. advance: while a large one (a film) is gone through."""

    def __init__(self, what: str, bars: Progress) -> None:
        self._bars = bars
        self._source = bars.add_task(what, total=None, count="")
        self._video: TaskID | None = None
        self._files = ""
        self._last_line_s = time.monotonic()

    def files(self, done: int, every: int) -> None:
        self._files = f"{done}/{every} files"
        self._bars.update(self._source, completed=done, total=every, count=self._files)

    def advance(self, path: str, share: float) -> None:
        name = path if len(path) <= LONGEST_NAME else f"…{path[1 - LONGEST_NAME :]}"
        if self._video is None:
            self._video = self._bars.add_task(name, total=1.0, count="")
        self._bars.update(self._video, description=name, completed=min(1.0, share))
        if self._bars.disable and time.monotonic() - self._last_line_s > LINE_EVERY_S:
            self._last_line_s = time.monotonic()
            print(f"{self._files}, {name} {share:.0%}", file=sys.stderr, flush=True)


@contextmanager
def import_progress(what: str) -> Iterator[ImportProgress]:
    """Show progress for the length of the block; nothing of it stays on the terminal."""
    columns = (
        TextColumn("{task.description}", markup=False),
        BarColumn(),
        TaskProgressColumn(),
        TextColumn("{task.fields[count]}"),
    )
    times = (TimeElapsedColumn(), TextColumn("ETA"), TimeLeft())
    hidden = not sys.stderr.isatty()
    with Progress(*columns, *times, console=Console(stderr=True), transient=True, disable=hidden) as bars:
        yield ImportProgress(what, bars)
