"""CVAT's drawing elements as shapes."""

from __future__ import annotations

from functools import partial
from xml.etree.ElementTree import Element

from polypda.importing.annotations.json_values import number, whole
from polypda.importing.annotations.run_lengths import cvat_mask
from polypda.importing.annotations.shapes import (
    Box,
    Ellipse,
    Painted,
    Polygon,
    Shape,
    Unpaintable,
    ring_of_flat,
    turned_box,
)
from polypda.importing.contract import MaskPixels

SHAPES = ("box", "polygon", "mask", "ellipse", "polyline", "points", "cuboid", "skeleton")
"""The elements that draw something; ``tag`` says something of the whole picture."""


def shape_of(element: Element, where: str, size: tuple[int, int] | None) -> Shape:
    """What an element draws. where: the picture, for messages; size: its (height, width) as the XML says it."""
    if element.tag == "box":
        return _box(element)
    if element.tag == "polygon":
        values = element.get("points", "").replace(";", ",").split(",")
        return Polygon((ring_of_flat(values),))
    if element.tag == "ellipse":
        x, y, across, down = (number(element.get(name)) for name in ("cx", "cy", "rx", "ry"))
        return Ellipse(x, y, across, down, _turned_deg(element))
    if element.tag == "mask" and size is not None:
        return _mask(element, where, size)
    return Unpaintable(element.tag)


def _box(element: Element) -> Box:
    x0, y0, x1, y1 = (number(element.get(name)) for name in ("xtl", "ytl", "xbr", "ybr"))
    turned = _turned_deg(element)
    return turned_box(x0, y0, x1 - x0, y1 - y0, turned, about_centre=True) if turned else Box(x0, y0, x1, y1)


def _mask(element: Element, where: str, size: tuple[int, int]) -> Shape:
    left, top, width, height = (whole(element.get(name)) for name in ("left", "top", "width", "height"))
    if left is None or top is None or width is None or height is None:
        return Unpaintable("a mask without its window")
    counts = [whole(run) for run in element.get("rle", "").split(",")]
    return Painted(partial(_decode, counts, (left, top, width, height), where), size)


def _decode(
    counts: list[int | None], window: tuple[int, int, int, int], where: str, size: tuple[int, int]
) -> MaskPixels:
    return cvat_mask(counts, window, size, where)


def _turned_deg(element: Element) -> float:
    return number(element.get("rotation", "0"))
