"""The frames of a cohort folder that is added to."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from polypda.cohorts.images import IMAGE_SUFFIXES, read_image, read_mask
from polypda.cohorts.ordering import natural_key
from polypda.errors import DataError
from polypda.importing.cohort_tables import BOXES_CSV, FRAMES_CSV, FrameRecord, read_table

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
    images = {
        path.stem: path for path in sorted((folder / "images").glob("*")) if path.suffix.lower() in IMAGE_SUFFIXES
    }
    if not images:
        what = "the folder holds no cohort that could be added to (no images/)."
        raise DataError("E_COHORT_EXISTS", what, where=folder.name, fix="choose another folder with --out, or move it.")
    rows = {row["frame"]: row for row in read_table(folder / FRAMES_CSV) if row.get("frame")}
    boxes: dict[str, list[tuple[float, float, float, float, str]]] = {}
    for row in read_table(folder / BOXES_CSV):
        corners = (float(row["x0"]), float(row["y0"]), float(row["x1"]), float(row["y1"]))
        boxes.setdefault(row["frame"], []).append((*corners, row.get("label", "")))
    stems = sorted(images, key=natural_key)
    return [_record(folder, stem, images[stem], rows.get(stem, {}), tuple(boxes.get(stem, ()))) for stem in stems]


def _record(
    folder: Path,
    stem: str,
    image: Path,
    row: dict[str, str],
    boxes: tuple[tuple[float, float, float, float, str], ...],
) -> FrameRecord:
    pixels = read_image(image)
    mask = _mask_file(folder, stem)
    state = row.get("label_state") or ("mask" if mask else "box" if boxes else "none")
    polyp = bool(np.any(read_mask(mask))) if mask is not None else {"box": True, "negative": False}.get(state)
    return FrameRecord(
        frame=stem,
        image=image.name,
        size=(pixels.shape[1], pixels.shape[0]),
        label_state=state,
        polyp=polyp,
        mask=mask.name if mask else "",
        boxes=boxes,
        patient=row.get("patient", ""),
        sequence=row.get("sequence", ""),
        t_s=float(row["t_s"]) if row.get("t_s") else None,
        split=row.get("split", ""),
        mode=row.get("mode", ""),
    )


def _mask_file(folder: Path, stem: str) -> Path | None:
    candidates = (folder / "masks" / f"{stem}{suffix}" for suffix in IMAGE_SUFFIXES)
    return next((path for path in candidates if path.is_file()), None)
