"""What a cohort looks like, in numbers, real or phantom: colour, fall-off, sharpness, highlights, and its polyps."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from polypda.quality.frame_figures import ImageFigures, PolypFigures, image_figures, mask_figures, reduced_image

Triple = tuple[float, float, float]
TABLE_HEADER = (
    "| cohort | frames | FOV share | L* mean ± SD in FOV | a*, b* mean | between-frame SD L*,a*,b* | rim/centre L* "
    "| specular share | Laplacian SD | polyp area % of FOV q10/q50/q90 | polyp−mucosa ΔL*, Δa*, Δb* "
    "| polyps per frame |\n"
    "|---|---|---|---|---|---|---|---|---|---|---|---|"
)


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
    between_frames_sd: Triple
    rim_to_centre: float
    specular_percent: float
    laplacian_sd: float
    polyp_area_percent: Triple
    polyp_contrast: Triple
    polyps_per_frame: float


def measure_cohort(pairs: Iterable[tuple[NDArray[np.uint8], NDArray[np.uint8]]]) -> CohortLook:
    """A cohort's figures from images (uint8 H×W×3, RGB) and masks (uint8 H×W, polyp where non-zero).

    Raises: ValueError when there is no frame.
    """
    images: list[ImageFigures] = []
    polyps: list[PolypFigures] = []
    for image, mask in pairs:
        reduced = reduced_image(image)
        images.append(image_figures(image, reduced))
        polyps.append(mask_figures(reduced, mask))
    if not images:
        raise ValueError("no frame was measured, so there is nothing to summarise")

    def column(figures: list[ImageFigures] | list[PolypFigures], name: str) -> NDArray[np.float64]:
        return np.array([getattr(each, name) for each in figures], np.float64)

    def mean(name: str) -> float:
        return float(column(images, name).mean())

    areas = 100.0 * column(polyps, "area")
    areas = areas[np.isfinite(areas)]
    contrasts = [column(polyps, f"contrast_{axis}") for axis in ("lightness", "a", "b")]
    return CohortLook(
        frames=len(images),
        field_share=mean("field_share"),
        lightness=mean("lightness"),
        lightness_sd=mean("lightness_sd"),
        a=mean("a"),
        b=mean("b"),
        between_frames_sd=_triple(column(images, axis).std() for axis in ("lightness", "a", "b")),
        rim_to_centre=mean("rim_lightness") / max(mean("centre_lightness"), 1e-6),
        specular_percent=100.0 * mean("specular_share"),
        laplacian_sd=mean("laplacian_sd"),
        polyp_area_percent=_triple(np.percentile(areas, (10, 50, 90)) if areas.size else np.full(3, np.nan)),
        polyp_contrast=_triple(np.median(known) if (known := v[np.isfinite(v)]).size else np.nan for v in contrasts),
        polyps_per_frame=float(column(polyps, "polyps").mean()),
    )


def _triple(values: Iterable[float]) -> Triple:
    first, second, third = map(float, values)
    return first, second, third


def table_row(name: str, look: CohortLook) -> str:
    """One Markdown row under :data:`TABLE_HEADER`."""
    cells = (
        name,
        str(look.frames),
        f"{look.field_share:.2f}",
        f"{look.lightness:.0f} ± {look.lightness_sd:.0f}",
        f"{look.a:.0f}, {look.b:.0f}",
        ", ".join(f"{value:.0f}" for value in look.between_frames_sd),
        f"{look.rim_to_centre:.2f}",
        f"{look.specular_percent:.2f} %",
        f"{look.laplacian_sd:.0f}",
        " / ".join(f"{value:.1f}" for value in look.polyp_area_percent),
        ", ".join(f"{value:+.0f}" for value in look.polyp_contrast),
        f"{look.polyps_per_frame:.2f}",
    )
    return "| " + " | ".join(cells) + " |"
