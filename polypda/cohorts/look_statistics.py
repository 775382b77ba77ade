"""What a cohort looks like, in numbers: colour, fall-off, sharpness, highlights, and its polyps.

Works on real cohorts and on phantoms alike. Every frame is reduced to a longer side of 512 px first, so that scopes of
different resolution are compared on the same footing. Nothing here reads a file.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import astuple, dataclass

import cv2
import numpy as np
from numpy.typing import NDArray

from polypda.cohorts.field_of_view import find_field_of_view

LONGER_SIDE_PX = 512
RIM_RADIUS, CENTRE_RADIUS = 0.8, 0.4
"""Rim and centre of the field of view, as shares of the half axes of its bounding box."""
SPECULAR_VALUE, SPECULAR_SATURATION = 240, 50
"""A pixel is a highlight when HSV value exceeds the first and saturation lies below the second (both 0–255)."""
SMALLEST_POLYP_PX = 10
"""Polyp pixels of the reduced frame below which colours are not compared and a component is not counted."""


@dataclass(frozen=True)
class FrameLook:
    """One frame's figures. Polyp figures are NaN (contrast, area) on a frame without a polyp.

    Shares lie in 0–1; L* in 0–100; ``laplacian_sd`` in grey levels; ``polyp_area`` as a share of the field of view.
    """

    field_share: float
    lightness: float
    lightness_sd: float
    a: float
    b: float
    rim_lightness: float
    centre_lightness: float
    specular_share: float
    laplacian_sd: float
    polyp_area: float
    contrast_lightness: float
    contrast_a: float
    contrast_b: float
    polyps: int


@dataclass(frozen=True)
class CohortLook:
    """A cohort's figures: means over frames, between-frame spreads, medians of the polyp contrast.

    ``polyp_area_percent``: 10th, 50th and 90th percentile over frames that hold a polyp.
    """

    frames: int
    field_share: float
    lightness: float
    lightness_sd: float
    a: float
    b: float
    between_frames_sd: tuple[float, float, float]
    rim_to_centre: float
    specular_percent: float
    laplacian_sd: float
    polyp_area_percent: tuple[float, float, float]
    polyp_contrast: tuple[float, float, float]
    polyps_per_frame: float


def measure_frame(image: NDArray[np.uint8], mask: NDArray[np.uint8]) -> FrameLook:
    """Measure one frame.

    Args:
        image: uint8 H×W×3, RGB.
        mask: uint8 H×W, polyp where non-zero.
    """
    image, mask = _reduce(image, mask)
    inside = find_field_of_view(image).mask
    lab = cv2.cvtColor(image.astype(np.float32) / 255.0, cv2.COLOR_RGB2LAB)
    lightness = lab[..., 0]
    radius = _radius(inside)
    polyp = (mask > 0) & inside
    mean_lab = lab[inside].mean(axis=0)
    area = float(polyp.sum()) / float(inside.sum())
    contrast = np.full(3, np.nan)
    if polyp.sum() > SMALLEST_POLYP_PX and (inside & ~polyp).any():
        contrast = lab[polyp].mean(axis=0) - lab[inside & ~polyp].mean(axis=0)
    return FrameLook(
        field_share=float(inside.mean()),
        lightness=float(mean_lab[0]),
        lightness_sd=float(lightness[inside].std()),
        a=float(mean_lab[1]),
        b=float(mean_lab[2]),
        rim_lightness=float(lightness[inside & (radius > RIM_RADIUS)].mean()),
        centre_lightness=float(lightness[inside & (radius < CENTRE_RADIUS)].mean()),
        specular_share=float(specular(image)[inside].mean()),
        laplacian_sd=_laplacian_sd(image, inside),
        polyp_area=area if polyp.any() else float("nan"),
        contrast_lightness=float(contrast[0]),
        contrast_a=float(contrast[1]),
        contrast_b=float(contrast[2]),
        polyps=_components(polyp),
    )


def summarise(frames: Sequence[FrameLook]) -> CohortLook:
    """A cohort's figures from its frames'.

    Raises: ValueError when there is no frame.
    """
    if not frames:
        raise ValueError("no frame was measured, so there is nothing to summarise")
    columns = np.array([astuple(frame) for frame in frames], dtype=np.float64).T
    column = dict(zip(FrameLook.__dataclass_fields__, columns, strict=True))
    mean = {name: float(values.mean()) for name, values in column.items()}
    areas = 100.0 * column["polyp_area"][np.isfinite(column["polyp_area"])]
    quantiles = np.percentile(areas, (10, 50, 90)) if areas.size else np.full(3, np.nan)
    return CohortLook(
        frames=len(frames),
        field_share=mean["field_share"],
        lightness=mean["lightness"],
        lightness_sd=mean["lightness_sd"],
        a=mean["a"],
        b=mean["b"],
        between_frames_sd=(float(column["lightness"].std()), float(column["a"].std()), float(column["b"].std())),
        rim_to_centre=mean["rim_lightness"] / max(mean["centre_lightness"], 1e-6),
        specular_percent=100.0 * mean["specular_share"],
        laplacian_sd=mean["laplacian_sd"],
        polyp_area_percent=(float(quantiles[0]), float(quantiles[1]), float(quantiles[2])),
        polyp_contrast=(
            _finite_median(column["contrast_lightness"]),
            _finite_median(column["contrast_a"]),
            _finite_median(column["contrast_b"]),
        ),
        polyps_per_frame=mean["polyps"],
    )


def measure_cohort(pairs: Iterable[tuple[NDArray[np.uint8], NDArray[np.uint8]]]) -> CohortLook:
    """A cohort's figures from (image, mask) pairs; see :func:`measure_frame` for their form."""
    return summarise([measure_frame(image, mask) for image, mask in pairs])


def specular(image: NDArray[np.uint8]) -> NDArray[np.bool_]:
    """Highlights of an RGB frame (uint8 H×W×3): bool H×W, True where bright and nearly colourless."""
    hsv = cv2.cvtColor(image, cv2.COLOR_RGB2HSV)
    return np.asarray((hsv[..., 2] > SPECULAR_VALUE) & (hsv[..., 1] < SPECULAR_SATURATION))


TABLE_HEADER = (
    "| cohort | frames | FOV share | L* mean ± SD in FOV | a*, b* mean | between-frame SD L*,a*,b* | rim/centre L* "
    "| specular share | Laplacian SD | polyp area % of FOV q10/q50/q90 | polyp−mucosa ΔL*, Δa*, Δb* "
    "| polyps per frame |\n"
    "|---|---|---|---|---|---|---|---|---|---|---|---|"
)


def table_row(name: str, look: CohortLook) -> str:
    """One Markdown row under :data:`TABLE_HEADER`."""
    between, area, contrast = look.between_frames_sd, look.polyp_area_percent, look.polyp_contrast
    cells = (
        name,
        str(look.frames),
        f"{look.field_share:.2f}",
        f"{look.lightness:.0f} ± {look.lightness_sd:.0f}",
        f"{look.a:.0f}, {look.b:.0f}",
        ", ".join(f"{value:.0f}" for value in between),
        f"{look.rim_to_centre:.2f}",
        f"{look.specular_percent:.2f} %",
        f"{look.laplacian_sd:.0f}",
        " / ".join(f"{value:.1f}" for value in area),
        ", ".join(f"{value:+.0f}" for value in contrast),
        f"{look.polyps_per_frame:.2f}",
    )
    return "| " + " | ".join(cells) + " |"


def _reduce(image: NDArray[np.uint8], mask: NDArray[np.uint8]) -> tuple[NDArray[np.uint8], NDArray[np.uint8]]:
    scale = LONGER_SIDE_PX / max(image.shape[:2])
    if scale >= 1.0:
        return image, mask
    size = (max(1, round(image.shape[1] * scale)), max(1, round(image.shape[0] * scale)))
    small = cv2.resize(image, size, interpolation=cv2.INTER_AREA).astype(np.uint8, copy=False)
    return small, cv2.resize(mask, size, interpolation=cv2.INTER_NEAREST_EXACT).astype(np.uint8, copy=False)


def _radius(inside: NDArray[np.bool_]) -> NDArray[np.float32]:
    """Distance from the centre of the field's bounding box, in its half axes; float32 H×W."""
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
    return float(cv2.Laplacian(grey, cv2.CV_32F)[inside].std())


def _components(polyp: NDArray[np.bool_]) -> int:
    _, _, stats, _ = cv2.connectedComponentsWithStats(polyp.astype(np.uint8), connectivity=8)
    return int(np.count_nonzero(stats[1:, cv2.CC_STAT_AREA] >= SMALLEST_POLYP_PX))


def _finite_median(values: NDArray[np.float64]) -> float:
    finite = values[np.isfinite(values)]
    return float(np.median(finite)) if finite.size else float("nan")
