"""Frames of a reader become the files of a staged cohort folder; whatever cannot be taken becomes a ledger line.

A treatment may change each frame between its reading and its writing.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, replace
from pathlib import Path

import cv2
import numpy as np

from polypda.errors import DataError, PolypdaError
from polypda.importing.contract import DecodedImage, ImportedFrame, Ledger, LedgerLine, MaskPixels, Pixels
from polypda.importing.readers.folder_words import PatientTally
from polypda.importing.writing.records import (
    FrameNames,
    FrameRecord,
    LabelFiles,
    label_files,
    readable,
    record_of,
    safe_name,
    storable,
    tables_of,
)
from polypda.importing.writing.staging import Entry, Staging

log = logging.getLogger(__name__)
PNG_COMPRESSION = 3
"""Of 9: frames hardly get smaller beyond, and take several times as long."""


@dataclass(frozen=True)
class TreatedImage:
    """image: what is written. ignore: H×W, 1 where a pixel must neither count nor teach; None: nowhere."""

    image: DecodedImage
    ignore: MaskPixels | None = None


class Treatment:
    """What happens to each frame between reading and writing, in the order of the methods; this one changes nothing.

    identity: what decides its outcome, for resuming: another identity starts the import anew. No secret.
    renames: whether it gives patients and sequences names of its own: readers then need not.
    """

    identity: str = ""
    renames: bool = False

    def prepare(self, frames: Callable[[], Iterator[ImportedFrame]]) -> None:
        """Called once before all others, where frames are cheap to look at twice; ``frames`` begins anew each time."""

    def resume(self, origins: Mapping[str, str]) -> None:
        """Called before the first frame where an interrupted import is gone on with. origins: name of each frame that
        it has written, as :meth:`frame` gave it → its origin. Raises: DataError to go on with nothing."""

    def frame(self, frame: ImportedFrame) -> ImportedFrame:
        """The frame under the name, patient, sequence and time that the cohort shall know; ``origin`` stays."""
        return frame

    def image(self, frame: ImportedFrame, image: DecodedImage) -> TreatedImage:
        """The image as it shall be written, of the same size. Raises: DataError to leave the frame out."""
        return TreatedImage(image)

    def line(self, line: LedgerLine) -> LedgerLine:
        """A line of the ledger as it may be shown and kept: paths of the source may name people."""
        return line

    def keep(self) -> None:
        """Called when all frames of one file of the source are written, before that is noted: what must outlive an
        interruption is written here."""

    def finish(self, staged: Path) -> None:
        """Called once, when all frames lie in the staged cohort folder: to write a report of its own there."""

    def seal(self, staged: Path) -> None:
        """Called last, when every file lies in the staged cohort folder, before it is put in its place."""


class CohortWriter:
    """Takes frames one by one into a staged cohort.

    staging: None looks at everything and writes nothing. kept: frames of the cohort that is added to.
    resumed: the journal of what an interrupted import has completed.
    """

    def __init__(
        self,
        staging: Staging | None,
        ledger: Ledger,
        treatment: Treatment,
        *,
        kept: list[FrameRecord] | None = None,
        resumed: list[Entry] | None = None,
    ) -> None:
        self.staging, self.ledger, self.treatment = staging, ledger, treatment
        self.kept = list(kept or [])
        self.records: list[FrameRecord] = []
        self.patients = PatientTally()
        self._names = FrameNames()
        self._origins: dict[str, str] = {}
        self._there = {record.frame for record in self.kept}
        for name in self._there:
            self._names.reserve(name)
        for entry in resumed or []:
            self._take_up(entry)
        if resumed:
            treatment.resume(self._origins)
        self._journalled = len(ledger.lines)
        ledger.on_finish = self._finish

    def take_all(self, frames: Iterator[ImportedFrame]) -> None:
        """Take every frame that can be taken; the reader's own errors about its source as a whole are raised."""
        for frame in frames:
            self.take(frame)

    def take(self, found: ImportedFrame) -> FrameRecord | None:
        """Write one frame; None and a ledger line where that cannot be done. Raises: OSError when the disk is full."""
        try:
            frame, treated, label = self._seen(found)
            name = self._name(frame)
        except PolypdaError as error:
            self.ledger.leave_out(found.origin, error)
            return None
        record = self._written(frame, treated, label, name, found.origin)
        self.records.append(record)
        self.patients.add(record.patient, found.patient_by)
        self.ledger.taken += 1
        return record

    def complete(self) -> list[FrameRecord]:
        """Write the tables; returns every frame of the cohort, those that were there before first."""
        every = [*self.kept, *self.records]
        if self.staging is not None:
            for table, content in tables_of(every).items():
                self.staging.write(table, content)
            self.treatment.finish(self.staging.cohort)
        return every

    def _seen(self, found: ImportedFrame) -> tuple[ImportedFrame, TreatedImage, LabelFiles]:
        """A frame with its image and label, read and treated; nothing is written yet."""
        try:
            frame = storable(self.treatment.frame(found))
            if {frame.name, safe_name(frame.name)} & self._there:
                fix = "nothing need be done; to replace it, import into a new folder."
                raise DataError("N_FRAME_THERE", "the cohort has this frame already.", where=frame.name, fix=fix)
            read = frame.read()
            treated = self.treatment.image(frame, read)
            upright = replace(treated.image, orientation=read.orientation)
            return frame, treated, label_files(frame.label, upright, frame.origin)
        except (PolypdaError, MemoryError):
            raise
        except Exception as error:  # one file that no decoder foresaw must not end the import of thousands
            log.debug("unforeseen in %s", found.origin, exc_info=True)
            what = f"cannot be read: {type(error).__name__}, {readable(str(error))[:200]}."
            raise DataError("E_FRAME_FAILED", what, where=found.origin, fix="leave the file out.") from error

    def _written(
        self, frame: ImportedFrame, treated: TreatedImage, label: LabelFiles, name: str, origin: str
    ) -> FrameRecord:
        decoded = treated.image
        image = f"{name}{decoded.suffix}" if decoded.encoded else f"{name}.png"
        files = {f"images/{image}": decoded.encoded or encode_png(decoded.pixels)}
        if label.mask is not None:
            files[f"masks/{name}.png"] = encode_mask(label.mask)
        if treated.ignore is not None:
            files[f"ignore/{name}.png"] = encode_mask(treated.ignore)
        if self.staging is not None:
            for path, data in files.items():
                self.staging.write(path, data)
        if frame.name != name:
            what = f"named '{name}', which can be a file's name on every system."
            self.ledger.remark(origin, "N_FRAME_RENAMED", what)
        for remark in (*frame.remarks, *decoded.remarks, *label.remarks):
            self.ledger.remark(origin, remark.code, remark.what)
        size = (decoded.pixels.shape[1], decoded.pixels.shape[0])
        record = record_of(frame, name, image, f"{name}.png" if label.mask is not None else "", label, size)
        self._note({"row": record.as_entry(), "wish": frame.name, "origin": origin, "files": list(files)})
        return record

    def _name(self, frame: ImportedFrame) -> str:
        name = self._names.give(frame.name)
        if name is None:
            first = self._origins.get(frame.name, "")
            what = f"a frame of the name '{readable(frame.name)}' was taken already" + (f", {first}." if first else ".")
            fix = "give one of them another name, or take it out."
            raise DataError("E_FRAME_TWICE", what, where=frame.origin, fix=fix)
        self._origins[frame.name] = frame.origin
        return name

    def _note(self, entry: Entry) -> None:
        if self.staging is not None and self.staging.journal is not None:
            self.staging.journal.note(entry)

    def _finish(self, path: str) -> None:
        for line in self.ledger.lines[self._journalled :]:
            self._note({"line": [line.origin, line.code, line.what, line.taken, line.fix]})
        self._journalled = len(self.ledger.lines)
        if self.staging is not None and self.staging.journal is not None:
            self.treatment.keep()
            self.staging.journal.finish(path)

    def _take_up(self, entry: Entry) -> None:
        if "row" in entry:
            self.records.append(FrameRecord.of_entry(entry["row"]))
            self._names.give(entry["wish"])
            self._origins[entry["wish"]] = entry["origin"]
            self.ledger.taken += 1
        elif "line" in entry:
            self.ledger.lines.append(LedgerLine(*entry["line"]))
        elif "finished" in entry:
            self.ledger.finished.add(entry["finished"])


def encode_png(pixels: Pixels) -> bytes:
    """uint8 H×W×3, RGB, as PNG."""
    return _png(cv2.cvtColor(pixels, cv2.COLOR_RGB2BGR).astype(np.uint8, copy=False))


def encode_mask(mask: MaskPixels) -> bytes:
    """0/1 as a PNG of 0 and 255."""
    return _png((mask > 0).astype(np.uint8) * 255)


def _png(pixels: np.ndarray) -> bytes:
    written, data = cv2.imencode(".png", pixels, [cv2.IMWRITE_PNG_COMPRESSION, PNG_COMPRESSION])
    if not written:
        raise PolypdaError("E_WRITE_FAILED", "a picture cannot be encoded as PNG.")
    return data.tobytes()
