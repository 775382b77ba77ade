"""The frames of a cohort folder that is added to."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from polypda.cohorts.boxes_csv import FILE_NAME as BOXES_CSV
from polypda.cohorts.boxes_csv import read_boxes_csv
from polypda.cohorts.frames import PolypBox
from polypda.cohorts.frames_csv import FILE_NAME as FRAMES_CSV
from polypda.cohorts.frames_csv import FrameRow, read_frames_csv
from polypda.cohorts.images import IMAGE_SUFFIXES, read_image, read_mask
from polypda.cohorts.label_files import cohort_masks
from polypda.cohorts.ordering import natural_key
from polypda.cohorts.picture_files import picture_files
from polypda.cohorts.stored_masks import FellowMasks
from polypda.errors import DataError
from polypda.importing.folders.cohort_tables import FrameRecord

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
    images = {path.stem: path for path in sorted(picture_files(folder, ("images/*",)))}
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
    state = row.label_state.value if row.label_state else "mask" if mask else "box" if boxes else "none"
    polyp = bool(np.any(read_mask(mask, fellows))) if mask is not None else {"box": True, "negative": False}.get(state)
    return FrameRecord(
        frame=image.stem,
        image=image.name,
        size=(pixels.shape[1], pixels.shape[0]),
        label_state=state,
        polyp=polyp,
        mask=mask.name if mask else "",
        boxes=tuple((box.x0, box.y0, box.x1, box.y1, box.label or "") for box in boxes),
        patient=row.patient or "",
        sequence=row.sequence or "",
        t_s=row.t_s,
        split=row.split.value if row.split else "",
        mode=row.mode or "",
    )


def _mask_file(folder: Path, stem: str) -> Path | None:
    candidates = (folder / "masks" / f"{stem}{suffix}" for suffix in IMAGE_SUFFIXES)
    return next((path for path in candidates if path.is_file()), None)
