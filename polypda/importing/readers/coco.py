"""COCO: one JSON file (or one for each split) with ``images``, ``annotations`` and ``categories``.

* ``segmentation`` as polygons (several are one polyp in parts, their union), as run lengths (a list or COCO's text,
  column by column), or none: then ``bbox`` [x, y, width, height] is all there is, and the frame has boxes. A polygon
  that is the upright rectangle of its ``bbox`` is a box as well: exporters write these for what was drawn as a box.
* ``iscrowd`` regions are polyp.
* COCO lists each picture of a task, looked at or not. One without annotations is therefore taken without a label,
  unless ``-O unannotated=negative`` says that everything was looked at.
* Captions and other files that draw nothing are passed over. What a model predicted (annotations with a ``score``) is
  no ground truth: a file of nothing else is left out, and of a mixed file the predicted shapes.
* A picture that several files list is taken from the one that draws on it.
* A split is taken from the JSON's name (``train.json``, ``instances_val2017.json``); patient, sequence and mode from
  extra keys of the images.
"""

from __future__ import annotations

import math
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
from polypda.importing.contract import ImportedFrame, Ledger, Remark, SourceTree, UnknownLabel
from polypda.importing.images.pictures import read_picture
from polypda.importing.readers.annotated import (
    AnnotatedReader,
    files_ending,
    first_bytes,
    never_annotated,
    require_some,
)
from polypda.importing.readers.coco_shapes import shape_of

PREDICTED = "E_ANNOTATION_PREDICTION"
"""A file whose annotations are a model's."""
_IMAGES = re.compile(rb'"images"\s*:\s*\[')
_FILE_NAME = re.compile(rb'"file_name"\s*:')


@dataclass(frozen=True)
class _File:
    """One JSON file's content, sorted."""

    path: str
    images: list[dict[str, Any]]
    drawn: dict[str, list[dict[str, Any]]]
    """By the image's id."""
    predicted: frozenset[str]
    """Ids of images on which a model's shapes lie, which do not count."""
    categories: dict[str, str]
    split: Split | None
    subset: str
    """What the JSON's name tells of the folder of its pictures, as tools write it: ``instances_Train.json``."""


class CocoReader(AnnotatedReader):
    """See the module."""

    name = "coco"
    title = "COCO JSON: polygons, run-length masks, boxes"

    def recognises(self, tree: SourceTree) -> bool:
        return any(
            data.lstrip(b"\xef\xbb\xbf \r\n\t").startswith(b"{")
            and _IMAGES.search(data)
            and _FILE_NAME.search(data)
            and _may_be_ground_truth(tree, path)
            for path, data in first_bytes(tree, files_ending(tree, ".json"))
        )

    def frames(self, tree: SourceTree, ledger: Ledger) -> Iterator[ImportedFrame]:
        images = NamedImages(tree)
        files = _files(tree, ledger)
        require_some(len(files), tree, "COCO JSON with images and annotations", ledger)
        require_classes(self.classes, {name for file in files for name in file.categories.values()})
        # of the whole export: one file may hold an instrument alone
        used = {_category(file, each) for file in files for drawn in file.drawn.values() for each in drawn}
        classes = PolypClasses(self.classes, used)
        for file, image in _drawn_first(files):
            try:
                yield self._frame(tree, images, file, image, classes)
            except DataError as error:
                listed_alone = len(files) > 1 and text(image.get("id")) not in file.drawn
                if error.code != "E_IMAGE_TWICE" or not listed_alone:
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
        written = "/".join(filter(None, (file.subset, text(image.get("file_name")))))
        path = images.find(written, beside=file.path)
        sheet = Sheet(path, size_px(image.get("width"), image.get("height")))
        drawn = [
            Drawn(shape_of(each, sheet), _category(file, each), number(each.get("iscrowd")) == 1)
            for each in _distinct(file.drawn.get(text(image.get("id")), []), notes)
        ]
        predicted = text(image.get("id")) in file.predicted
        if predicted:
            notes.append(Remark("W_PREDICTION", "shapes with a score are a model's, no ground truth: passed over."))
        label = label_of(drawn, sheet, classes, notes, empty=UnknownLabel() if predicted else self.unannotated)
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
            patient_by=facts.patient_by,
            remarks=tuple(notes),
        )


def _files(tree: SourceTree, ledger: Ledger) -> list[_File]:
    found = []
    for path in files_ending(tree, ".json"):
        try:
            value = mapping(read_json(tree, path))
            if not _is_listing(value):
                continue
            annotations = mappings(value["annotations"])
            if annotations and not any(map(_draws, annotations)):
                what = "its annotations draw nothing (captions or the like): passed over."
                ledger.remark(path, "N_ANNOTATION_UNDRAWN", what)
                continue
            if _is_prediction(annotations):
                what = "all its annotations have a score: what a model predicted is no ground truth."
                fix = "export what people drew; where they have checked every shape, take the scores out."
                raise DataError(PREDICTED, what, where=path, fix=fix)
        except DataError as error:
            ledger.leave_out(path, error)
            continue
        if annotations and all(map(_has_score, annotations)):
            ledger.remark(path, "W_PREDICTION", "every annotation has a score of 1: taken as what people drew.")
        found.append(_sorted(path, value, ledger))
    return found


def _may_be_ground_truth(tree: SourceTree, path: str) -> bool:
    """Whether a file is COCO with something drawn by people; a file that breaks off counts, since its frames must not
    be taken as if nobody had annotated them."""
    try:
        value = mapping(read_json(tree, path))
    except DataError:
        return True
    annotations = mappings(value.get("annotations"))
    drawn = not annotations or any(map(_draws, annotations))
    return _is_listing(value) and drawn and not _is_prediction(annotations)


def _is_listing(value: dict[str, Any]) -> bool:
    return isinstance(value.get("images"), list) and isinstance(value.get("annotations"), list)


def _draws(annotation: dict[str, Any]) -> bool:
    """Whether an annotation is of a place; one that says nothing at all is a damaged one of a polyp."""
    return bool({"bbox", "segmentation"} & annotation.keys()) or not {"caption", "segments_info"} & annotation.keys()


def _has_score(annotation: dict[str, Any]) -> bool:
    return math.isfinite(number(annotation.get("score")))


def _is_prediction(annotations: list[dict[str, Any]]) -> bool:
    """Whether a model made every annotation: all have a score, and not just 1, as some exporters write for people."""
    scored = bool(annotations) and all(map(_has_score, annotations))
    return scored and any(number(each["score"]) != 1 for each in annotations)


def _drawn_first(files: list[_File]) -> Iterator[tuple[_File, dict[str, Any]]]:
    """Every picture of every file; of several files those pictures first that something is drawn on."""
    listed = [(file, image) for file in files for image in file.images]
    if len(files) > 1:
        listed.sort(key=lambda each: text(each[1].get("id")) not in each[0].drawn)
    return iter(listed)


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
    predicted: set[str] = set()
    annotations = mappings(value["annotations"])
    mixed = not all(map(_has_score, annotations))
    for annotation in annotations:
        image_id = text(annotation.get("image_id"))
        if mixed and _has_score(annotation) and number(annotation["score"]) != 1:
            predicted.add(image_id)
            continue
        if image_id in kept:
            drawn[image_id].append(annotation)
            continue
        what = f"annotation '{text(annotation.get('id'))}' belongs to image '{image_id}', which is not listed."
        ledger.leave_out(path, DataError("E_ANNOTATION_ORPHAN", what, fix="export images and annotations together."))
    categories = {text(each.get("id")): text(each.get("name")) for each in mappings(value.get("categories"))}
    stem = path.rsplit("/", 1)[-1].rpartition(".")[0]
    split = next(filter(None, map(split_named, re.findall(r"[a-z]+", stem.casefold()))), None)
    subset = stem.removeprefix("instances_") if stem.startswith("instances_") else ""
    return _File(path, list(kept.values()), dict(drawn), frozenset(predicted), categories, split, subset)


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
