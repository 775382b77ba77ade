"""One frame's figures: size, field of view, colour, fall-off, highlights, sharpness, noise, and those of its label."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace

import cv2
import numpy as np
from numpy.typing import NDArray

from polypda.cohorts.field_of_view import find_field_of_view

BLOCK_PX = 16
KERNEL = np.array([[1, -2, 1], [-2, 4, -2], [1, -2, 1]], np.float32)
TO_SD = math.sqrt(math.pi / 2) / 6
"""Mean absolute answer of the kernel to an SD: its weights' squares sum to 36, and E|x| = SD·√(2/π) for a normal x."""


def noise_sd(grey: NDArray[np.uint8], inside: NDArray[np.bool_]) -> float:
    """SD of the noise in grey levels of uint8 H×W as stored, inside a bool H×W; NaN when no whole block lies inside.

    Immerkær (*Computer Vision and Image Understanding* 64, 1996): the difference of two Laplacians is blind to slopes
    and bends of the image. Taken per block of 16 px, then the median over blocks: vessels, text and highlights fill
    few of them. A recording's compression removes noise, so this speaks of the files, not of the sensor.
    """
    rows, columns = grey.shape[0] // BLOCK_PX, grey.shape[1] // BLOCK_PX
    if not rows or not columns:
        return math.nan
    answer = np.abs(cv2.filter2D(grey, cv2.CV_32F, KERNEL))
    size, covered = (columns, rows), (slice(0, rows * BLOCK_PX), slice(0, columns * BLOCK_PX))
    means = cv2.resize(answer[covered], size, interpolation=cv2.INTER_AREA)
    lit = cv2.resize(inside[covered].astype(np.float32), size, interpolation=cv2.INTER_AREA)
    whole = means[lit > 1 - 1e-3]
    return float(np.median(whole)) * TO_SD if whole.size else math.nan


Map = NDArray[np.uint8]

LONGER_SIDE_PX = 512
"""Frames are reduced to this longer side first, so that scopes of different resolution stand on the same footing."""
RIM_RADIUS, CENTRE_RADIUS = 0.8, 0.4
"""Rim and centre of the field of view, as fractions of the half axes of its bounding box."""
SPECULAR_VALUE, SPECULAR_SATURATION = 240, 50
"""A pixel is a highlight when HSV value exceeds the first and saturation lies below the second (both 0–255)."""
MAP_SIDE = 48
"""Cells along each side of the maps that say where the field of view and the polyps lie."""


@dataclass(frozen=True)
class ImageFigures:
    """A frame without its label. Shares lie in 0–1; L* in 0–100; ``laplacian_sd`` and ``noise_sd`` in grey levels.

    width_px, height_px, noise_sd: of the frame as stored. All else on the frame reduced to 512 px; ``laplacian_sd`` on
    one reduced or enlarged to it. field_found: False where the whole frame was taken. field_fill: of its bounding box
    (rectangle 1, circle π/4). field_aspect: the box's width over its height. field_map: uint8 48×48, by how much
    (0–255) each cell of the frame lies in the field of view.
    """

    width_px: int
    height_px: int
    field_found: bool
    field_share: float
    field_fill: float
    field_aspect: float
    lightness: float
    lightness_sd: float
    a: float
    a_sd: float
    b: float
    b_sd: float
    rim_lightness: float
    centre_lightness: float
    specular_share: float
    laplacian_sd: float
    noise_sd: float
    field_map: Map


@dataclass(frozen=True)
class ReducedImage:
    """A frame at the size of measuring: RGB, its field of view (bool) and L*a*b* (float32), each h×w."""

    image: NDArray[np.uint8]
    inside: NDArray[np.bool_]
    lab: NDArray[np.float32]
    field_found: bool

    def without(self, ignored: NDArray[np.uint8]) -> ReducedImage:
        """The same frame with pixels (uint8 H×W as stored, non-zero) taken out of the field; all are never taken."""
        inside = self.inside & ~(reduce_to_common_size(ignored, cv2.INTER_NEAREST_EXACT) > 0)
        return replace(self, inside=inside) if inside.any() else self


def reduced_image(image: NDArray[np.uint8]) -> ReducedImage:
    """Reduce a frame (uint8 H×W×3, RGB) to a longer side of 512 px at most, and find its field of view there."""
    small = reduce_to_common_size(image, cv2.INTER_AREA)
    view = find_field_of_view(small)
    lab = cv2.cvtColor(small.astype(np.float32) / 255.0, cv2.COLOR_RGB2LAB).astype(np.float32, copy=False)
    return ReducedImage(small, view.mask, lab, view.found)


def image_figures(image: NDArray[np.uint8], reduced: ReducedImage) -> ImageFigures:
    """Measure one frame; ``reduced`` is :func:`reduced_image` of it, which the label's figures share."""
    inside, lab = reduced.inside, reduced.lab
    # OpenCV's sums: NumPy's over a short last axis take twenty times as long
    mean, spread = (values.ravel() for values in cv2.meanStdDev(lab, mask=inside.astype(np.uint8)))
    _, _, box_width, box_height = cv2.boundingRect(inside.astype(np.uint8))
    radius = _radius(inside)
    lightness = lab[..., 0]
    grey = cv2.cvtColor(image, cv2.COLOR_RGB2GRAY).astype(np.uint8, copy=False)
    return ImageFigures(
        width_px=image.shape[1],
        height_px=image.shape[0],
        field_found=reduced.field_found,
        field_share=float(inside.mean()),
        field_fill=float(np.count_nonzero(inside)) / (box_width * box_height),
        field_aspect=box_width / box_height,
        lightness=float(mean[0]),
        lightness_sd=float(spread[0]),
        a=float(mean[1]),
        a_sd=float(spread[1]),
        b=float(mean[2]),
        b_sd=float(spread[2]),
        rim_lightness=_mean(lightness[inside & (radius > RIM_RADIUS)]),
        centre_lightness=_mean(lightness[inside & (radius < CENTRE_RADIUS)]),
        specular_share=float(specular(reduced.image)[inside].mean()),
        laplacian_sd=_laplacian_sd(reduced.image, inside),
        noise_sd=noise_sd(grey, _at_size(inside, grey)),
        field_map=coverage_map(inside),
    )


def size_within(shape: tuple[int, ...], longer_side_px: int) -> tuple[int, int]:
    """Width and height of a frame of ``shape`` (height, width …), reduced to a longer side at most; never enlarged."""
    scale = min(1.0, longer_side_px / max(shape[:2]))
    return max(1, round(shape[1] * scale)), max(1, round(shape[0] * scale))


def reduce_to_common_size(pixels: NDArray[np.uint8], interpolation: int) -> NDArray[np.uint8]:
    """uint8 H×W or H×W×3 with its longer side at 512 px; smaller ones stay as they are."""
    if max(pixels.shape[:2]) <= LONGER_SIDE_PX:
        return pixels
    size = size_within(pixels.shape, LONGER_SIDE_PX)
    return cv2.resize(pixels, size, interpolation=interpolation).astype(np.uint8, copy=False)


def specular(image: NDArray[np.uint8]) -> NDArray[np.bool_]:
    """Highlights of an RGB frame (uint8 H×W×3): bool H×W, True where bright and nearly colourless."""
    hsv = cv2.cvtColor(image, cv2.COLOR_RGB2HSV)
    return np.asarray((hsv[..., 2] > SPECULAR_VALUE) & (hsv[..., 1] < SPECULAR_SATURATION))


def coverage_map(region: NDArray[np.bool_]) -> Map:
    """uint8 48×48: how much (0–255) of each cell a bool h×w region covers."""
    size = (MAP_SIDE, MAP_SIDE)
    return np.asarray(cv2.resize(region.astype(np.uint8) * 255, size, interpolation=cv2.INTER_AREA), np.uint8)


def _at_size(inside: NDArray[np.bool_], grey: NDArray[np.uint8]) -> NDArray[np.bool_]:
    if inside.shape == grey.shape:
        return inside
    size = (grey.shape[1], grey.shape[0])
    return cv2.resize(inside.astype(np.uint8), size, interpolation=cv2.INTER_NEAREST) > 0


def _radius(inside: NDArray[np.bool_]) -> NDArray[np.float32]:
    """Distance from the centre of the field's bounding box, in its half axes; float32 h×w."""
    left, top, width, height = cv2.boundingRect(inside.astype(np.uint8))
    x = (np.arange(inside.shape[1], dtype=np.float32) - (left + (width - 1) / 2)) / max(width / 2, 1.0)
    y = (np.arange(inside.shape[0], dtype=np.float32) - (top + (height - 1) / 2)) / max(height / 2, 1.0)
    return np.hypot(x[None, :], y[:, None])


def _laplacian_sd(image: NDArray[np.uint8], inside: NDArray[np.bool_]) -> float:
    """SD of the Laplacian over the field, on a frame enlarged or reduced to the common size."""
    grey = cv2.cvtColor(image, cv2.COLOR_RGB2GRAY)
    scale = LONGER_SIDE_PX / max(grey.shape)
    if scale > 1.0:
        grey = cv2.resize(grey, None, fx=scale, fy=scale, interpolation=cv2.INTER_LINEAR)
        size = (grey.shape[1], grey.shape[0])
        inside = cv2.resize(inside.astype(np.uint8), size, interpolation=cv2.INTER_NEAREST) > 0
    return float(cv2.meanStdDev(cv2.Laplacian(grey, cv2.CV_32F), mask=inside.astype(np.uint8))[1].item())


def _mean(values: NDArray[np.float32]) -> float:
    return float(values.mean()) if values.size else math.nan


SMALLEST_POLYP_PX = 10
"""Polyp pixels of the reduced frame below which colours are not compared and a component is not counted."""


@dataclass(frozen=True)
class PolypFigures:
    """What a mask, boxes or the statement "no polyp" says of a frame; NaN and None without a polyp.

    polyps: components of the mask (at least 10 px of the reduced frame), or boxes. area: fraction of the field of view
    that they cover. off_centre: distance of their centre of mass from the middle of the field's bounding box, in its
    half axes. contrast_*: polyp − all the rest of the field, in L*a*b*; NaN for boxes, which hold mucosa too.
    location_map: uint8 48×48 over the field's bounding box, how much (0–255) of each cell polyps cover.
    """

    polyps: int
    area: float = math.nan
    off_centre: float = math.nan
    contrast_lightness: float = math.nan
    contrast_a: float = math.nan
    contrast_b: float = math.nan
    location_map: Map | None = None


NO_POLYP = PolypFigures(0)


def mask_figures(reduced: ReducedImage, mask: NDArray[np.uint8]) -> PolypFigures:
    """The figures of a mask, uint8 H×W of the frame as stored, polyp where non-zero."""
    polyp = (reduce_to_common_size(mask, cv2.INTER_NEAREST_EXACT) > 0) & reduced.inside
    count = int(np.count_nonzero(polyp))
    if not count:
        return NO_POLYP
    rest = reduced.inside & ~polyp
    contrast = np.full(3, np.nan)
    if count > SMALLEST_POLYP_PX and rest.any():
        contrast = _mean_lab(reduced.lab, polyp) - _mean_lab(reduced.lab, rest)
    return PolypFigures(
        polyps=_components(polyp),
        **_extent(reduced, polyp),
        contrast_lightness=float(contrast[0]),
        contrast_a=float(contrast[1]),
        contrast_b=float(contrast[2]),
    )


def box_figures(
    reduced: ReducedImage, boxes: Sequence[tuple[float, float, float, float]], shape: tuple[int, ...]
) -> PolypFigures:
    """The figures of boxes (x0, y0, x1, y1 in px, half-open) on a frame of ``shape`` (height, width)."""
    height, width = reduced.inside.shape
    across, down = width / shape[1], height / shape[0]
    union = np.zeros((height, width), bool)
    for x0, y0, x1, y1 in boxes:
        rows = slice(max(0, round(y0 * down)), max(round(y0 * down) + 1, round(y1 * down)))
        union[rows, max(0, round(x0 * across)) : max(round(x0 * across) + 1, round(x1 * across))] = True
    union &= reduced.inside
    if not union.any():
        return PolypFigures(len(boxes))
    return PolypFigures(len(boxes), **_extent(reduced, union))


def _extent(reduced: ReducedImage, polyp: NDArray[np.bool_]) -> dict:
    left, top, width, height = cv2.boundingRect(reduced.inside.astype(np.uint8))
    moments = cv2.moments(polyp.astype(np.uint8), binaryImage=True)
    x = (moments["m10"] / moments["m00"] - (left + (width - 1) / 2)) / max(width / 2, 1.0)
    y = (moments["m01"] / moments["m00"] - (top + (height - 1) / 2)) / max(height / 2, 1.0)
    return {
        "area": float(np.count_nonzero(polyp)) / float(np.count_nonzero(reduced.inside)),
        "off_centre": math.hypot(x, y),
        "location_map": coverage_map(polyp[top : top + height, left : left + width]),
    }


def _mean_lab(lab: NDArray[np.float32], region: NDArray[np.bool_]) -> NDArray[np.float64]:
    return np.asarray(cv2.mean(lab, mask=region.astype(np.uint8))[:3])


def _components(polyp: NDArray[np.bool_]) -> int:
    _, _, stats, _ = cv2.connectedComponentsWithStats(polyp.astype(np.uint8), connectivity=8)
    return int(np.count_nonzero(stats[1:, cv2.CC_STAT_AREA] >= SMALLEST_POLYP_PX))
