"""The writer's hook that removes what identifies a person."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from polypda.errors import DataError, PolypdaError
from polypda.importing.contract import (
    BoxLabel,
    DecodedImage,
    ImportedFrame,
    Label,
    LedgerLine,
    MaskLabel,
    MaskPixels,
    Remark,
)
from polypda.importing.deidentification.findings import Findings, FrameFindings, lesion_label, metadata_kinds
from polypda.importing.deidentification.key import Key, Pseudonyms, Row
from polypda.importing.deidentification.pixels import Blanked, OverlayMemory, Region, blank
from polypda.importing.images.decoded_image import turned
from polypda.importing.readers.folder_words import mode_within
from polypda.importing.writing.cohort_writer import TreatedImage, Treatment
from polypda.importing.writing.records import label_files

FIXED_TIME_S = 946_684_800
"""All files are dated 1 January 2000."""
LONGEST_VIDEO_S = 2 * 86_400.0
"""A time beyond this is no time from the start of a video, but a date."""
LEARNING_FRAMES = 160
WITHHELD = "told without names, as all of a de-identified import; --crosswalk FILE tells which file this is."


@dataclass(frozen=True)
class Choices:
    """What the user decides.

    ignore: blanked places inside the field of view become ignored regions, too (they neither count nor teach).
    keep_without_field: frames without a field of view are kept whole, but for text and insets. regions: always blanked.
    """

    ignore: bool = True
    keep_without_field: bool = False
    regions: tuple[Region, ...] = ()


class Deidentification(Treatment):
    """Pixels are blanked and encoded anew, names become keyed hashes; nothing of a source's file is copied.

    existing: names of the frames that the cohort has already. on_finish: called with the staged cohort folder and the
    findings, to write reports there.
    """

    renames = True

    def __init__(
        self,
        key: Key,
        cohort: str,
        choices: Choices,
        *,
        existing: Iterable[str] = (),
        on_finish: Callable[[Path, Findings], None] | None = None,
    ) -> None:
        self.identity = f"deidentified {key.fingerprint} {choices}"
        self.findings = Findings(cohort, "ignored" if choices.ignore else "blanked", key.fingerprint)
        self.crosswalk: list[Row] = []
        self._cohort, self._choices, self._on_finish = cohort, choices, on_finish
        self._pseudonyms = Pseudonyms(key, cohort, existing)
        self._memory = OverlayMemory()
        self._names: dict[str, str] = {}
        self._starts: dict[str, float] = {}
        self._last: tuple[str, Blanked, int] | None = None

    def prepare(self, frames: Callable[[], Iterator[ImportedFrame]]) -> None:
        """Look at some frames first, to learn where this device writes."""
        every = list(frames())
        step = max(1, len(every) // LEARNING_FRAMES)
        for frame in every[::step]:
            try:
                blank(frame.read().pixels, self._memory)
            except PolypdaError:
                continue  # it becomes a line of the ledger when it is imported

    def resume(self, origins: Mapping[str, str]) -> None:
        for name, origin in origins.items():
            self._pseudonyms.resume(name)
            self._names[origin] = name

    def frame(self, frame: ImportedFrame) -> ImportedFrame:
        """The frame under its pseudonyms, with nothing of its source but labels, split and time in its video."""
        names = self._pseudonyms
        patient = names.patient(frame.patient) if frame.patient else None
        sequence = names.sequence(frame.sequence) if frame.sequence else None
        name = names.frame(frame.name, sequence or patient)
        self._note("patient", frame.patient, patient)
        self._note("sequence", frame.sequence, sequence)
        self._note("frame", frame.name, name)
        self._note("file", frame.origin, name)
        self._names[frame.origin] = name
        mode = mode_within(frame.mode) if frame.mode else None
        if frame.mode and mode is None:
            self.findings.removed["imaging mode in words of its own"] += 1
        if frame.remarks:
            self.findings.removed["remark on a frame"] += len(frame.remarks)
        return replace(
            frame,
            name=name,
            patient=patient,
            sequence=sequence,
            mode=mode,
            t_s=self._time(frame.t_s, sequence or patient or ""),
            label=self._label(frame, name),
            remarks=tuple(Remark(remark.code, "") for remark in frame.remarks),
        )

    def image(self, frame: ImportedFrame, image: DecodedImage) -> TreatedImage:
        """The image, blanked and without its file. Raises: DataError E_NO_FIELD_OF_VIEW."""
        done = blank(image.pixels, self._memory, self._choices.regions)
        if not done.found and not self._choices.keep_without_field:
            what = "no field of view was found in it, so nothing tells the scope's picture from the screen around it."
            fix = "look at the file; --keep-without-field keeps such frames, blanking only text and insets."
            raise DataError("E_NO_FIELD_OF_VIEW", what, where=frame.origin, fix=fix)
        self._last = (frame.name, done, image.orientation)
        self.findings.frames.append(
            FrameFindings(
                frame=frame.name,
                blanked=1 - float(done.kept.mean()),
                field_lost=done.field_lost,
                text_lines=done.lines,
                text_inside=bool(done.text.any()),
                inset=bool(done.insets.any()),
                second_image=done.second_images,
                field_found=done.found,
                doubtful_rows=done.doubtful,
                metadata=metadata_kinds(image.encoded),
            )
        )
        if isinstance(frame.label, BoxLabel):
            self._note_loss(frame.name, _boxes_lost(frame, image, done))
        ignore = done.hidden.astype(np.uint8) if self._choices.ignore and done.hidden.any() else None
        remarks = tuple(Remark(remark.code, "") for remark in image.remarks)
        return TreatedImage(DecodedImage(done.pixels, orientation=image.orientation, remarks=remarks), ignore)

    def line(self, line: LedgerLine) -> LedgerLine:
        """A line without names: which file it was is told by the crosswalk alone."""
        if not line.code:
            return replace(line, origin="source")
        name = self._names.get(line.origin)
        origin = name if name is not None else self._pseudonyms.file(line.origin)
        self._note("file", line.origin, origin)
        known = line.code == "E_NO_FIELD_OF_VIEW"
        return replace(line, origin=origin, what=line.what if known else WITHHELD, fix=line.fix if known else "")

    def finish(self, staged: Path) -> None:
        """Write the report."""
        written = {path.stem for path in (staged / "images").glob("*")}
        self.findings.frames = [found for found in self.findings.frames if found.frame in written]
        self.findings.without_figures = len(written - {found.frame for found in self.findings.frames})
        if self._on_finish is not None:
            self._on_finish(staged, self.findings)

    def seal(self, staged: Path) -> None:
        """Give every file the same date."""
        for path in sorted(staged.rglob("*"), reverse=True):
            os.utime(path, (FIXED_TIME_S, FIXED_TIME_S))
        os.utime(staged, (FIXED_TIME_S, FIXED_TIME_S))

    def _label(self, frame: ImportedFrame, name: str) -> Label:
        label = frame.label
        if isinstance(label, BoxLabel):
            boxes = tuple(box._replace(label=lesion_label(box.label) if box.label else None) for box in label.boxes)
            gone = sum(new.label is None and bool(old.label) for new, old in zip(boxes, label.boxes, strict=True))
            if gone:
                self.findings.removed["label of a box in words of its own"] += gone
            return replace(label, boxes=boxes)
        if isinstance(label, MaskLabel):
            return replace(label, read=lambda size: self._watched(label, name, size))
        return label

    def _watched(self, label: MaskLabel, name: str, size: tuple[int, int]) -> MaskPixels:
        """The mask as it is; how much of it lies on blanked pixels is noted."""
        mask = label.read(size)
        if self._last is not None and self._last[0] == name:
            _, done, orientation = self._last
            upright = mask if mask.shape == done.kept.shape else turned(mask, orientation)
            if upright.shape == done.kept.shape and upright.any():
                self._note_loss(name, 1 - float(done.kept[upright > 0].mean()))
        return mask

    def _note_loss(self, name: str, fraction: float | None) -> None:
        last = self.findings.frames[-1]
        if last.frame == name:
            self.findings.frames[-1] = replace(last, polyp_lost=fraction)

    def _time(self, t_s: float | None, group: str) -> float | None:
        if t_s is None or not np.isfinite(t_s):
            return None
        if abs(t_s) <= LONGEST_VIDEO_S and group not in self._starts:
            return t_s
        self.findings.removed["date"] += 1
        return t_s - self._starts.setdefault(group, t_s)

    def _note(self, kind: str, original: str | None, pseudonym: str | None) -> None:
        if original and pseudonym:
            self.crosswalk.append((self._cohort, kind, original, pseudonym))


def _boxes_lost(frame: ImportedFrame, image: DecodedImage, done: Blanked) -> float | None:
    drawn: NDArray[np.bool_] = np.zeros(done.kept.shape, bool)
    for box in label_files(frame.label, image, frame.origin).boxes:
        drawn[int(box.y0) : int(np.ceil(box.y1)), int(box.x0) : int(np.ceil(box.x1))] = True
    return 1 - float(done.kept[drawn].mean()) if drawn.any() else None
