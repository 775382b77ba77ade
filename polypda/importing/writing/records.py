"""The frames of a cohort folder and its tables: those that were written, and those of one that is added to."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np

from polypda.cohorts.frames import Frame, LabelState, PolypBox, Split
from polypda.cohorts.image_files import IMAGE_SUFFIXES, image_files, natural_key
from polypda.cohorts.images import read_image, read_mask
from polypda.cohorts.layouts import cohort_masks
from polypda.cohorts.splits import require_no_leak
from polypda.cohorts.stored_masks import FellowMasks
from polypda.cohorts.tables import (
    BOXES_CSV,
    FRAMES_CSV,
    FrameRow,
    boxes_csv,
    frames_csv,
    plain_cell,
    read_boxes_csv,
    read_frames_csv,
)
from polypda.errors import DataError, LeakageError
from polypda.importing.contract import ImportedFrame
from polypda.importing.writing.label_files import LabelFiles


@dataclass(frozen=True, kw_only=True)
class FrameRecord(FrameRow):
    """A written frame: its row of frames.csv, and what lies in the folder.

    image, mask: files under ``images`` and ``masks``; boxes: px of the frame. size: (width, height) in px.
    polyp: whether the label marks one; None where nothing is known.
    """

    image: str
    size: tuple[int, int]
    polyp: bool | None
    mask: str = ""
    boxes: tuple[PolypBox, ...] = ()

    def as_entry(self) -> dict[str, Any]:
        """Plain values for the journal."""
        return asdict(self)

    @classmethod
    def of_entry(cls, values: dict[str, Any]) -> FrameRecord:
        """What :meth:`as_entry` gave, also after JSON."""
        told = {
            "size": tuple(values["size"]),
            "boxes": tuple(PolypBox(*box) for box in values["boxes"]),
            "split": Split(values["split"]) if values["split"] else None,
            "label_state": LabelState(values["label_state"]),
        }
        return cls(**{**values, **told})


def record_of(
    frame: ImportedFrame, name: str, image: str, mask: str, label: LabelFiles, size: tuple[int, int]
) -> FrameRecord:
    """The record of a frame under its final name; size: (width, height)."""
    return FrameRecord(
        frame=name,
        image=image,
        size=size,
        label_state=LabelState(label.state),
        polyp=label.shows_polyp,
        mask=mask,
        boxes=tuple(box._replace(label=plain_cell(box.label) or None) for box in label.boxes),
        patient=plain_cell(frame.patient) or None,
        sequence=plain_cell(frame.sequence) or None,
        t_s=frame.t_s,
        split=frame.split,
        mode=plain_cell(frame.mode) or None,
    )


def tables_of(records: Sequence[FrameRecord]) -> dict[str, str]:
    """The text of frames.csv and, where there are boxes, of boxes.csv, by file name."""
    boxes = boxes_csv({record.frame: record.boxes for record in records})
    return {FRAMES_CSV: frames_csv(records)} | ({BOXES_CSV: boxes} if boxes else {})


def divided_groups(cohort_id: str, records: Sequence[FrameRecord]) -> list[str]:
    """What is wrong with the split that the source tells, in words: patients or sequences in several parts."""
    frames = [
        Frame(
            cohort=cohort_id,
            frame=record.frame,
            image=Path(record.image),
            patient=record.patient,
            sequence=record.sequence,
            split=record.split,
        )
        for record in records
    ]
    try:
        require_no_leak(frames)
    except LeakageError as error:
        return [f"the split leaks: {error.what} Correct frames.csv before the cohort is used: {error.fix}"]
    return []


REWRITTEN = frozenset(
    {
        FRAMES_CSV,
        BOXES_CSV,
        "manifest.yaml",
        "import.json",
        "contact-sheet.png",
        "deidentification.json",
        "deidentification.md",
        "deidentification-review.png",
    }
)
"""Files of a cohort folder that an update writes anew; all others are kept as they are."""


def existing_records(folder: Path) -> list[FrameRecord]:
    """The frames that lie in a cohort folder.

    Raises: DataError E_COHORT_EXISTS when it is none, and what reading its files raises.
    """
    images = {path.stem: path for path in sorted(image_files(folder, ("images/*",)))}
    if not images:
        what = "the folder holds no cohort that could be added to (no images/)."
        raise DataError("E_COHORT_EXISTS", what, where=folder.name, fix="choose another folder with --out, or move it.")
    table, boxes = folder / FRAMES_CSV, folder / BOXES_CSV
    rows = read_frames_csv(table) if table.is_file() else {}
    boxed = read_boxes_csv(boxes) if boxes.is_file() else {}
    stems = sorted(images, key=natural_key)
    masks = {stem: mask for stem in stems if (mask := _mask_file(folder, stem)) is not None}
    fellows = cohort_masks(masks.values())
    return [
        _record(images[stem], masks.get(stem), fellows, rows.get(stem, FrameRow(stem)), boxed.get(stem, ()))
        for stem in stems
    ]


def _record(
    image: Path, mask: Path | None, fellows: FellowMasks, row: FrameRow, boxes: tuple[PolypBox, ...]
) -> FrameRecord:
    pixels = read_image(image)
    state = row.label_state or (LabelState.MASK if mask else LabelState.BOX if boxes else LabelState.NONE)
    known = {LabelState.BOX: True, LabelState.NEGATIVE: False}.get(state)
    return FrameRecord(
        **{**vars(row), "frame": image.stem, "label_state": state},
        image=image.name,
        size=(pixels.shape[1], pixels.shape[0]),
        polyp=bool(np.any(read_mask(mask, fellows))) if mask is not None else known,
        mask=mask.name if mask else "",
        boxes=boxes,
    )


def _mask_file(folder: Path, stem: str) -> Path | None:
    candidates = (folder / "masks" / f"{stem}{suffix}" for suffix in IMAGE_SUFFIXES)
    return next((path for path in candidates if path.is_file()), None)
