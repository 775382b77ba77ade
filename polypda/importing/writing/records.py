"""The frames of a cohort folder, written or added to: names that every file system takes, labels as files, rows."""

from __future__ import annotations

import hashlib
import math
import unicodedata
from collections.abc import Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np

from polypda.cohorts.frames import Frame, LabelState, PolypBox, Split
from polypda.cohorts.frames_table import TABLE_NAMES, frames_table, frames_table_of, read_frames_table
from polypda.cohorts.image_files import image_files
from polypda.cohorts.images import read_image, read_mask
from polypda.cohorts.layouts import Located, cohort_masks, find_frames, ordinary_layout
from polypda.cohorts.manifest import Manifest
from polypda.cohorts.splits import require_no_leak
from polypda.cohorts.stored_masks import COLOURS, WHITE, MaskScale, border_fraction, doubtful
from polypda.cohorts.tables import (
    BOXES_CSV,
    LONGEST_FIELD,
    FrameRow,
    boxes_csv,
    is_formula,
    is_mode_name,
    plain_cell,
    read_boxes_csv,
)
from polypda.errors import DataError, LeakageError
from polypda.importing.contract import (
    BoxLabel,
    DecodedImage,
    ImportedFrame,
    Label,
    MaskLabel,
    MaskPixels,
    NegativeLabel,
    Remark,
    mode_unknown,
)
from polypda.importing.images.decoded_image import SIDES_SWAPPED, turned, turned_box
from polypda.importing.readers.folder_words import mode_within

LONGEST_BYTES = 120
"""Of a name in UTF-8, so that with suffixes it stays below every file system's 255 bytes."""
TAG_DIGITS = 8
FORBIDDEN = '/\\:*?"<>|'
RESERVED = {"con", "prn", "aux", "nul", *(f"{port}{n}" for port in ("com", "lpt") for n in range(1, 10))}
"""Names that Windows keeps for devices."""


def safe_name(name: str) -> str:
    """A name that can be a file's on every system and runs in no spreadsheet.

    What had to be cut off is stood for by a few digits of its hash.
    Letters of all scripts stay, composed (NFC), so that names typed on different systems are equal.
    """
    composed = unicodedata.normalize("NFC", name)
    cleaned = "".join("_" if _unfit(character) else character for character in composed)
    cleaned = cleaned.strip(" .") or "frame"
    if cleaned.split(".")[0].lower() in RESERVED or is_formula(cleaned):
        cleaned = f"_{cleaned}"
    return _tagged(cleaned, name) if len(cleaned.encode()) > LONGEST_BYTES else cleaned


def _tagged(cleaned: str, name: str) -> str:
    """As much of a cleaned name as there is room for, with a few hexadecimal digits that stand for the whole name."""
    tag = hashlib.sha256(name.encode(errors="surrogatepass")).hexdigest()[:TAG_DIGITS]
    return f"{cleaned.encode()[: LONGEST_BYTES - TAG_DIGITS - 1].decode(errors='ignore')}-{tag}"


def readable(text: str) -> str:
    """Text that any file can hold: bytes of another encoding in a name are written as escapes."""
    return text.encode("utf-8", "backslashreplace").decode()


def _unfit(character: str) -> bool:
    return character in FORBIDDEN or unicodedata.category(character) in ("Cc", "Cf", "Cs", "Co", "Cn", "Zl", "Zp")


class FrameNames:
    """The names that are given so far.

    A name that a former frame *wished* for comes back as a duplicate; different wishes that would be one file on some
    system (by case, or after cleaning) get digits of their hash, so the outcome does not depend on who came first
    beyond that.
    """

    def __init__(self) -> None:
        self._wishes: set[str] = set()
        self._taken: set[str] = set()

    def reserve(self, name: str) -> None:
        """A name that is in the cohort already."""
        self._wishes.add(unicodedata.normalize("NFC", name))
        self._taken.add(_folded(name))

    def give(self, wish: str) -> str | None:
        """The name for a frame that wishes for one; None where a frame of just this name has been given it."""
        composed = unicodedata.normalize("NFC", wish)
        if composed in self._wishes:
            return None
        self._wishes.add(composed)
        name = safe_name(wish)
        if _folded(name) in self._taken:
            name = _tagged(name, composed)
        if _folded(name) in self._taken:
            return None
        self._taken.add(_folded(name))
        return name


def _folded(name: str) -> str:
    return unicodedata.normalize("NFC", name).casefold()


MOST_OVERHANG_PX = 2.0
"""Boxes may reach beyond the frame by rounding; further, they were drawn on another image."""


@dataclass(frozen=True)
class LabelFiles:
    """state: as frames.csv names it. mask: 0/1 of the image's size. remarks: what was changed on the way."""

    state: str
    mask: MaskPixels | None = None
    boxes: tuple[PolypBox, ...] = ()
    remarks: tuple[Remark, ...] = ()

    @property
    def shows_polyp(self) -> bool | None:
        """Whether the label marks a polyp; None where nothing is known."""
        if self.mask is not None:
            return bool(self.mask.any())
        return None if self.state == "none" else self.state == "box"


def label_files(label: Label, image: DecodedImage, where: str) -> LabelFiles:
    """Read a label for its image.

    Raises: DataError E_MASK_…, E_BOX_SIZE, E_BOX_NONE, E_BOX_WRONG, E_BOX_OUTSIDE.
    """
    if isinstance(label, MaskLabel):
        return _mask(label, image)
    if isinstance(label, BoxLabel):
        return _boxes(label, image, where)
    return LabelFiles("negative" if isinstance(label, NegativeLabel) else "none")


def _mask(label: MaskLabel, image: DecodedImage) -> LabelFiles:
    height, width = image.pixels.shape[:2]
    doubt = _doubt(image, "mask")
    try:
        mask = label.read((height, width))
    except DataError as error:
        other_size = error.code in ("E_MASK_SIZE", "E_ANNOTATION_SIZE")
        if not other_size or image.orientation not in SIDES_SWAPPED:
            raise
        mask = turned(label.read((width, height)), image.orientation)
        what = "the mask has the size of the picture as stored: it was turned upright with it."
        doubt = (Remark("N_MASK_ORIENTATION", what),)
    doubtful_mask = doubtful(float(np.count_nonzero(mask)) / mask.size, border_fraction(mask))
    doubt += (Remark(*doubtful_mask),) if doubtful_mask else ()
    return LabelFiles("mask", np.ascontiguousarray(mask), remarks=doubt)


def _boxes(label: BoxLabel, image: DecodedImage, where: str) -> LabelFiles:
    if not label.boxes:
        fix = "if the frame is known to show no polyp, say so; else it is unlabelled."
        raise DataError("E_BOX_NONE", "annotated with no box.", where=where, fix=fix)
    height, width = image.pixels.shape[:2]
    stored = (width, height) if image.orientation in SIDES_SWAPPED else (height, width)
    remarks = list(_doubt(image, "boxes"))
    boxes = label.boxes
    if label.size is not None and label.size != (height, width):
        if label.size != stored:
            drawn, here = (f"{size[1]}×{size[0]}" for size in (label.size, (height, width)))
            what = f"the boxes were drawn on a picture of {drawn}, this one has {here}."
            raise DataError("E_BOX_SIZE", what, where=where, fix="import the pictures that were annotated.")
        turn = image.orientation
        boxes = tuple(PolypBox(*turned_box(box[:4], stored, turn), box.label) for box in boxes)
        what = "the boxes were drawn on the picture as stored: they were turned upright with it."
        remarks = [Remark("N_BOX_ORIENTATION", what)]
    inside = tuple(_inside(box, width, height, where) for box in boxes)
    if inside != boxes:
        remarks.append(Remark("N_BOX_CLIPPED", "a box reached beyond the frame by rounding and was cut there."))
    return LabelFiles("box", boxes=inside, remarks=tuple(remarks))


def _doubt(image: DecodedImage, what: str) -> tuple[Remark, ...]:
    """Where the sizes cannot tell which image the label was drawn on."""
    height, width = image.pixels.shape[:2]
    if image.orientation == 1 or (image.orientation in SIDES_SWAPPED and height != width):
        return ()
    taken = f"taken to be drawn on the upright picture; the sizes do not tell. Look whether the {what} fit."
    return (Remark("W_LABEL_ORIENTATION", taken),)


def _inside(box: PolypBox, width: int, height: int, where: str) -> PolypBox:
    corners = box[:4]
    written = " ".join(f"{value:g}" for value in corners)
    fix = "correct the annotation, or leave the frame out."
    if not all(map(math.isfinite, corners)) or box.x1 <= box.x0 or box.y1 <= box.y0:
        raise DataError("E_BOX_WRONG", f"a box of {written} (x0 y0 x1 y1) has no area.", where=where, fix=fix)
    overhang = max(-box.x0, -box.y0, box.x1 - width, box.y1 - height)
    cut = box._replace(
        x0=max(0.0, box.x0), y0=max(0.0, box.y0), x1=min(float(width), box.x1), y1=min(float(height), box.y1)
    )
    if overhang > MOST_OVERHANG_PX or cut.x1 <= cut.x0 or cut.y1 <= cut.y0:
        what = f"a box of {written} (x0 y0 x1 y1) reaches beyond the {width}×{height} frame."
        raise DataError("E_BOX_OUTSIDE", what, where=where, fix="import the pictures that were annotated.")
    x0, y0, x1, y1 = (round(corner, 2) for corner in cut[:4])  # as boxes.csv has them
    if x1 <= x0 or y1 <= y0:
        what = f"a box of {written} (x0 y0 x1 y1) is smaller than a hundredth of a pixel."
        raise DataError("E_BOX_WRONG", what, where=where, fix=fix)
    return cut if overhang > 0 else box


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
        typed = {
            "size": tuple(values["size"]),
            "boxes": tuple(PolypBox(*box) for box in values["boxes"]),
            "split": Split(values["split"]) if values["split"] else None,
            "label_state": LabelState(values["label_state"]),
        }
        return cls(**{**values, **typed})


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
        mode=frame.mode,
    )


def storable(frame: ImportedFrame) -> ImportedFrame:
    """The frame as a cohort can be opened with it: a mode that may be one, else none and a remark; a time that is a
    number. Raises: DataError E_FIELD_LONG."""
    labels = [("label", box.label) for box in frame.label.boxes] if isinstance(frame.label, BoxLabel) else []
    for name, value in [("patient", frame.patient), ("sequence", frame.sequence), *labels]:
        if value is not None and len(value) >= LONGEST_FIELD:
            what = f"its {name} is {len(value)} characters long: no name is."
            raise DataError("E_FIELD_LONG", what, where=frame.origin, fix="look whether it is another text.")
    t_s = frame.t_s if frame.t_s is not None and math.isfinite(frame.t_s) else None
    written = plain_cell(frame.mode)
    mode = written if is_mode_name(written) else mode_within(written)
    remarks = (mode_unknown(written),) if written and mode is None else ()
    return replace(frame, t_s=t_s, mode=mode, remarks=(*frame.remarks, *remarks))


def tables_of(records: Sequence[FrameRecord]) -> dict[str, bytes]:
    """The table of frames and, where there are boxes, boxes.csv: their content by file name."""
    name, content = frames_table(records)
    boxes = boxes_csv({record.frame: record.boxes for record in records if record.boxes})
    return {name: content} | ({BOXES_CSV: boxes.encode()} if boxes else {})


def divided_groups(cohort_id: str, records: Sequence[FrameRecord]) -> list[str]:
    """What is wrong with the split that the source tells, in words: patients or sequences in several parts."""
    try:
        require_no_leak(
            Frame(cohort_id, each.frame, Path(each.image), None, each.patient, each.sequence, split=each.split)
            for each in records
        )
    except LeakageError as error:
        return [f"the split leaks: {error.what} Correct frames.csv before the cohort is used: {error.fix}"]
    return []


REWRITTEN = frozenset(
    (
        *(*TABLE_NAMES, BOXES_CSV, "manifest.yaml", "import.json", "contact-sheet.png"),
        *("deidentification.json", "deidentification.md", "deidentification-review.png"),
    )
)
"""Files of a cohort folder that an update writes anew; all others are kept as they are."""


def existing_records(known: Manifest, folder: Path) -> list[FrameRecord]:
    """The frames that lie in a cohort folder, found as opening finds them. known: its manifest.

    Raises: DataError E_COHORT_EXISTS when it is none, and what listing its frames and reading its files raises.
    """
    if next(image_files(folder, ("images/*",)), None) is None:
        what = "the folder holds no cohort that could be added to (no images/)."
        raise DataError("E_COHORT_EXISTS", what, where=folder.name, fix="choose another folder with --out, or move it.")
    table, boxes = frames_table_of(folder), folder / BOXES_CSV
    rows = read_frames_table(table) if table is not None else {}
    boxed = read_boxes_csv(boxes) if boxes.is_file() else {}
    located = Located(ordinary_layout(known.id), folder, phantom=False, frames_table=table)
    return [
        _record(frame, rows.get(frame.frame, FrameRow(frame.frame)), boxed.get(frame.frame, ()))
        for frame in find_frames(known, located, labels=True).frames
    ]


def _record(frame: Frame, row: FrameRow, boxes: tuple[PolypBox, ...]) -> FrameRecord:
    """row, boxes: as the folder's tables have them; they are written again as they are."""
    pixels = read_image(frame.image)
    state = row.label_state or frame.label_state
    marked = {LabelState.BOX: True, LabelState.NEGATIVE: False}.get(state)
    return FrameRecord(
        **{**vars(row), "label_state": state},
        image=frame.image.name,
        size=(pixels.shape[1], pixels.shape[0]),
        polyp=bool(np.any(read_mask(frame.mask, frame.fellows))) if frame.mask is not None else marked,
        mask=frame.mask.name if frame.mask is not None else "",
        boxes=boxes,
    )


def require_addable(known: Manifest, folder: Path, kept: Sequence[FrameRecord]) -> None:
    """Whether masks of 0 and 255 may join those that lie in a cohort folder: beside these, what 0/1 or a colour means
    in one of them would no longer be told.

    Raises: DataError E_MASK_SCALE, E_MASK_CLASS.
    """
    scales = cohort_masks(folder / "masks" / record.mask for record in kept if record.mask).scales
    colours = () if known.any_colour else COLOURS[1:WHITE]
    odd = next((scale for scale in (MaskScale.UNIT, *colours) if scale in scales), None)
    if odd is None:
        return
    code, drawn = ("E_MASK_SCALE", "0/1") if odd is MaskScale.UNIT else ("E_MASK_CLASS", odd)
    what = f"it is drawn in {drawn}; beside the masks of 0 and 255 that are added, what that means would not be told."
    fix = "import the cohort's folder into a new one (its masks become 0 and 255), and add to that."
    raise DataError(code, what, where=f"{folder.name}/masks/{scales[odd]}", fix=fix)
