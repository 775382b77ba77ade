"""A frame's label as the cohort folder keeps it: its state, its mask, its boxes, all of the upright picture."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np

from polypda.cohorts.frames import PolypBox
from polypda.errors import DataError
from polypda.importing.contract import (
    BoxLabel,
    DecodedImage,
    Label,
    MaskLabel,
    MaskPixels,
    NegativeLabel,
    Remark,
)
from polypda.importing.images.decoded_image import SIDES_SWAPPED, turned, turned_box

MOST_OVERHANG_PX = 2.0
"""Boxes may reach beyond the frame by rounding; further, they were drawn on another picture."""


@dataclass(frozen=True)
class LabelFiles:
    """state: as frames.csv names it. mask: 0/1 of the picture's size. remarks: what was changed on the way."""

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
    """Read a label for its picture.

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
        boxes = tuple(_turned(box, stored, image.orientation) for box in boxes)
        what = "the boxes were drawn on the picture as stored: they were turned upright with it."
        remarks = [Remark("N_BOX_ORIENTATION", what)]
    kept = tuple(_inside(box, width, height, where) for box in boxes)
    if kept != boxes:
        remarks.append(Remark("N_BOX_CLIPPED", "a box reached beyond the frame by rounding and was cut there."))
    return LabelFiles("box", boxes=kept, remarks=tuple(remarks))


def _doubt(image: DecodedImage, what: str) -> tuple[Remark, ...]:
    """Where the sizes cannot tell which picture the label was drawn on."""
    height, width = image.pixels.shape[:2]
    if image.orientation == 1 or (image.orientation in SIDES_SWAPPED and height != width):
        return ()
    told = f"taken to be drawn on the upright picture; the sizes do not tell. Look whether the {what} fit."
    return (Remark("W_LABEL_ORIENTATION", told),)


def _turned(box: PolypBox, stored: tuple[int, int], orientation: int) -> PolypBox:
    x0, y0, x1, y1 = turned_box((box.x0, box.y0, box.x1, box.y1), stored, orientation)
    return box._replace(x0=x0, y0=y0, x1=x1, y1=y1)


def _inside(box: PolypBox, width: int, height: int, where: str) -> PolypBox:
    corners = (box.x0, box.y0, box.x1, box.y1)
    told = " ".join(f"{value:g}" for value in corners)
    fix = "correct the annotation, or leave the frame out."
    if not all(map(math.isfinite, corners)) or box.x1 <= box.x0 or box.y1 <= box.y0:
        raise DataError("E_BOX_WRONG", f"a box of {told} (x0 y0 x1 y1) has no area.", where=where, fix=fix)
    overhang = max(-box.x0, -box.y0, box.x1 - width, box.y1 - height)
    cut = box._replace(
        x0=max(0.0, box.x0), y0=max(0.0, box.y0), x1=min(float(width), box.x1), y1=min(float(height), box.y1)
    )
    if overhang > MOST_OVERHANG_PX or cut.x1 <= cut.x0 or cut.y1 <= cut.y0:
        what = f"a box of {told} (x0 y0 x1 y1) reaches beyond the {width}×{height} frame."
        raise DataError("E_BOX_OUTSIDE", what, where=where, fix="import the pictures that were annotated.")
    return cut if overhang > 0 else box
