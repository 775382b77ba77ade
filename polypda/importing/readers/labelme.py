"""LabelMe: one JSON file for each frame, with ``shapes`` and the image embedded (``imageData``) or named.

* Polygons and circles are regions, rectangles are boxes; ``mask`` shapes (a small PNG and its corner) are pixels.
* A shape whose label says that it is a hole (``hole``, ``洞``, ``孔``) is cut out of the polyps of its group, or of all
  where it has no group.
* The file beside goes before the embedded image, which is a copy of it.
* LabelMe writes a file only when somebody saves, so a file without a polyp means that there is none. Flags tell mode,
  patient and so on.
"""

from __future__ import annotations

import base64
import binascii
import re
from collections.abc import Iterator
from dataclasses import replace
from functools import partial
from typing import Any

import numpy as np

from polypda.cohorts.image_files import kind_of
from polypda.cohorts.stored_pixels import decode_stored
from polypda.errors import DataError
from polypda.importing.annotations.annotated import AnnotatedImage, Drawn, FrameFacts, facts_in
from polypda.importing.annotations.annotation_files import mapping, mappings, read_json, size_px, text
from polypda.importing.annotations.shapes import (
    Box,
    Ellipse,
    Painted,
    Polygon,
    Region,
    Shape,
    Unpaintable,
    ring_of_pairs,
)
from polypda.importing.contract import DecodedImage, Ledger, MaskPixels, NegativeLabel, SourceTree
from polypda.importing.images.decoded_image import image_of
from polypda.importing.readers.annotated import (
    AnnotatedReader,
    Annotation,
    NamedImages,
    first_bytes,
    sound_files,
    wished_names,
)
from polypda.importing.readers.folder_words import mode_of

_SHAPES = re.compile(rb'"shapes"\s*:\s*\[')
_IMAGE = re.compile(rb'"image(Path|Data)"\s*:')
_HOLE = re.compile(r"\b(hole|holes)\b|洞|孔")
Size = tuple[int, int] | None
"""(height, width) of the image as the file says it."""


class LabelMeReader(AnnotatedReader):
    """See the module."""

    name = "labelme"
    title = "LabelMe JSON files beside or around the pictures"
    what = "a LabelMe JSON file"
    known_options = ("classes",)

    def recognises(self, tree: SourceTree) -> bool:
        return any(_SHAPES.search(data) and _IMAGE.search(data) for _, data in first_bytes(tree, ".json"))

    def annotation(self, tree: SourceTree, images: NamedImages, ledger: Ledger) -> Annotation:
        found = list(_annotated(tree, ledger))
        names = wished_names([image.file for image in found])
        return Annotation(len(found), [replace(image, frame=names[image.file]) for image in found])


def _annotated(tree: SourceTree, ledger: Ledger) -> Iterator[AnnotatedImage]:
    for path, content in sound_files(tree, ".json", read_json, ledger):
        value = mapping(content)
        if not (isinstance(value.get("shapes"), list) and ("imagePath" in value or "imageData" in value)):
            continue
        size = size_px(value.get("imageWidth"), value.get("imageHeight"))
        holes: list[tuple[str, Shape]] = []
        drawn: list[tuple[str, Shape, str]] = []
        for each in mappings(value["shapes"]):
            group, label, shape = text(each.get("group_id")), text(each.get("label")), _shape(each, path, size)
            if _HOLE.search(label.casefold()):
                holes.append((group, shape))
            else:
                drawn.append((group, shape, label))
        embedded = isinstance(value.get("imageData"), str) and bool(value["imageData"])
        yield AnnotatedImage(
            names=(text(value.get("imagePath")),),
            file=path,
            origin=path,
            shapes=tuple(Drawn(_without_holes(holes, group, shape, size), label) for group, shape, label in drawn),
            size=size,
            empty=NegativeLabel(),
            facts=_facts(mapping(value.get("flags"))),
            stands_in=(path, partial(_embedded, tree, path)) if embedded else None,
        )


def _embedded(tree: SourceTree, path: str) -> DecodedImage:
    """The image within a file, read again when it is due: thousands of them do not fit into memory."""
    try:
        data = base64.b64decode(mapping(read_json(tree, path))["imageData"], validate=True)
    except (binascii.Error, ValueError) as error:
        what = f"the embedded picture is no base64 ({error})."
        raise DataError("E_IMAGE_UNREADABLE", what, where=path, fix="lay the picture file beside it.") from error
    kind = kind_of(data)
    return image_of(data, path + (kind.suffixes[0] if kind else ""))


def _facts(flags: dict[str, Any]) -> FrameFacts:
    """LabelMe's flags are switches, so a mode is a flag of its own name (``NBI``: true)."""
    switched = next((mode_of(name) for name, on in flags.items() if on is True and mode_of(name)), None)
    facts = facts_in(flags)
    return replace(facts, mode=facts.mode or switched)


def _shape(shape: dict[str, Any], origin: str, size: Size) -> Shape:
    """What one entry of ``shapes`` draws."""
    kind = text(shape.get("shape_type")) or "polygon"
    points = ring_of_pairs(shape.get("points"))
    if kind == "polygon":
        return Polygon((points,)) if len(points) else Unpaintable()
    if kind in ("rectangle", "oriented_rectangle") and len(points) in (2, 4):  # turned: the upright box around it
        return Box(*map(float, (*points.min(axis=0), *points.max(axis=0))))
    if kind == "circle" and len(points) == 2:
        radius = float(np.hypot(*(points[1] - points[0])))
        return Ellipse(float(points[0, 0]), float(points[0, 1]), radius, radius)
    if kind == "mask" and len(points) == 2 and size is not None and np.isfinite(points).all():
        corner = (round(float(points[0, 0])), round(float(points[0, 1])))
        return Painted(partial(_stamp, text(shape.get("mask")), corner, origin), size)
    return Unpaintable()


def _stamp(encoded: str, corner: tuple[int, int], origin: str, size: tuple[int, int]) -> MaskPixels:
    """A ``mask`` shape: a PNG of 0 and 1 (or 255) whose upper left pixel lies at ``corner`` (x, y)."""
    try:
        stamp = decode_stored(base64.b64decode(encoded, validate=True), origin, "E_MASK").pixels
    except (binascii.Error, ValueError) as error:
        what = f"the painted mask is no base64 ({error})."
        raise DataError("E_MASK_UNREADABLE", what, where=origin, fix="export the annotation again.") from error
    stamp = stamp if stamp.ndim == 2 else stamp.max(axis=2)
    (x, y), (height, width) = corner, stamp.shape
    if x < 0 or y < 0 or x + width > size[1] or y + height > size[0]:
        what = f"the painted mask of {width}×{height} at ({x}, {y}) leaves the frame."
        raise DataError("E_ANNOTATION_SIZE", what, where=origin, fix="find the picture that was annotated.")
    mask = np.zeros(size, np.uint8)
    mask[y : y + height, x : x + width] = stamp > 0
    return mask


def _without_holes(holes: list[tuple[str, Shape]], group: str, shape: Shape, size: Size) -> Shape:
    """A region with the holes of its group cut out; a hole that cannot be painted makes the polyp unreadable."""
    inside = [hole for hole_group, hole in holes if hole_group in ("", group)]
    if not inside or not isinstance(shape, Region) or shape.broken() or size is None:
        return shape
    regions = [hole for hole in inside if isinstance(hole, Region) and not hole.broken()]
    if len(regions) < len(inside):
        return Unpaintable()

    def decode(size: tuple[int, int]) -> MaskPixels:
        mask = shape.pixels(size)
        for hole in regions:
            mask &= 1 - hole.pixels(size)
        return mask

    return Painted(decode, size)
