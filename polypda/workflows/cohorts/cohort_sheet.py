"""The contact sheet of a cohort that was imported."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from polypda.cohorts.image_files import natural_key
from polypda.cohorts.images import read_image, read_mask
from polypda.importing.writing.cohort_writer import encode_png
from polypda.importing.writing.records import FrameRecord
from polypda.reporting.overlays.contact_sheet import SheetFrame, draw_contact_sheet, evenly_drawn

FILE_NAME = "contact-sheet.png"
KINDS = {"mask": "mask", "empty": "empty mask", "box": "boxes", "negative": "no polyp", "none": "unlabelled"}


def contact_sheet(title: str, folder: Path, records: Sequence[FrameRecord]) -> bytes:
    """Draw the sheet of a cohort folder's frames. Returns: PNG."""
    ordered = sorted(records, key=lambda record: natural_key(record.frame))
    kinds = [_kind(record) for record in ordered]
    shown = [_frame(folder, ordered[index]) for index in evenly_drawn(kinds)]
    return encode_png(draw_contact_sheet(title, _fractions(kinds), shown))


def _kind(record: FrameRecord) -> str:
    return "empty" if record.label_state == "mask" and record.polyp is False else str(record.label_state)


def _fractions(kinds: Sequence[str]) -> str:
    counts = Counter(kinds)
    parts = [f"{KINDS[kind]} {count / len(kinds):.0%} ({count:,})" for kind, count in counts.most_common()]
    return f"{len(kinds):,} frames: {', '.join(parts)}"


def _frame(folder: Path, record: FrameRecord) -> SheetFrame:
    pixels = read_image(folder / "images" / record.image)
    mask = read_mask(folder / "masks" / record.mask).astype(bool) if record.mask else None
    ignored = folder / "ignore" / f"{record.frame}.png"
    words = KINDS[_kind(record)]
    if mask is not None and mask.any():
        words = f"mask, {np.mean(mask):.1%} of the frame"
    elif record.boxes:
        words = f"{len(record.boxes)} {'box' if len(record.boxes) == 1 else 'boxes'}"
        words += f" ({', '.join(sorted({box[4] for box in record.boxes if box[4]}))})" * any(b[4] for b in record.boxes)
    return SheetFrame(
        name=record.frame,
        kind=f"{words}, {record.size[0]}×{record.size[1]}",
        pixels=pixels,
        mask=mask,
        boxes=tuple(box[:4] for box in record.boxes),
        ignored=read_mask(ignored).astype(bool) if ignored.is_file() else None,
    )
