"""Annotated images, whatever the tool: what a reader hands on, which classes are polyps, and the one rule to a label.

* Every polyp has a region (polygon, ellipse, painted pixels): the frame has a mask, their union.
* One polyp has only a box: the frame has boxes, and regions become the boxes around them; a mask would miss a polyp.
* A polyp was drawn that cannot be read (NaN, a point, a line): no label, since any would miss a polyp (W_SHAPE_BROKEN).
* Shapes without area or wholly outside the frame are passed over (W_SHAPE_FLAT, W_SHAPE_OUTSIDE); where nothing else
  was drawn, no label. Shapes that reach beyond the frame are cut off (N_SHAPE_CUT when by more than a pixel).
* Only shapes of unknown classes: no label (W_CLASS_UNKNOWN, see :class:`PolypClasses`).
* No polyp drawn: what the reader says an annotation without a polyp means (``empty``).
"""

from __future__ import annotations

import re
from collections.abc import Callable, Collection, Iterable, Mapping
from dataclasses import dataclass, field, replace
from enum import Enum
from pathlib import PurePosixPath

import numpy as np

from polypda.cohorts.frames import PolypBox, Split
from polypda.errors import DataError, UsageError, nearest
from polypda.importing.annotations.annotation_files import text
from polypda.importing.annotations.shapes import Painted, Region, Shape
from polypda.importing.contract import BoxLabel, DecodedImage, Label, MaskLabel, MaskPixels, Remark, UnknownLabel
from polypda.importing.readers.folder_words import PatientRule, meaning_of, mode_of, mode_within, split_of

NOTABLE_PX = 1.0
"""How far a shape may reach beyond the frame without a word: tools round, and rims are drawn generously."""
_POLYP = re.compile(
    r"polyp|adenom|hyperplas|serrat|neoplas|lesion|carcinoma|cancer|tumou?r|\b(ssl|ssa|tsa|lst)\b"
    r"|息肉|腺瘤|病变|病灶|肿瘤|增生"
)
_NO_POLYP = re.compile(
    r"\b(no|not|non|without|free of)( an?)? ?(polyp|lesion)s?\b|\b(polyp|lesion)s? (free|negative)\b"
    r"|\bnegatives?\b|\bnormal\b|\bhealthy\b|\bclean mucosa\b|无息肉|阴性|正常"
)
_OTHER = re.compile(
    r"background|mucosa|instrument|\btools?\b|forceps|snare|needle|artefact|artifact|bubble|stool|fa?eces|blood|specular"
    r"|reflection|\btext\b|overlay|lumen|\bfolds?\b|\bwater\b|\bfoam\b|黏膜|粘膜|器械|气泡|粪"
)
_PATIENT = ("patient", "patient_id", "patientid", "case", "case_id")
_SEQUENCE = ("sequence", "sequence_id", "video", "video_id", "video_name", "clip")
_MODE = ("mode", "modality", "imaging", "imaging_mode", "light")
_SPLIT = ("split", "subset", "partition")


class Meaning(Enum):
    """What a class of the tool stands for."""

    POLYP = "polyp"
    NONE = "no polyp"
    UNKNOWN = "unknown"


class PolypClasses:
    """Which classes of an annotation are polyps. only: the names that the user gave; no other class is one then.

    Else a class is a polyp when a word for one stands in its name (English or 中文); words for instruments, artefacts
    and plain mucosa say that it is none. Any other class is unknown, but for the only one of ``used``, the classes of
    all that was drawn: it is the polyp, unless its name says the opposite.
    """

    def __init__(self, only: Collection[str] | None = None, used: Collection[str] = ()) -> None:
        self.only = None if only is None else {name.casefold() for name in only}
        plain = {name.casefold() for name in used}
        self.single = next(iter(plain)) if len(plain) == 1 else None

    def meaning(self, name: str) -> Meaning:
        """What the class called ``name`` stands for."""
        plain = name.casefold()
        if self.only is not None:
            return Meaning.POLYP if plain in self.only else Meaning.NONE
        if says_no_polyp(name):
            return Meaning.NONE
        if _POLYP.search(plain) or _POLYP.search(_words(name)):
            return Meaning.POLYP
        if _OTHER.search(_words(name)):
            return Meaning.NONE
        return Meaning.POLYP if plain == self.single else Meaning.UNKNOWN


def says_no_polyp(name: str) -> bool:
    """Whether a class, tag, choice or folder says of the whole frame that it shows no polyp."""
    return _NO_POLYP.search(_words(name)) is not None


def _words(name: str) -> str:
    """Lower case, with one space for whatever stands between words."""
    return re.sub(r"[\W_]+", " ", name.casefold()).strip()


def require_classes(only: Collection[str] | None, known: Collection[str]) -> None:
    """Raises: UsageError E_CLASS when a name that the user gave is none of the annotation's classes."""
    plain = {name.casefold() for name in known}
    missing = [name for name in only or () if name.casefold() not in plain]
    if missing:
        what = f"the annotation has no class '{missing[0]}'.{nearest(missing[0], known)}"
        raise UsageError("E_CLASS", what, fix=f"its classes are {', '.join(sorted(known)[:20]) or 'none'}.")


def class_names(options: Mapping[str, str]) -> tuple[str, ...] | None:
    """The option ``classes=A,B``; None where it is not given. Raises: UsageError E_OPTION when it is empty."""
    if "classes" not in options:
        return None
    names = tuple(name.strip() for name in options["classes"].split(",") if name.strip())
    if not names:
        raise UsageError("E_OPTION", "'classes' names no class.", fix="for example -O classes=polyp,adenoma.")
    return names


@dataclass(frozen=True)
class FrameFacts:
    """As the fields of an imported frame of the same names. other_mode: what is written as its mode and names none."""

    patient_by: str | None = field(default=None, kw_only=True)
    other_mode: str | None = field(default=None, kw_only=True)
    patient: str | None = None
    sequence: str | None = None
    mode: str | None = None
    split: Split | None = None


def facts_in(fields: Mapping[str, object]) -> FrameFacts:
    """The facts among fields that people named themselves (CVAT attributes, Label Studio's task data, LabelMe flags,
    extra keys of COCO images); case, spaces and hyphens in a name do not matter, other fields are ignored."""
    plain = {re.sub(r"[\s-]+", "_", name.casefold()): text(value) for name, value in fields.items()}

    def first(names: Iterable[str]) -> str | None:
        return next((plain[name] for name in names if plain.get(name)), None)

    mode = first(_MODE)
    return FrameFacts(
        first(_PATIENT),
        first(_SEQUENCE),
        mode_within(mode or ""),
        split_of(first(_SPLIT) or ""),
        other_mode=mode if mode and mode_within(mode) is None else None,
    )


def facts_of(given: FrameFacts, image: str) -> FrameFacts:
    """What is given of a frame; the rest is taken from the folders that the image lies in (``train/患者1``)."""
    lies = meaning_of(PurePosixPath(image).parts[:-1])
    patient, clip, by = (given.patient, None, None) if given.patient else PatientRule().of(image)
    return FrameFacts(
        patient,
        given.sequence or lies.sequence or clip,
        given.mode or lies.mode,
        given.split or lies.split,
        patient_by=by,
    )


def mode_of_path(parts: Iterable[str]) -> str | None:
    """The imaging mode that the last folder names which names one (``NBI``, ``polyps_WL``…)."""
    words = (word for part in reversed(list(parts)) for word in [part, *re.split(r"[\s_-]+", part)])
    return next(filter(None, map(mode_of, words)), None)


@dataclass(frozen=True)
class Drawn:
    """One shape with the class that the tool gives it. crowd: stands for several polyps that were not told apart."""

    shape: Shape
    label: str
    crowd: bool = False


@dataclass(frozen=True)
class AnnotatedImage:
    """What an annotation says of one image; nothing is decoded yet.

    names: what the annotation calls the image, the likeliest first. file: the annotation, by its path in the tree.
    origin: the place in it, for the ledger. shapes: what is drawn, with classes; in_fractions: of the image's width
    and height instead of px. size: (height, width) of the image as the tool says it; None where it does not.
    empty: the label where no polyp is drawn; None: as the user says (``-O unannotated``).
    withheld: why the image has no label whatever is drawn. facts: patient, sequence, mode and split as they are given.
    frame: the name that the frame would like; empty: after its file. stands_in: the path and the decoder of an image
    that is no file of its own (a video's frame, a copy in the annotation), where no file is found by ``names``.
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
        """The label of the image at ``path`` by the rule above; what was passed over or changed is added to notes."""
        notes += self.remarks
        if self.withheld is not None:
            notes.append(self.withheld)
            return UnknownLabel()
        meanings = [Meaning.POLYP if self.polyps_alone else classes.meaning(each.label) for each in self.shapes]
        known = list(zip(self.shapes, meanings, strict=True))
        polyps = [each for each, meaning in known if meaning is Meaning.POLYP]
        unknown = sorted({each.label for each, meaning in known if meaning is Meaning.UNKNOWN})
        if unknown:
            what = f"shapes of unknown classes were passed over: {', '.join(unknown[:5])}. Name polyps by -O classes=…"
            notes.append(Remark("W_CLASS_UNKNOWN", what))
        if not polyps:
            return UnknownLabel() if unknown else self.empty or unannotated
        if any(each.shape.broken() for each in polyps):
            what = "a polyp's shape cannot be read (a point, a line, or coordinates that are no numbers): no label."
            notes.append(Remark("W_SHAPE_BROKEN", what))
            return UnknownLabel()
        polyps = [each for each in polyps if _lies_in(each.shape, self.size, notes)]
        if not polyps:
            return UnknownLabel()
        if any(each.crowd for each in polyps):
            notes.append(Remark("N_CROWD", "a region stands for several polyps; it is taken as one."))
        regions = [each.shape for each in polyps if isinstance(each.shape, Region)]
        if len(regions) == len(polyps):
            return _mask(regions, path, self.size)
        return _boxes(polyps, self.size, notes)

    def sized(self, size: tuple[int, int]) -> AnnotatedImage:
        """The same in px of an image of ``size`` (height, width)."""
        height, width = size
        shapes = self.shapes
        if self.in_fractions:
            shapes = tuple(replace(each, shape=each.shape.scaled(width, height)) for each in shapes)
        return replace(self, shapes=shapes, size=size, in_fractions=False)


def _lies_in(shape: Shape, size: tuple[int, int] | None, notes: list[Remark]) -> bool:
    if shape.flat():
        notes.append(Remark("W_SHAPE_FLAT", "a shape without area (a stray click) was passed over."))
        return False
    if size is None or isinstance(shape, Painted):  # painted pixels lie inside, and are decoded later
        return True
    x0, y0, x1, y1 = shape.corners()
    height, width = size
    if x1 <= 0 or y1 <= 0 or x0 >= width or y0 >= height:
        what = f"a shape outside the frame of {width}×{height} was passed over (from {x0:.6g}, {y0:.6g})."
        notes.append(Remark("W_SHAPE_OUTSIDE", what))
        return False
    beyond = max(-x0, -y0, x1 - width, y1 - height)
    if beyond > NOTABLE_PX:
        what = f"a shape reached {beyond:.6g} px beyond the frame and was cut off there."
        notes.append(Remark("N_SHAPE_CUT", what))
    return True


def _mask(regions: list[Region], origin: str, drawn_on: tuple[int, int] | None) -> MaskLabel:
    def read(size: tuple[int, int]) -> MaskPixels:
        if drawn_on is not None and drawn_on != size:
            what = f"drawn on a picture of {drawn_on[1]}×{drawn_on[0]}, but the frame has {size[1]}×{size[0]}."
            fix = "find the picture that was annotated; nothing is scaled, since what was drawn could not be checked."
            raise DataError("E_ANNOTATION_SIZE", what, where=origin, fix=fix)
        mask = np.zeros(size, np.uint8)
        for region in regions:
            mask |= region.pixels(size)
        if not mask.any():
            what = "what was drawn holds the centre of no pixel."
            fix = "draw it larger, or mark the frame as free of polyps."
            raise DataError("E_SHAPE_NO_PIXEL", what, where=origin, fix=fix)
        return mask

    return MaskLabel(read)


def _boxes(polyps: list[Drawn], size: tuple[int, int] | None, notes: list[Remark]) -> Label:
    try:
        found = [(each, each.shape.corners()) for each in polyps]
    except DataError as error:
        notes.append(Remark("W_SHAPE_BROKEN", f"a painted polyp cannot be read ({error.what}): no label."))
        return UnknownLabel()
    if any(isinstance(each.shape, Region) for each in polyps):
        what = "some polyps are outlined, others have a box only: taken as boxes, since a mask would miss polyps."
        notes.append(Remark("N_MIXED_SHAPES", what))
    height, width = size or (np.inf, np.inf)
    cut = [
        PolypBox(max(x0, 0.0), max(y0, 0.0), float(min(x1, width)), float(min(y1, height)), each.label or None)
        for each, (x0, y0, x1, y1) in found
    ]
    boxes = tuple(box for box in cut if box.x1 > box.x0 and box.y1 > box.y0)
    return BoxLabel(boxes, size) if boxes else UnknownLabel()
