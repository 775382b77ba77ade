"""COCO: one JSON file (or one for each split) with ``images``, ``annotations`` and ``categories``.

* ``segmentation`` as polygons (several are one polyp in parts, their union), as run lengths (a list or COCO's text,
  column by column), or none: then ``bbox`` [x, y, width, height] is all there is, and the frame has boxes. A polygon
  that is the upright rectangle of its ``bbox`` is a box as well: exporters write these for what was drawn as a box.
* ``iscrowd`` regions are polyp.
* COCO lists each image of a task, looked at or not. One without annotations is therefore taken without a label,
  unless ``-O unannotated=negative`` says that everything was looked at.
* Captions and other files that draw nothing are passed over. What a model predicted (annotations with a ``score``) is
  no ground truth: a file of nothing else is left out, and of a mixed file the predicted shapes.
* An image that several files list is taken from the one that draws on it.
* A split is taken from the JSON's name (``train.json``, ``instances_val2017.json``); patient, sequence and mode from
  extra keys of the images.
"""

from __future__ import annotations

import math
import re
from collections import defaultdict
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from polypda.cohorts.frames import Split
from polypda.errors import DataError
from polypda.importing.annotations.annotated import AnnotatedImage, Drawn, facts_in
from polypda.importing.annotations.annotation_files import (
    coco_mask,
    items,
    mapping,
    mappings,
    number,
    read_json,
    size_px,
    text,
)
from polypda.importing.annotations.shapes import (
    Box,
    Painted,
    Polygon,
    Ring,
    Shape,
    Unpaintable,
    ring_of_flat,
    ring_of_pairs,
)
from polypda.importing.contract import Ledger, MaskPixels, Remark, SourceTree, UnknownLabel
from polypda.importing.readers.annotated import (
    AnnotatedReader,
    Annotation,
    NamedImages,
    first_bytes,
    sound_files,
    stem_of,
)
from polypda.importing.readers.folder_words import split_of

_IMAGES = re.compile(rb'"images"\s*:\s*\[')
_FILE_NAME = re.compile(rb'"file_name"\s*:')
CONTENT = ("category_id", "bbox", "segmentation")
Entry = dict[str, Any]
"""An object of ``images`` or of ``annotations``."""


@dataclass(frozen=True)
class _File:
    """One JSON file's content: images by their ids, annotations by their images' ids.

    predicted: ids of images on which a model's shapes lie, which do not count. subset: what the JSON's name tells of
    the folder of its images, as tools write it: ``instances_Train.json``.
    """

    path: str
    categories: dict[str, str]
    split: Split | None
    subset: str
    images: dict[str, Entry] = field(default_factory=dict)
    drawn: defaultdict[str, list[Entry]] = field(default_factory=lambda: defaultdict(list))
    predicted: set[str] = field(default_factory=set)


class CocoReader(AnnotatedReader):
    """See the module."""

    name = "coco"
    title = "COCO JSON: polygons, run-length masks, boxes"
    what = "COCO JSON with images and annotations"

    def recognises(self, tree: SourceTree) -> bool:
        return any(
            data.lstrip(b"\xef\xbb\xbf \r\n\t").startswith(b"{")
            and _IMAGES.search(data)
            and _FILE_NAME.search(data)
            and _may_be_ground_truth(tree, path)
            for path, data in first_bytes(tree, ".json")
        )

    def annotation(self, tree: SourceTree, images: NamedImages, ledger: Ledger) -> Annotation:
        files = list(_files(tree, ledger))
        declared = frozenset(name for file in files for name in file.categories.values())
        listed = [(file, image_id) for file in files for image_id in file.images]
        if len(files) > 1:  # those first that something is drawn on
            listed.sort(key=lambda each: each[1] not in each[0].drawn)
        return Annotation(len(files), (_annotated(*each, several=len(files) > 1) for each in listed), declared)


def _annotated(file: _File, image_id: str, *, several: bool) -> AnnotatedImage:
    """several: whether other files may list the image, too."""
    image = file.images[image_id]
    written = text(image.get("file_name"))
    notes: list[Remark] = []
    drawn = tuple(
        Drawn(_shape(each, written), _category(file, each), number(each.get("iscrowd")) == 1)
        for each in _distinct(file.drawn.get(image_id, []), notes)
    )
    predicted = image_id in file.predicted
    if predicted:
        notes.append(Remark("W_PREDICTION", "shapes with a score are a model's, no ground truth: passed over."))
    return AnnotatedImage(
        names=("/".join(filter(None, (file.subset, written))),),
        file=file.path,
        origin=f"{file.path} image {image_id}",
        shapes=drawn,
        size=size_px(image.get("width"), image.get("height")),
        empty=UnknownLabel() if predicted else None,
        facts=facts_in({**({"split": file.split.value} if file.split else {}), **image}),
        remarks=tuple(notes),
        listed=several and image_id not in file.drawn,
    )


def _files(tree: SourceTree, ledger: Ledger) -> Iterator[_File]:
    for path, value in sound_files(tree, ".json", _listing, ledger):
        if value is None:
            continue
        annotations = mappings(value["annotations"])
        if annotations and not any(map(_draws, annotations)):
            what = "its annotations draw nothing (captions or the like): passed over."
            ledger.remark(path, "N_ANNOTATION_UNDRAWN", what)
            continue
        if annotations and all(map(_has_score, annotations)):
            ledger.remark(path, "W_PREDICTION", "every annotation has a score of 1: taken as what people drew.")
        yield _sorted(path, value, ledger)


def _listing(tree: SourceTree, path: str) -> Entry | None:
    """A file's content; None where it is no COCO. Raises: DataError E_ANNOTATION_PREDICTION."""
    value = mapping(read_json(tree, path))
    if not _is_listing(value):
        return None
    annotations = mappings(value["annotations"])
    if any(map(_draws, annotations)) and _is_prediction(annotations):
        what = "all its annotations have a score: what a model predicted is no ground truth."
        fix = "export what people drew; where they have checked every shape, take the scores out."
        raise DataError("E_ANNOTATION_PREDICTION", what, where=path, fix=fix)
    return value


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


def _is_listing(value: Entry) -> bool:
    return isinstance(value.get("images"), list) and isinstance(value.get("annotations"), list)


def _draws(annotation: Entry) -> bool:
    """Whether an annotation is of a place; one that says nothing at all is a damaged one of a polyp."""
    return bool({"bbox", "segmentation"} & annotation.keys()) or not {"caption", "segments_info"} & annotation.keys()


def _has_score(annotation: Entry) -> bool:
    return math.isfinite(number(annotation.get("score")))


def _is_prediction(annotations: list[Entry]) -> bool:
    """Whether a model made every annotation: all have a score, and not just 1, as some exporters write for people."""
    scored = bool(annotations) and all(map(_has_score, annotations))
    return scored and any(number(each["score"]) != 1 for each in annotations)


def _sorted(path: str, value: Entry, ledger: Ledger) -> _File:
    """Images with an id of their own, and each annotation under its image's."""
    stem = stem_of(path)
    file = _File(
        path=path,
        categories={text(each.get("id")): text(each.get("name")) for each in mappings(value.get("categories"))},
        split=next(filter(None, map(split_of, re.findall(r"[a-z]+", stem.casefold()))), None),
        subset=stem.removeprefix("instances_") if stem.startswith("instances_") else "",
    )
    for image in mappings(value["images"]):
        image_id = text(image.get("id"))
        if image_id and image_id not in file.images:
            file.images[image_id] = image
            continue
        named = f"image id '{image_id}' ({text(image.get('file_name'))})"
        what = f"{named} is missing or used before; the first counts."
        ledger.leave_out(path, DataError("E_ID_TWICE", what, fix="give each image an id of its own."))
    annotations = mappings(value["annotations"])
    mixed = not all(map(_has_score, annotations))
    for annotation in annotations:
        image_id = text(annotation.get("image_id"))
        if mixed and _has_score(annotation) and number(annotation["score"]) != 1:
            file.predicted.add(image_id)
        elif image_id in file.images:
            file.drawn[image_id].append(annotation)
        else:
            what = f"annotation '{text(annotation.get('id'))}' belongs to image '{image_id}', which is not listed."
            fix = "export images and annotations together."
            ledger.leave_out(path, DataError("E_ANNOTATION_ORPHAN", what, fix=fix))
    return file


def _distinct(annotations: list[Entry], notes: list[Remark]) -> list[Entry]:
    """Without exact repetitions, which would count a lesion twice."""
    distinct: list[Entry] = []
    for annotation in annotations:
        if any(all(annotation.get(key) == other.get(key) for key in CONTENT) for other in distinct):
            notes.append(Remark("W_ANNOTATION_TWICE", "a polyp is annotated twice in the same way; once counts."))
        else:
            distinct.append(annotation)
    return distinct


def _category(file: _File, annotation: Entry) -> str:
    category = text(annotation.get("category_id"))
    return file.categories.get(category, category)


def _shape(annotation: Entry, origin: str) -> Shape:
    """What one annotation draws: its segmentation, or where it has none its box."""
    segmentation = annotation.get("segmentation")
    corner_and_size = [number(value) for value in items(annotation.get("bbox"))]
    box = None
    if len(corner_and_size) == 4:
        x, y, width, height = corner_and_size
        box = Box(x, y, x + width, y + height)
    if isinstance(segmentation, dict):
        return _painted(segmentation, origin)
    rings = _rings(segmentation)
    if rings is None:
        return Unpaintable()
    if not rings:
        return box or Unpaintable()
    polygon = Polygon(tuple(rings))
    return box if box is not None and _is_box(polygon, box) else polygon


def _rings(segmentation: object) -> list[Ring] | None:
    """The outlines, however deep exporters nest them: x, y, x, y…, pairs of x and y, or lists of these.

    None where something is drawn that is no outline: it must not fall back to its box in silence.
    """
    if segmentation is None or segmentation == "":
        return []
    if not isinstance(segmentation, list):
        return None
    inner = [part for part in segmentation if part != []]
    nested = [isinstance(part, list) for part in inner]
    if not any(nested):
        plain = not any(isinstance(part, dict) for part in inner)
        return ([ring_of_flat(inner)] if inner else []) if plain else None
    if not all(nested):
        return None
    if all(len(part) == 2 and not any(isinstance(value, (list, dict)) for value in part) for part in inner):
        return [ring_of_pairs(inner)]
    found = [_rings(part) for part in inner]
    return None if None in found else [ring for rings in found for ring in rings or []]


def _painted(segmentation: Entry, origin: str) -> Shape:
    counts, written = segmentation.get("counts"), items(segmentation.get("size"))
    drawn_on = size_px(written[1], written[0]) if len(written) == 2 else None
    if drawn_on is None:
        return Unpaintable()

    def decode(size: tuple[int, int]) -> MaskPixels:
        if size != drawn_on:
            what = f"a mask of {drawn_on[1]}×{drawn_on[0]} px, but the picture has {size[1]}×{size[0]}."
            fix = "find the annotation of this very picture."
            raise DataError("E_ANNOTATION_SIZE", what, where=origin, fix=fix)
        return coco_mask(counts, size, origin)

    return Painted(decode, drawn_on)


def _is_box(polygon: Polygon, box: Box) -> bool:
    """Whether a polygon is nothing but its own upright rectangle, which is also the annotation's bbox."""
    ring = polygon.rings[0]
    if len(polygon.rings) > 1 or len(ring) not in (4, 5) or polygon.broken() or box.broken():
        return False
    x0, y0, x1, y1 = polygon.corners()
    upright = {(x0, y0), (x0, y1), (x1, y0), (x1, y1)} == set(map(tuple, ring.tolist()))
    return upright and np.allclose(polygon.corners(), box.corners(), atol=0.5)
