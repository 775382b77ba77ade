"""Annotated images, whatever the tool: what a reader of annotations hands on, and the one rule from there to a label.

A reader turns its files into :class:`AnnotatedImage` values and knows nothing of the rest. The rule for all of them:

* Every polyp has a region (polygon, ellipse, painted pixels): the frame has a mask, their union.
* One polyp has only a box: the frame has boxes, and regions become the boxes around them; a mask would miss a polyp.
* A polyp was drawn that cannot be read (NaN, a point, a line): the frame is taken without a label, since any label
  would miss a polyp (W_SHAPE_BROKEN).
* Shapes without area or wholly outside the frame are passed over (W_SHAPE_FLAT, W_SHAPE_OUTSIDE); where nothing else
  was drawn, the frame is taken without a label.
* Shapes that reach beyond the frame are cut off (N_SHAPE_CUT when by more than a pixel).
* Only shapes of unknown classes: taken without a label (W_CLASS_UNKNOWN, see :mod:`.meanings`).
* No polyp drawn: what the reader says an annotation without a polyp means (``empty``).
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace

import numpy as np

from polypda.cohorts.frames import PolypBox
from polypda.errors import DataError
from polypda.importing.annotations.meanings import EveryClass, FrameFacts, Meaning, PolypClasses
from polypda.importing.annotations.shapes import Corners, Painted, Region, Shape
from polypda.importing.contract import (
    BoxLabel,
    DecodedImage,
    Label,
    MaskLabel,
    MaskPixels,
    Remark,
    UnknownLabel,
)

NOTABLE_PX = 1.0
"""How far a shape may reach beyond the frame without a word: tools round, and rims are drawn generously."""


@dataclass(frozen=True)
class Drawn:
    """One shape with the class that the tool gives it. crowd: stands for several polyps that were not told apart."""

    shape: Shape
    label: str
    crowd: bool = False


@dataclass(frozen=True)
class Sheet:
    """Where something was drawn: the frame's path in the tree, for messages, and its (height, width) as the tool says
    it; None where it does not."""

    origin: str
    size: tuple[int, int] | None


@dataclass(frozen=True)
class AnnotatedImage:
    """What an annotation says of one image; nothing is decoded yet.

    names: what the annotation calls the image, the likeliest first. file: the annotation, by its path in the tree.
    origin: the place in it, for the ledger. shapes: what is drawn, with classes; in_shares: in shares of the image's
    width and height instead of px. size: (height, width) of the image as the tool says it; None where it does not.
    empty: the label where no polyp is drawn; None: as the user says (``-O unannotated``).
    withheld: why the image has no label whatever is drawn. facts: patient, sequence, mode and split as they are told.
    frame: the name that the frame would like; empty: after its file. stands_in: the path and the decoder of an image
    that is no file of its own (a film's frame, a copy in the annotation), where no file is found by ``names``.
    polyps_alone: whether every class is a polyp. listed: that the image is named, with nothing drawn and other files
    that may draw on it. problem: why the image cannot be taken.
    """

    names: tuple[str, ...]
    file: str
    origin: str
    shapes: tuple[Drawn, ...] = ()
    in_fractions: bool = False
    size: tuple[int, int] | None = None
    empty: Label | None = None
    withheld: Remark | None = None
    facts: FrameFacts = field(default_factory=FrameFacts)
    remarks: tuple[Remark, ...] = ()
    frame: str = ""
    stands_in: tuple[str, Callable[[], DecodedImage]] | None = None
    polyps_alone: bool = False
    listed: bool = False
    problem: DataError | None = None

    def label(self, path: str, classes: PolypClasses, notes: list[Remark], *, unannotated: Label) -> Label:
        """The label of the image at ``path``; ``notes`` is told what was passed over or changed."""
        notes += self.remarks
        if self.withheld is not None:
            notes.append(self.withheld)
            return UnknownLabel()
        rule = EveryClass() if self.polyps_alone else classes
        return label_of(self.shapes, Sheet(path, self.size), rule, notes, empty=self.empty or unannotated)

    def sized(self, size: tuple[int, int]) -> AnnotatedImage:
        """The same in px of an image of ``size`` (height, width)."""
        height, width = size
        shapes = self.shapes
        if self.in_fractions:
            shapes = tuple(replace(each, shape=each.shape.scaled(width, height)) for each in shapes)
        return replace(self, shapes=shapes, size=size, in_fractions=False)


def label_of(
    drawn: Sequence[Drawn], sheet: Sheet, classes: PolypClasses, notes: list[Remark], *, empty: Label
) -> Label:
    """The label of a frame; ``notes`` is told what was passed over or changed."""
    polyps = [each for each in drawn if classes.meaning(each.label) is Meaning.POLYP]
    unknown = sorted({each.label for each in drawn if classes.meaning(each.label) is Meaning.UNKNOWN})
    if unknown:
        what = f"shapes of unknown classes were passed over: {', '.join(unknown[:5])}. Name polyps by -O classes=…"
        notes.append(Remark("W_CLASS_UNKNOWN", what))
    if not polyps:
        return UnknownLabel() if unknown else empty
    if any(each.shape.broken() for each in polyps):
        what = "a polyp's shape cannot be read (a point, a line, or coordinates that are no numbers): no label."
        notes.append(Remark("W_SHAPE_BROKEN", what))
        return UnknownLabel()
    kept = [each for each in polyps if _lies_in(each.shape, sheet, notes)]
    if not kept:
        return UnknownLabel()
    if any(each.crowd for each in kept):
        notes.append(Remark("N_CROWD", "a region stands for several polyps; it is taken as one."))
    if all(isinstance(each.shape, Region) for each in kept):
        return _mask([each.shape for each in kept if isinstance(each.shape, Region)], sheet)
    return _boxes(kept, sheet, notes)


def _lies_in(shape: Shape, sheet: Sheet, notes: list[Remark]) -> bool:
    if shape.flat():
        notes.append(Remark("W_SHAPE_FLAT", "a shape without area (a stray click) was passed over."))
        return False
    if sheet.size is None or isinstance(shape, Painted):  # painted pixels lie inside, and are decoded later
        return True
    x0, y0, x1, y1 = shape.corners()
    height, width = sheet.size
    if x1 <= 0 or y1 <= 0 or x0 >= width or y0 >= height:
        what = f"a shape outside the frame of {width}×{height} was passed over (from {x0:.6g}, {y0:.6g})."
        notes.append(Remark("W_SHAPE_OUTSIDE", what))
        return False
    beyond = max(-x0, -y0, x1 - width, y1 - height)
    if beyond > NOTABLE_PX:
        what = f"a shape reached {beyond:.6g} px beyond the frame and was cut off there."
        notes.append(Remark("N_SHAPE_CUT", what))
    return True


def _mask(regions: list[Region], sheet: Sheet) -> MaskLabel:
    def read(size: tuple[int, int]) -> MaskPixels:
        require_size(sheet, size)
        mask = np.zeros(size, np.uint8)
        for region in regions:
            mask |= region.pixels(size)
        if not mask.any():
            what = "what was drawn holds the centre of no pixel."
            fix = "draw it larger, or mark the frame as free of polyps."
            raise DataError("E_SHAPE_NO_PIXEL", what, where=sheet.origin, fix=fix)
        return mask

    return MaskLabel(read, sheet.origin)


def _boxes(kept: list[Drawn], sheet: Sheet, notes: list[Remark]) -> Label:
    try:
        found = [(each, each.shape.corners()) for each in kept]
    except DataError as error:
        notes.append(Remark("W_SHAPE_BROKEN", f"a painted polyp cannot be read ({error.what}): no label."))
        return UnknownLabel()
    if any(isinstance(each.shape, Region) for each in kept):
        what = "some polyps are outlined, others have a box only: taken as boxes, since a mask would miss polyps."
        notes.append(Remark("N_MIXED_SHAPES", what))
    cut = [PolypBox(*_cut(corners, sheet.size), each.label or None) for each, corners in found]
    boxes = tuple(box for box in cut if box.x1 > box.x0 and box.y1 > box.y0)
    return BoxLabel(boxes, sheet.origin, sheet.size) if boxes else UnknownLabel()


def _cut(corners: Corners, size: tuple[int, int] | None) -> Corners:
    x0, y0, x1, y1 = corners
    height, width = size or (np.inf, np.inf)
    return (max(x0, 0.0), max(y0, 0.0), float(min(x1, width)), float(min(y1, height)))


def require_size(sheet: Sheet, size: tuple[int, int]) -> None:
    """Raises: DataError E_ANNOTATION_SIZE when the frame is not of the size that it was drawn on."""
    if sheet.size is not None and sheet.size != size:
        (height, width), (real_height, real_width) = sheet.size, size
        what = f"drawn on a picture of {width}×{height}, but the frame has {real_width}×{real_height}."
        fix = "find the picture that was annotated; nothing is scaled, since what was drawn could not be checked."
        raise DataError("E_ANNOTATION_SIZE", what, where=sheet.origin, fix=fix)
