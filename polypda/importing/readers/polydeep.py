"""PolyDeep's images (PIBAdb): boxes on polyps seen in white light and NBI, and frames without a polyp.

NOT VERIFIED: no export of PIBAdb was seen. What is read is what the project's public code and queries show:

* VOC pairs ``Annotations/ID.xml`` and ``JPEGImages/ID.jpg``, whose coordinates count from 0 with xmax behind the last
  pixel (the project's detection pipeline reads them so), at any depth; pictures elsewhere pair by their name.
* ``metadata.csv``: the polyp first, then the picture.
* A table of places (the database's ``polyplocation``) with columns for the picture, ``x``, ``y``, ``width`` and
  ``height`` (which may be negative: boxes were drawn in any direction), one row for each box.
* Columns for patient or exploration, video, polyp, gallery, modality: patient; sequence (video, else polyp); mode.

Assumed beyond that: folders called NBI, WL, white light… tell the mode, and folders or galleries that say negative,
not polyp, normal or clean mucosa hold frames without a polyp. Everything else without a box has no label.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from functools import partial

from polypda.errors import DataError
from polypda.importing.annotations.annotation_files import read_xml
from polypda.importing.annotations.drawn_labels import Drawn, Sheet, label_of
from polypda.importing.annotations.frame_facts import mode_of_path
from polypda.importing.annotations.named_images import is_image, wished_names, without_suffix
from polypda.importing.annotations.polyp_classes import EveryClass, says_no_polyp
from polypda.importing.annotations.voc import ZERO_BASED, voc_file
from polypda.importing.contract import (
    ImportedFrame,
    Label,
    Ledger,
    NegativeLabel,
    Reader,
    Remark,
    SourceTree,
    UnknownLabel,
)
from polypda.importing.images.pictures import read_picture
from polypda.importing.readers.annotated import files_ending, first_bytes
from polypda.importing.readers.polydeep_tables import Told, is_place_table, read_tables

_CALLED_SO = re.compile(r"pibadb|polydeep", re.IGNORECASE)
_ANNOTATION = re.compile(r"(?:.*/)?Annotations/[^/]+\.xml", re.IGNORECASE)


class PolyDeepReader(Reader):
    """See the module."""

    name = "polydeep"
    title = "PolyDeep (PIBAdb): boxes, NBI and WL, negatives (layout not verified)"

    def recognises(self, tree: SourceTree) -> bool:
        pictures = any(map(is_image, tree.files()))
        if any(is_place_table(data) for _, data in first_bytes(tree, files_ending(tree, ".csv"))):
            return pictures
        pairs = any(_ANNOTATION.fullmatch(path) for path in tree.files())
        metadata = any(path.lower().rsplit("/", 1)[-1] == "metadata.csv" for path in tree.files())
        called_so = any(_CALLED_SO.search(path) for path in (tree.name, *tree.files()))
        return pictures and pairs and (metadata or called_so)

    def frames(self, tree: SourceTree, ledger: Ledger) -> Iterator[ImportedFrame]:
        pictures = [path for path in tree.files() if is_image(path)]
        if not pictures:
            raise DataError("E_LAYOUT", "there is no picture here.", where=tree.name, fix="unpack the export there.")
        told, names = read_tables(tree, ledger), wished_names(pictures)
        annotations = _annotations(tree, pictures, ledger)
        for picture_id in told.keys() - {_stem(path) for path in pictures}:
            if told[picture_id].drawn:
                what = f"the table's picture '{picture_id}' is not there."
                ledger.leave_out(told[picture_id].origin, DataError("E_IMAGE_MISSING", what, fix="add the picture."))
        for path in pictures:
            facts, notes = told.get(_stem(path), Told(path)), list[Remark]()
            try:
                label = _label(tree, path, annotations.get(path), facts, notes)
            except DataError as error:
                ledger.leave_out(path, error)
                continue
            folders = path.split("/")[:-1]
            yield ImportedFrame(
                names[path],
                path,
                partial(read_picture, tree, path),
                label,
                facts.patient,
                facts.sequence,
                mode=facts.mode or mode_of_path(folders) or mode_of_path([tree.name]),
                remarks=tuple(notes),
            )


def _annotations(tree: SourceTree, pictures: list[str], ledger: Ledger) -> dict[str, str]:
    """Picture → its XML file: the same stem, in the same folder or in its twin ``JPEGImages``, else anywhere once."""
    by_stem: dict[str, list[str]] = {}
    for path in pictures:
        by_stem.setdefault(_stem(path), []).append(path)
    found: dict[str, str] = {}
    for xml in files_ending(tree, ".xml"):
        same = by_stem.get(_stem(xml), [])
        twin = re.sub(r"(^|/)annotations(/[^/]*)$", r"\1jpegimages\2", without_suffix(xml).casefold())
        fits = [path for path in same if without_suffix(path).casefold() in (without_suffix(xml).casefold(), twin)]
        fits = fits or same
        if len(fits) == 1 and fits[0] not in found:
            found[fits[0]] = xml
        else:
            code, what = "E_IMAGE_MISSING", "the annotation's picture is not there."
            if fits:
                code, what = "E_IMAGE_AMBIGUOUS", f"the annotation fits several pictures ({', '.join(fits[:3])})."
            ledger.leave_out(xml, DataError(code, what, fix="lay JPEGImages and Annotations side by side."))
    return found


def _label(tree: SourceTree, path: str, annotation: str | None, facts: Told, notes: list[Remark]) -> Label:
    drawn: list[Drawn] = list(facts.drawn)
    size = None
    if annotation is not None:
        voc = voc_file(read_xml(tree, annotation), annotation, ZERO_BASED)
        size = voc.size
        drawn += [each for each in voc.drawn if each not in drawn]
    said = any(map(says_no_polyp, (*path.split("/")[:-1], *facts.galleries)))
    if drawn:
        if said:
            what = "its folder or gallery says no polyp, but a box is there."
            notes.append(Remark("W_NEGATIVE_CONTRADICTED", what))
        return label_of(drawn, Sheet(path, size), EveryClass(), notes, empty=UnknownLabel())
    if said or annotation is not None:
        return NegativeLabel()
    what = "no box and no word that it shows no polyp; taken without a label."
    notes.append(Remark("W_ANNOTATION_MISSING", what))
    return UnknownLabel()


def _stem(path: str) -> str:
    return without_suffix(path.rsplit("/", 1)[-1])
