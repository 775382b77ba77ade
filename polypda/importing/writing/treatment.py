"""What may be done to each frame between its reading and its writing; as it is, nothing."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

from polypda.importing.contract import ImportedFrame, LedgerLine, MaskPixels, Picture


@dataclass(frozen=True)
class TreatedPicture:
    """picture: what is written. ignore: H×W, 1 where a pixel must neither count nor teach; None: nowhere."""

    picture: Picture
    ignore: MaskPixels | None = None


class Treatment(Protocol):
    """A hook of the writer, e.g. removing what identifies a person. Called for each frame in this order."""

    identity: str
    """What decides its outcome, for resuming: another identity starts the import anew. No secret."""

    renames: bool
    """Whether it gives patients and sequences names of its own: readers then need not."""

    def prepare(self, frames: Callable[[], Iterator[ImportedFrame]]) -> None:
        """Called once before all others, where frames are cheap to look at twice; ``frames`` begins anew each time."""
        ...

    def frame(self, frame: ImportedFrame) -> ImportedFrame:
        """The frame under the name, patient, sequence and time that the cohort shall know; ``origin`` stays."""
        ...

    def picture(self, frame: ImportedFrame, picture: Picture) -> TreatedPicture:
        """The picture as it shall be written, of the same size. Raises: DataError to leave the frame out."""
        ...

    def line(self, line: LedgerLine) -> LedgerLine:
        """A line of the ledger as it may be shown and kept: paths of the source may name people."""
        ...

    def finish(self, staged: Path) -> None:
        """Called once, when all frames lie in the staged cohort folder: to write a report of its own there."""
        ...

    def seal(self, staged: Path) -> None:
        """Called last, when every file lies in the staged cohort folder, before it is put in its place."""
        ...


class AsItIs:
    """The treatment that changes nothing."""

    identity = ""
    renames = False

    def prepare(self, frames: Callable[[], Iterator[ImportedFrame]]) -> None: ...

    def frame(self, frame: ImportedFrame) -> ImportedFrame:
        return frame

    def picture(self, frame: ImportedFrame, picture: Picture) -> TreatedPicture:
        return TreatedPicture(picture)

    def line(self, line: LedgerLine) -> LedgerLine:
        return line

    def finish(self, staged: Path) -> None: ...

    def seal(self, staged: Path) -> None: ...
