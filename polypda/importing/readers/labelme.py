"""LabelMe: one JSON file for each frame, with ``shapes`` and the picture embedded (``imageData``) or named.

* Polygons and circles are regions, rectangles are boxes; ``mask`` shapes (a small PNG and its corner) are pixels.
  Points, lines and line strips enclose nothing.
* A shape whose label says that it is a hole (``hole``, ``洞``, ``孔``) is cut out of the polyps of its group, or of all
  where it has no group.
* The file beside goes before the embedded picture, which is a copy of it.
* LabelMe writes a file only when somebody saves, so a file without a polyp means that there is none. Pictures without
  a file are taken without a label. Flags tell mode, patient and so on; a flag that says "no polyp" agrees with that.
"""

from __future__ import annotations

import base64
import binascii
import re
from collections.abc import Callable, Iterator
from functools import partial
from typing import Any

from polypda.cohorts.picture_kinds import kind_of
from polypda.errors import DataError
from polypda.importing.annotations.annotation_files import read_json
from polypda.importing.annotations.drawn_labels import Drawn, Sheet, label_of
from polypda.importing.annotations.frame_facts import FrameFacts, facts_in, imaging_mode
from polypda.importing.annotations.json_values import mapping, mappings, size_px, text
from polypda.importing.annotations.named_images import NamedImages, wished_names
from polypda.importing.annotations.polyp_classes import PolypClasses, require_classes
from polypda.importing.contract import ImportedFrame, Ledger, NegativeLabel, Picture, Remark, SourceTree
from polypda.importing.images.pictures import picture_of, read_picture
from polypda.importing.readers.annotated import (
    AnnotatedReader,
    files_ending,
    first_bytes,
    never_annotated,
    require_some,
)
from polypda.importing.readers.labelme_shapes import is_hole, shape_of, without_holes

_SHAPES = re.compile(rb'"shapes"\s*:\s*\[')
_IMAGE = re.compile(rb'"image(Path|Data)"\s*:')


class LabelMeReader(AnnotatedReader):
    """See the module."""

    name = "labelme"
    title = "LabelMe JSON files beside or around the pictures"
    tells_negatives = True

    def recognises(self, tree: SourceTree) -> bool:
        return any(
            _SHAPES.search(data) and _IMAGE.search(data) for _, data in first_bytes(tree, files_ending(tree, ".json"))
        )

    def frames(self, tree: SourceTree, ledger: Ledger) -> Iterator[ImportedFrame]:
        images = NamedImages(tree)
        paths, labels = _survey(tree, ledger)
        require_some(len(paths), tree, "a LabelMe JSON file", ledger)
        require_classes(self.classes, labels)
        classes, names = PolypClasses(self.classes, labels), wished_names(paths)
        for path in paths:
            try:
                yield _frame(tree, images, (path, names[path]), mapping(read_json(tree, path)), classes)
            except DataError as error:
                ledger.leave_out(path, error)
        yield from never_annotated(tree, images)


def _survey(tree: SourceTree, ledger: Ledger) -> tuple[list[str], set[str]]:
    """LabelMe's files and all labels in them; each is read again when it is due, as it may hold a picture."""
    paths, labels = [], set()
    for path in files_ending(tree, ".json"):
        try:
            value = mapping(read_json(tree, path))
        except DataError as error:
            ledger.leave_out(path, error)
            continue
        if isinstance(value.get("shapes"), list) and ("imagePath" in value or "imageData" in value):
            paths.append(path)
            labels |= {text(shape.get("label")) for shape in mappings(value["shapes"]) if not is_hole(shape)}
    return paths, labels


def _frame(
    tree: SourceTree,
    images: NamedImages,
    file: tuple[str, str],
    value: dict[str, Any],
    classes: PolypClasses,
) -> ImportedFrame:
    """file: the JSON's path, and the name for its frame."""
    path, name = file
    notes: list[Remark] = []
    origin, read = _picture(tree, images, path, value)
    sheet = Sheet(origin, size_px(value.get("imageWidth"), value.get("imageHeight")))
    shapes = mappings(value.get("shapes"))
    holes = [(_group(shape), shape_of(shape, sheet)) for shape in shapes if is_hole(shape)]
    drawn = [
        Drawn(without_holes(holes, _group(shape), shape_of(shape, sheet), sheet), text(shape.get("label")))
        for shape in shapes
        if not is_hole(shape)
    ]
    label = label_of(drawn, sheet, classes, notes, empty=NegativeLabel())
    facts = _facts(mapping(value.get("flags")))
    return ImportedFrame(
        name,
        origin,
        read,
        label,
        facts.patient,
        facts.sequence,
        split=facts.split,
        mode=facts.mode,
        patient_by=facts.patient_by,
        remarks=tuple(notes),
    )


def _picture(
    tree: SourceTree, images: NamedImages, path: str, value: dict[str, Any]
) -> tuple[str, Callable[[], Picture]]:
    try:
        image = images.find(text(value.get("imagePath")), beside=path)
    except DataError as error:
        embedded = value.get("imageData")
        if error.code == "E_IMAGE_TWICE" or not isinstance(embedded, str) or not embedded:
            raise
        return path, partial(_embedded, embedded, path)
    return image, partial(read_picture, tree, image)


def _embedded(encoded: str, path: str) -> Picture:
    try:
        data = base64.b64decode(encoded, validate=True)
    except (binascii.Error, ValueError) as error:
        what = f"the embedded picture is no base64 ({error})."
        raise DataError("E_IMAGE_UNREADABLE", what, where=path, fix="lay the picture file beside it.") from error
    kind = kind_of(data)
    return picture_of(data, path + (kind.suffixes[0] if kind else ""))


def _facts(flags: dict[str, Any]) -> FrameFacts:
    """LabelMe's flags are switches, so a mode is a flag of its own name (``NBI``: true)."""
    switched = next((imaging_mode(name) for name, on in flags.items() if on is True and imaging_mode(name)), None)
    told = facts_in(flags)
    return FrameFacts(told.patient, told.sequence, told.mode or switched, told.split)


def _group(shape: dict[str, Any]) -> str:
    return text(shape.get("group_id"))
