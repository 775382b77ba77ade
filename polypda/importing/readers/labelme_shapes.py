"""LabelMe's shapes: what is drawn, and the holes that are cut out of it (see the reader)."""

from __future__ import annotations

import base64
import binascii
import re
from functools import partial
from typing import Any

import numpy as np

from polypda.cohorts.stored_pixels import decode_stored
from polypda.errors import DataError
from polypda.importing.annotations.drawn_labels import Sheet
from polypda.importing.annotations.json_values import text
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
from polypda.importing.contract import MaskPixels

_HOLE = re.compile(r"\b(hole|holes)\b|洞|孔")


def is_hole(shape: dict[str, Any]) -> bool:
    """Whether a shape's label says that it is a hole in a polyp."""
    return _HOLE.search(text(shape.get("label")).casefold()) is not None


def shape_of(shape: dict[str, Any], sheet: Sheet) -> Shape:
    """What one entry of ``shapes`` draws."""
    kind = text(shape.get("shape_type")) or "polygon"
    points = ring_of_pairs(shape.get("points"))
    if kind == "polygon":
        return Polygon((points,)) if len(points) else Unpaintable(kind)
    if kind in ("rectangle", "oriented_rectangle") and len(points) in (2, 4):  # turned: the upright box around it
        (x0, y0), (x1, y1) = points.min(axis=0), points.max(axis=0)
        return Box(float(x0), float(y0), float(x1), float(y1))
    if kind == "circle" and len(points) == 2:
        radius = float(np.hypot(*(points[1] - points[0])))
        return Ellipse(float(points[0, 0]), float(points[0, 1]), radius, radius)
    if kind == "mask" and len(points) == 2 and sheet.size is not None and np.isfinite(points).all():
        corner = (round(float(points[0, 0])), round(float(points[0, 1])))
        return Painted(partial(_stamp, text(shape.get("mask")), corner, sheet.origin), sheet.size)
    return Unpaintable(kind)


def _stamp(encoded: str, corner: tuple[int, int], origin: str, size: tuple[int, int]) -> MaskPixels:
    """A ``mask`` shape: a PNG of 0 and 1 (or 255) whose upper left pixel lies at ``corner`` (x, y)."""
    try:
        stamp = decode_stored(base64.b64decode(encoded, validate=True), origin, "E_MASK").pixels
    except (binascii.Error, ValueError) as error:
        what = f"the painted mask is no base64 ({error})."
        raise DataError("E_MASK_UNREADABLE", what, where=origin, fix="export the annotation again.") from error
    stamp = stamp if stamp.ndim == 2 else stamp.max(axis=2)
    x, y = corner
    mask = np.zeros(size, np.uint8)
    if x < 0 or y < 0 or x + stamp.shape[1] > size[1] or y + stamp.shape[0] > size[0]:
        what = f"the painted mask of {stamp.shape[1]}×{stamp.shape[0]} at ({x}, {y}) leaves the frame."
        raise DataError("E_ANNOTATION_SIZE", what, where=origin, fix="find the picture that was annotated.")
    mask[y : y + stamp.shape[0], x : x + stamp.shape[1]] = stamp > 0
    return mask


def without_holes(holes: list[tuple[str, Shape]], group: str, shape: Shape, sheet: Sheet) -> Shape:
    """A region with the holes of its group cut out; a hole that cannot be painted makes the polyp unreadable."""
    own = [hole for hole_group, hole in holes if hole_group in ("", group)]
    if not own or not isinstance(shape, Region) or shape.broken() or sheet.size is None:
        return shape
    regions = [hole for hole in own if isinstance(hole, Region) and not hole.broken()]
    if len(regions) < len(own):
        return Unpaintable("hole")

    def decode(size: tuple[int, int]) -> MaskPixels:
        mask = shape.pixels(size)
        for hole in regions:
            mask &= 1 - hole.pixels(size)
        return mask

    return Painted(decode, sheet.size)
