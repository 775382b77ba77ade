"""COCO: one JSON file (or one for each split) with ``images``, ``annotations`` and ``categories``.

* ``segmentation`` as polygons (several are one polyp in parts, their union), as run lengths (a list or COCO's text,
  column by column), or none: then ``bbox`` [x, y, width, height] is all there is, and the frame has boxes. A polygon
  that is the upright rectangle of its ``bbox`` is a box as well: exporters write these for what was drawn as a box.
* ``iscrowd`` regions are polyp.
* COCO lists each picture of a task, looked at or not. One without annotations is therefore taken without a label,
  unless ``-O unannotated=negative`` says that everything was looked at.
* A split is taken from the JSON's name (``train.json``, ``instances_val2017.json``); patient, sequence and mode from
  extra keys of the images.
"""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Iterator
from dataclasses import dataclass
from functools import partial
from typing import Any

from polypda.cohorts.frames import Split
from polypda.errors import DataError
from polypda.importing.annotations.annotation_files import read_json
from polypda.importing.annotations.drawn_labels import Drawn, Sheet, label_of
from polypda.importing.annotations.frame_facts import facts_of, split_named
from polypda.importing.annotations.json_values import mapping, mappings, number, size_px, text
from polypda.importing.annotations.named_images import NamedImages
from polypda.importing.annotations.polyp_classes import PolypClasses, require_classes
from polypda.importing.contract import ImportedFrame, Ledger, Remark, SourceTree
from polypda.importing.images.pictures import read_picture
from polypda.importing.readers.annotated import (
    AnnotatedReader,
    files_ending,
    first_bytes,
    never_annotated,
    require_some,
)
from polypda.importing.readers.coco_shapes import shape_of

_IMAGES = re.compile(rb'"images"\s*:\s*\[')
_FILE_NAME = re.compile(rb'"file_name"\s*:')


@dataclass(frozen=True)
class _File:
    """One JSON file's content, sorted."""

    path: str
    images: list[dict[str, Any]]
    drawn: dict[str, list[dict[str, Any]]]
    """By the image's id."""
    categories: dict[str, str]
    split: Split | None


class CocoReader(AnnotatedReader):
    """See the module."""

    name = "coco"
    title = "COCO JSON: polygons, run-length masks, boxes"

    def recognises(self, tree: SourceTree) -> bool:
        for _, data in first_bytes(tree, files_ending(tree, ".json")):
            # a file that breaks off is recognised too: its frames must not be taken as if nobody had annotated them
            if (
                data.lstrip(b"\xef\xbb\xbf \r\n\t").startswith(b"{")
                and _IMAGES.search(data)
                and _FILE_NAME.search(data)
            ):
                return True
        return False

    def frames(self, tree: SourceTree, ledger: Ledger) -> Iterator[ImportedFrame]:
        images = NamedImages(tree)
        files = _files(tree, ledger)
        require_some(len(files), tree, "COCO JSON with images and annotations", ledger)
        require_classes(self.classes, {name for file in files for name in file.categories.values()})
        for file in files:
            used = {_category(file, each) for drawn in file.drawn.values() for each in drawn}
            classes = PolypClasses(self.classes, used)
            for image in file.images:
                try:
                    yield self._frame(tree, images, file, image, classes)
                except DataError as error:
                    ledger.leave_out(f"{file.path} image {text(image.get('id'))}", error)
        yield from never_annotated(tree, images)

    def _frame(
        self,
        tree: SourceTree,
        images: NamedImages,
        file: _File,
        image: dict[str, Any],
        classes: PolypClasses,
    ) -> ImportedFrame:
        notes: list[Remark] = []
        path = images.find(text(image.get("file_name")), beside=file.path)
        sheet = Sheet(path, size_px(image.get("width"), image.get("height")))
        drawn = [
            Drawn(shape_of(each, sheet), _category(file, each), number(each.get("iscrowd")) == 1)
            for each in _distinct(file.drawn.get(text(image.get("id")), []), notes)
        ]
        label = label_of(drawn, sheet, classes, notes, empty=self.unannotated)
        facts = facts_of({**({"split": file.split.value} if file.split else {}), **image}, path)
        return ImportedFrame(
            images.names[path],
            path,
            partial(read_picture, tree, path),
            label,
            facts.patient,
            facts.sequence,
            split=facts.split,
            mode=facts.mode,
            remarks=tuple(notes),
        )


def _files(tree: SourceTree, ledger: Ledger) -> list[_File]:
    found = []
    for path in files_ending(tree, ".json"):
        try:
            value = mapping(read_json(tree, path))
        except DataError as error:
            ledger.leave_out(path, error)
            continue
        if isinstance(value.get("images"), list) and isinstance(value.get("annotations"), list):
            found.append(_sorted(path, value, ledger))
    return found


def _sorted(path: str, value: dict[str, Any], ledger: Ledger) -> _File:
    """Pictures with an id of their own, and each annotation under its picture's."""
    kept: dict[str, dict[str, Any]] = {}
    for image in mappings(value["images"]):
        image_id = text(image.get("id"))
        if not image_id or image_id in kept:
            what = (
                f"image id '{image_id}' ({text(image.get('file_name'))}) is missing or used before; the first counts."
            )
            ledger.leave_out(path, DataError("E_ID_TWICE", what, fix="give each image an id of its own."))
            continue
        kept[image_id] = image
    drawn: defaultdict[str, list[dict[str, Any]]] = defaultdict(list)
    for annotation in mappings(value["annotations"]):
        image_id = text(annotation.get("image_id"))
        if image_id in kept:
            drawn[image_id].append(annotation)
            continue
        what = f"annotation '{text(annotation.get('id'))}' belongs to image '{image_id}', which is not listed."
        ledger.leave_out(path, DataError("E_ANNOTATION_ORPHAN", what, fix="export images and annotations together."))
    categories = {text(each.get("id")): text(each.get("name")) for each in mappings(value.get("categories"))}
    words = re.findall(r"[a-z]+", path.rsplit("/", 1)[-1].casefold())
    split = next(filter(None, map(split_named, words)), None)
    return _File(path, list(kept.values()), dict(drawn), categories, split)


def _distinct(annotations: list[dict[str, Any]], notes: list[Remark]) -> list[dict[str, Any]]:
    """Without exact repetitions, which would count a lesion twice."""
    kept: list[dict[str, Any]] = []
    for annotation in annotations:
        if any(_content(annotation) == _content(other) for other in kept):
            notes.append(Remark("W_ANNOTATION_TWICE", "a polyp is annotated twice in the same way; once counts."))
        else:
            kept.append(annotation)
    return kept


def _content(annotation: dict[str, Any]) -> tuple[Any, ...]:
    return tuple(annotation.get(key) for key in ("category_id", "bbox", "segmentation"))


def _category(file: _File, annotation: dict[str, Any]) -> str:
    category = text(annotation.get("category_id"))
    return file.categories.get(category, category)
