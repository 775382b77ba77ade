"""PolyDeep's images (PIBAdb): boxes on polyps seen in white light and NBI, and frames without a polyp.

NOT VERIFIED: no export of PIBAdb was seen. What is read is what the project's public code and queries show:

* VOC pairs ``Annotations/ID.xml`` and ``JPEGImages/ID.jpg``, whose coordinates count from 0 with xmax behind the last
  pixel (the project's detection pipeline reads them so), at any depth; images elsewhere pair by their name.
* ``metadata.csv``: the polyp first, then the image.
* A table of places (the database's ``polyplocation``) with columns for the image, ``x``, ``y``, ``width`` and
  ``height`` (which may be negative: boxes were drawn in any direction), one row for each box.
* Columns for patient or exploration, video, polyp, gallery, modality: patient; sequence (video, else polyp); mode.

Assumed beyond that: folders called NBI, WL, white light… tell the mode, and folders or galleries that say negative,
not polyp, normal or clean mucosa hold frames without a polyp. Everything else without a box has no label.
"""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field

from polypda.errors import DataError
from polypda.importing.annotations.annotated import AnnotatedImage, Drawn, FrameFacts, mode_of_path, says_no_polyp
from polypda.importing.annotations.annotation_files import number, read_text, read_xml
from polypda.importing.annotations.shapes import Box
from polypda.importing.contract import Ledger, NegativeLabel, Remark, SourceTree
from polypda.importing.readers.annotated import (
    AnnotatedReader,
    Annotation,
    NamedImages,
    files_ending,
    first_bytes,
    is_image,
    sound_files,
    stem_of,
    without_suffix,
)
from polypda.importing.readers.beside_files import ZERO_BASED, voc_image
from polypda.importing.readers.folder_words import mode_within
from polypda.importing.readers.frame_tables import table_of

_CALLED_SO = re.compile(r"pibadb|polydeep", re.IGNORECASE)
_ANNOTATION = re.compile(r"(?:.*/)?Annotations/[^/]+\.xml", re.IGNORECASE)
_IMAGE = ("image", "image id", "imageid", "filename", "file name", "file", "frame")
_CORNER_AND_SIZE = ("x", "y", "width", "height")
_PATIENT = ("patient", "patient id", "patientid", "exploration", "exploration id", "exploration title")
_SEQUENCE = ("video", "video id", "video title", "polyp", "polyp id", "polyp name")
_MODE = ("modality", "mode", "imaging", "light", "modifier", "modifier name", "gallery", "gallery name")
_GALLERY = ("gallery", "gallery name", "gallery title", "modifier", "modifier name")
UNSAID = Remark("W_ANNOTATION_MISSING", "no box and no word that it shows no polyp; taken without a label.")
CONTRADICTED = Remark("W_NEGATIVE_CONTRADICTED", "its folder or gallery says no polyp, but a box is there.")


@dataclass
class Listed:
    """What the tables say of one image; origin: the table, for messages."""

    origin: str
    drawn: list[Drawn] = field(default_factory=list)
    patient: str | None = None
    sequence: str | None = None
    mode: str | None = None
    galleries: list[str] = field(default_factory=list)


class PolyDeepReader(AnnotatedReader):
    """See the module."""

    name = "polydeep"
    title = "PolyDeep (PIBAdb): boxes, NBI and WL, negatives (layout not verified)"
    what = "an export of PIBAdb"
    known_options = ()
    folders_tell = False

    def recognises(self, tree: SourceTree) -> bool:
        images = any(map(is_image, tree.files()))
        if any(_is_place_table(data) for _, data in first_bytes(tree, ".csv")):
            return images
        pairs = any(_ANNOTATION.fullmatch(path) for path in tree.files())
        metadata = any(path.lower().rsplit("/", 1)[-1] == "metadata.csv" for path in tree.files())
        called_so = any(_CALLED_SO.search(path) for path in (tree.name, *tree.files()))
        return images and pairs and (metadata or called_so)

    def annotation(self, tree: SourceTree, images: NamedImages, ledger: Ledger) -> Annotation:
        if not images.paths:
            raise DataError("E_LAYOUT", "there is no picture here.", where=tree.name, fix="unpack the export there.")
        listed = _read_tables(tree, ledger)
        files = _annotation_files(tree, images.paths, ledger)
        for image_id in listed.keys() - {stem_of(path) for path in images.paths}:
            if listed[image_id].drawn:
                what = f"the table's picture '{image_id}' is not there."
                ledger.leave_out(listed[image_id].origin, DataError("E_IMAGE_MISSING", what, fix="add the picture."))
        return Annotation(len(images.paths), _annotated(tree, images.paths, listed, files, ledger))


def _annotated(
    tree: SourceTree, images: Sequence[str], listed: Mapping[str, Listed], files: Mapping[str, str], ledger: Ledger
) -> Iterator[AnnotatedImage]:
    for path in images:
        facts, xml = listed.get(stem_of(path), Listed(path)), files.get(path)
        drawn, size = list(facts.drawn), None
        if xml is not None:
            try:
                voc = voc_image(read_xml(tree, xml), xml, ZERO_BASED)
            except DataError as error:
                ledger.leave_out(path, error)
                continue
            size = voc.size
            drawn += [each for each in voc.shapes if each not in drawn]
        folders = path.split("/")[:-1]
        free = any(map(says_no_polyp, (*folders, *facts.galleries)))
        mode = facts.mode or mode_of_path(folders) or mode_of_path([tree.name])
        yield AnnotatedImage(
            names=(path,),
            file=path,
            origin=path,
            shapes=tuple(drawn),
            size=size,
            empty=NegativeLabel() if not drawn else None,
            withheld=None if drawn or free or xml is not None else UNSAID,
            facts=FrameFacts(patient=facts.patient, sequence=facts.sequence, mode=mode),
            remarks=(CONTRADICTED,) if drawn and free else (),
            polyps_alone=True,
        )


def _annotation_files(tree: SourceTree, images: Sequence[str], ledger: Ledger) -> dict[str, str]:
    """Image → its XML file: the same stem, in the same folder or in its twin ``JPEGImages``, else anywhere once."""
    by_stem: defaultdict[str, list[str]] = defaultdict(list)
    for path in images:
        by_stem[stem_of(path)].append(path)
    found: dict[str, str] = {}
    for xml in files_ending(tree, ".xml"):
        same, bare = by_stem[stem_of(xml)], without_suffix(xml).casefold()
        twin = re.sub(r"(^|/)annotations(/[^/]*)$", r"\1jpegimages\2", bare)
        fits = [path for path in same if without_suffix(path).casefold() in (bare, twin)] or same
        if len(fits) == 1 and fits[0] not in found:
            found[fits[0]] = xml
        else:
            code, what = "E_IMAGE_MISSING", "the annotation's picture is not there."
            if fits:
                code, what = "E_IMAGE_AMBIGUOUS", f"the annotation fits several pictures ({', '.join(fits[:3])})."
            ledger.leave_out(xml, DataError(code, what, fix="lay JPEGImages and Annotations side by side."))
    return found


def _is_place_table(data: bytes) -> bool:
    """Whether a CSV's first line has a column for the image and all four of a box."""
    first = data[:4096].decode("utf-8-sig", "replace").partition("\n")[0]
    try:
        headings, _ = table_of(first, "")
    except DataError:
        return False
    return set(_CORNER_AND_SIZE) <= set(headings) and any(name in headings for name in _IMAGE)


def _read_tables(tree: SourceTree, ledger: Ledger) -> dict[str, Listed]:
    """Image (file name without suffix) → what all tables say of it. Damaged rows are noted in the ledger."""
    listed: dict[str, Listed] = {}
    for path, rows in sound_files(tree, ".csv", _rows, ledger):
        for line, row in rows:
            image = _image(row)
            if image:
                _take(listed.setdefault(image, Listed(path)), row)
                _take_box(listed[image], row, f"{path} line {line}", ledger)
    return listed


def _rows(tree: SourceTree, path: str) -> list[tuple[int, dict[str, str]]]:
    headings, rows = table_of(read_text(tree, path), path)
    if not any(name in headings for name in _IMAGE) and len(headings) >= 2:
        headings = ["polyp", "image", *headings[2:]]  # metadata.csv is read by position
    return [(line, dict(zip(headings, row, strict=False))) for line, row in rows]


def _image(row: Mapping[str, str]) -> str:
    """The image's name without folder and suffix; public code reads the last word of the field."""
    words = _first(row, _IMAGE).replace("\\", "/").rsplit("/", 1)[-1].split()
    name = words[-1] if words else ""
    return without_suffix(name) if is_image(name) else name


def _take(listed: Listed, row: Mapping[str, str]) -> None:
    listed.patient = listed.patient or _first(row, _PATIENT) or None
    listed.sequence = listed.sequence or _first(row, _SEQUENCE) or None
    listed.mode = listed.mode or next(filter(None, (mode_within(row.get(name, "")) for name in _MODE)), None)
    listed.galleries += [row[name] for name in _GALLERY if row.get(name)]


def _take_box(listed: Listed, row: Mapping[str, str], where: str, ledger: Ledger) -> None:
    fields = [row.get(name, "") for name in _CORNER_AND_SIZE]
    if not any(fields):
        return
    x, y, width, height = map(number, fields)
    drawn = Drawn(Box(x, y, x + width, y + height), "polyp")
    if drawn.shape.broken():
        what = f"x, y, width, height are {', '.join(fields)[:80]}; the frame is taken without a label."
        ledger.leave_out(where, DataError("E_ANNOTATION_ROW", what, fix="correct the row."))
    if drawn not in listed.drawn:
        listed.drawn.append(drawn)


def _first(row: Mapping[str, str], names: Sequence[str]) -> str:
    return next((row[name] for name in names if row.get(name)), "")
