"""Results of a Label Studio annotation as shapes, in px of the picture that was annotated."""

from __future__ import annotations

from functools import partial
from typing import Any

from polypda.importing.annotations.brush_masks import brush_mask
from polypda.importing.annotations.drawn_labels import Drawn
from polypda.importing.annotations.json_values import items, mapping, mappings, number, size_px, text
from polypda.importing.annotations.shapes import (
    Box,
    Ellipse,
    Painted,
    Polygon,
    Shape,
    Unpaintable,
    ring_of_pairs,
    turned_box,
)
from polypda.importing.contract import MaskPixels

_KINDS = ("brush", "polygon", "rectangle", "ellipse", "keypoint", "vector", "bitmask")


def drawn_in(annotation: dict[str, Any], where: str) -> list[Drawn]:
    """The shapes with their classes. A class may stand in the shape's own result or in another with the same id."""
    results = mappings(annotation.get("result"))
    labels: dict[str, str] = {}
    for result in results:
        named = _labels(result)
        if named:
            labels.setdefault(text(result.get("id")), named)
    drawn = []
    for result in results:
        kind = text(result.get("type"))
        if kind.removesuffix("labels") in _KINDS:
            label = _labels(result) or labels.get(text(result.get("id")), "")
            drawn.append(Drawn(_shape(kind.removesuffix("labels"), result, where), label))
    return drawn


def choices(annotation: dict[str, Any]) -> list[str]:
    """What was ticked for the whole picture."""
    return [
        text(choice)
        for result in mappings(annotation.get("result"))
        for choice in items(mapping(result.get("value")).get("choices"))
    ]


def turned_picture(annotation: dict[str, Any]) -> bool:
    """Whether the annotator had turned the picture."""
    return any(number(result.get("image_rotation", 0)) != 0 for result in mappings(annotation.get("result")))


def drawn_on(result: dict[str, Any]) -> tuple[int, int] | None:
    """(height, width) of the picture as the result tells it."""
    return size_px(result.get("original_width"), result.get("original_height"))


def _labels(result: dict[str, Any]) -> str:
    value = mapping(result.get("value"))
    names = [text(name) for key in value if key.endswith("labels") for name in items(value[key])]
    return next(filter(None, names), "")


def _shape(kind: str, result: dict[str, Any], where: str) -> Shape:
    value, size = mapping(result.get("value")), drawn_on(result)
    if size is None:
        return Unpaintable("a shape without the picture's size")
    height, width = size
    if kind == "brush" and text(value.get("format")) == "rle":
        return Painted(partial(_brush, items(value.get("rle")), where), size)
    if kind == "polygon":
        return Polygon((ring_of_pairs(value.get("points")) * (width / 100, height / 100),))
    x, y = number(value.get("x")) * width / 100, number(value.get("y")) * height / 100
    turned_deg = number(value.get("rotation", 0))
    if kind == "rectangle":
        across, down = number(value.get("width")) * width / 100, number(value.get("height")) * height / 100
        if turned_deg:
            return turned_box(x, y, across, down, turned_deg, about_centre=False)
        return Box(x, y, x + across, y + down)
    if kind == "ellipse":
        radius_x, radius_y = number(value.get("radiusX")) * width / 100, number(value.get("radiusY")) * height / 100
        return Ellipse(x, y, radius_x, radius_y, turned_deg)
    return Unpaintable(kind)


def _brush(stream: list[Any], where: str, size: tuple[int, int]) -> MaskPixels:
    return brush_mask(stream, size, where)
