"""COCO's segmentations and boxes as shapes (see the reader)."""

from __future__ import annotations

from typing import Any

import numpy as np

from polypda.errors import DataError
from polypda.importing.annotations.drawn_labels import Sheet
from polypda.importing.annotations.json_values import items, number, size_px
from polypda.importing.annotations.polygons import Ring
from polypda.importing.annotations.run_lengths import coco_mask
from polypda.importing.annotations.shapes import (
    Box,
    Painted,
    Polygon,
    Shape,
    Unpaintable,
    ring_of_flat,
    ring_of_pairs,
)
from polypda.importing.contract import MaskPixels


def shape_of(annotation: dict[str, Any], sheet: Sheet) -> Shape:
    """What one annotation draws: its segmentation, or where it has none its box."""
    segmentation = annotation.get("segmentation")
    box = _box(annotation)
    if isinstance(segmentation, dict):
        return _painted(segmentation, sheet)
    rings = _rings(segmentation)
    if rings is None:
        return Unpaintable("a segmentation that is no outline")
    if not rings:
        return box or Unpaintable("nothing")
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


def _painted(segmentation: dict[str, Any], sheet: Sheet) -> Shape:
    counts, told = segmentation.get("counts"), items(segmentation.get("size"))
    drawn_on = size_px(told[1], told[0]) if len(told) == 2 else None
    if drawn_on is None:
        return Unpaintable("run lengths without a size")

    def decode(size: tuple[int, int]) -> MaskPixels:
        if size != drawn_on:
            what = f"a mask of {drawn_on[1]}×{drawn_on[0]} px, but the picture has {size[1]}×{size[0]}."
            fix = "find the annotation of this very picture."
            raise DataError("E_ANNOTATION_SIZE", what, where=sheet.origin, fix=fix)
        return coco_mask(counts, size, sheet.origin)

    return Painted(decode, drawn_on)


def _box(annotation: dict[str, Any]) -> Box | None:
    values = [number(value) for value in items(annotation.get("bbox"))]
    if len(values) != 4:
        return None
    x, y, width, height = values
    return Box(x, y, x + width, y + height)


def _is_box(polygon: Polygon, box: Box) -> bool:
    """Whether a polygon is nothing but its own upright rectangle, which is also the annotation's bbox."""
    ring = polygon.rings[0]
    if len(polygon.rings) > 1 or len(ring) not in (4, 5) or polygon.broken() or box.broken():
        return False
    x0, y0, x1, y1 = polygon.corners()
    upright = {(x0, y0), (x0, y1), (x1, y0), (x1, y1)} == set(map(tuple, ring.tolist()))
    return upright and np.allclose(polygon.corners(), box.corners(), atol=0.5)
