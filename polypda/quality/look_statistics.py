"""What a cohort looks like, in numbers: colour, fall-off, sharpness, highlights, and its polyps.

Works on real cohorts and on phantoms alike. Every frame is reduced to a longer side of 512 px first, so that scopes of
different resolution are compared on the same footing. Nothing here reads a file.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import astuple, dataclass

import numpy as np
from numpy.typing import NDArray

from polypda.quality.frame_figures import image_figures, mask_figures, reduced_image


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
    reduced = reduced_image(image)
    decoded, polyps = image_figures(image, reduced), mask_figures(reduced, mask)
    return FrameLook(
        field_share=decoded.field_share,
        lightness=decoded.lightness,
        lightness_sd=decoded.lightness_sd,
        a=decoded.a,
        b=decoded.b,
        rim_lightness=decoded.rim_lightness,
        centre_lightness=decoded.centre_lightness,
        specular_share=decoded.specular_share,
        laplacian_sd=decoded.laplacian_sd,
        polyp_area=polyps.area,
        contrast_lightness=polyps.contrast_lightness,
        contrast_a=polyps.contrast_a,
        contrast_b=polyps.contrast_b,
        polyps=polyps.polyps,
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


def _finite_median(values: NDArray[np.float64]) -> float:
    finite = values[np.isfinite(values)]
    return float(np.median(finite)) if finite.size else float("nan")
