"""``frames.csv`` and ``boxes.csv`` of an imported cohort, from what was written of each frame."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from polypda.cohorts.boxes_csv import FILE_NAME as BOXES_CSV
from polypda.cohorts.boxes_csv import boxes_csv
from polypda.cohorts.frames import Frame, LabelState, PolypBox, Split
from polypda.cohorts.frames_csv import FILE_NAME as FRAMES_CSV
from polypda.cohorts.frames_csv import FrameRow, frames_csv
from polypda.cohorts.splits import require_no_leak
from polypda.errors import LeakageError
from polypda.importing.annotations.label_files import LabelFiles
from polypda.importing.contract import ImportedFrame, LabelledBox


@dataclass(frozen=True)
class FrameRecord:
    """A written frame.

    image, mask: files under ``images`` and ``masks``; boxes: x0, y0, x1, y1, label.
    polyp: whether the label marks one; None where nothing is known. size: (width, height) in px.
    """

    frame: str
    image: str
    size: tuple[int, int]
    label_state: str
    polyp: bool | None
    mask: str = ""
    boxes: tuple[tuple[float, float, float, float, str], ...] = ()
    patient: str = ""
    sequence: str = ""
    t_s: float | None = None
    split: str = ""
    mode: str = ""

    def as_entry(self) -> dict[str, Any]:
        """Plain values for the journal."""
        return asdict(self)

    @classmethod
    def of_entry(cls, values: dict[str, Any]) -> FrameRecord:
        """What :meth:`as_entry` gave, also after JSON."""
        boxes = tuple(tuple(box) for box in values["boxes"])
        return cls(**{**values, "size": tuple(values["size"]), "boxes": boxes})


def record_of(
    frame: ImportedFrame, name: str, image: str, mask: str, label: LabelFiles, size: tuple[int, int]
) -> FrameRecord:
    """The record of a frame under its final name; size: (width, height)."""
    return FrameRecord(
        frame=name,
        image=image,
        size=size,
        label_state=label.state,
        polyp=label.shows_polyp,
        mask=mask,
        boxes=tuple(_box_row(box) for box in label.boxes),
        patient=_cell(frame.patient),
        sequence=_cell(frame.sequence),
        t_s=frame.t_s,
        split=frame.split.value if frame.split else "",
        mode=_cell(frame.mode),
    )


def tables_of(records: Sequence[FrameRecord]) -> dict[str, str]:
    """The text of frames.csv and, where there are boxes, of boxes.csv, by file name."""
    rows = [
        FrameRow(
            frame=record.frame,
            patient=record.patient,
            sequence=record.sequence,
            t_s=record.t_s,
            split=Split(record.split) if record.split else None,
            label_state=LabelState(record.label_state),
            mode=record.mode,
        )
        for record in records
    ]
    boxes = boxes_csv(
        {record.frame: [PolypBox(*box[:4], box[4] or None) for box in record.boxes] for record in records}
    )
    return {FRAMES_CSV: frames_csv(rows)} | ({BOXES_CSV: boxes} if boxes else {})


def divided_groups(cohort_id: str, records: Sequence[FrameRecord]) -> list[str]:
    """What is wrong with the split that the source tells, in words: patients or sequences in several parts."""
    frames = [
        Frame(
            cohort=cohort_id,
            frame=record.frame,
            image=Path(record.image),
            patient=record.patient or None,
            sequence=record.sequence or None,
            split=Split(record.split) if record.split else None,
        )
        for record in records
    ]
    try:
        require_no_leak(frames)
    except LeakageError as error:
        return [f"the split leaks: {error.what} Correct frames.csv before the cohort is used: {error.fix}"]
    return []


def _box_row(box: LabelledBox) -> tuple[float, float, float, float, str]:
    return (box.x0, box.y0, box.x1, box.y1, _cell(box.label))


def _cell(text: str | None) -> str:
    """Text for one field: without line breaks, characters that nothing can write, or space at its ends."""
    return "".join(character if character.isprintable() else " " for character in text or "").strip()
