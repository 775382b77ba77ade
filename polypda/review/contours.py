"""Masks as SVG paths in native pixels, drawn by the rules of :mod:`polypda.reporting.overlays`."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray
from skimage.measure import approximate_polygon

from polypda.reporting.overlays.drawing import CASING, CASING_OPACITY, Outline, Stroke, mask_outlines
from polypda.reporting.overlays.frame_overlay import AFTER, BEFORE, FIELD_EDGE, REFERENCE

TOLERANCE_PX = 0.35
"""How far a path may leave the outline: less than half a native pixel."""


def svg_path(outlines: list[Outline]) -> str:
    """Closed outlines as the ``d`` of one path; pixel corners at whole numbers, tenths of a pixel. "" for none."""
    return "".join(_ring(outline) for outline in outlines)


def mask_path(mask: NDArray[np.bool_]) -> str:
    """The edge of a bool H×W mask, holes too."""
    return svg_path(mask_outlines(mask))


def _ring(outline: Outline) -> str:
    points = approximate_polygon(outline, TOLERANCE_PX)
    points = points if len(points) >= 4 else outline
    texts = [f"{x:g} {y:g}" for x, y in np.round(points[:-1] + 0.5, 1)]
    return f"M{'L'.join(texts)}Z"


def stroke_rules() -> dict[str, Any]:
    """How the page draws each line, in screen pixels: the strokes of the overlays, in the order of drawing."""
    return {
        "casing": {"colour": _hex(CASING), "opacity": CASING_OPACITY},
        "field": _rule(FIELD_EDGE),
        "reference": _rule(REFERENCE),
        "after": _rule(AFTER),
        "before": _rule(BEFORE),
    }


def _rule(stroke: Stroke) -> dict[str, Any]:
    return {
        "colour": _hex(stroke.colour),
        "width": stroke.width_px,
        "casing": stroke.casing_px,
        "dash": [] if stroke.dash_px is None else [stroke.dash_px, stroke.gap_px],
    }


def _hex(colour: tuple[int, int, int]) -> str:
    return "#{:02x}{:02x}{:02x}".format(*colour)
