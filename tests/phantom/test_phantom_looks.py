"""Phantoms look like their scopes: every column that real cohorts were measured in, within stated tolerances.

The reference rows are figures of real frames (up to 250 of each public cohort; field of view = largest lit region;
frames reduced to 512 px). A cohort with a row must lie around it; one without a row must lie within what the cohorts of
its vendor span. `python benchmarks/phantom_looks.py` prints the same table with more frames.
"""

from __future__ import annotations

from dataclasses import dataclass

import pytest

from polypda.cohorts.catalogue import load_catalogue
from polypda.phantom import cohort_seed, render_frame
from polypda.quality.look_statistics import TABLE_HEADER, CohortLook, measure_cohort, table_row


@dataclass(frozen=True)
class Row:
    """Real figures, as `CohortLook` names them: areas and highlights in percent of the field of view."""

    lightness: float
    lightness_sd: float
    a: float
    b: float
    rim: float
    specular: float
    laplacian: float
    area: tuple[float, float, float]
    contrast: tuple[float, float, float]


ROWS = {
    "cvc-clinicdb": Row(40, 20, 15, 23, 0.82, 0.33, 9, (3.3, 10.5, 28.0), (16, 8, 8)),
    "kvasir": Row(48, 19, 26, 27, 0.81, 1.72, 9, (4.2, 13.4, 36.1), (14, 6, 7)),
    "bkai-neopolyp": Row(48, 20, 19, 21, 0.80, 1.38, 32, (1.1, 3.8, 11.6), (20, 6, 8)),
    "polypgen-c1": Row(49, 19, 21, 28, 1.02, 1.25, 14, (1.6, 6.9, 28.7), (17, 6, 8)),
    "polypgen-c2": Row(44, 22, 17, 21, 0.87, 2.12, 18, (2.7, 7.9, 29.7), (19, 1, 7)),
    "polypgen-c3": Row(46, 20, 19, 21, 0.85, 1.24, 23, (1.6, 7.2, 27.3), (18, 5, 7)),
    "polypgen-c4": Row(49, 19, 12, 18, 1.17, 1.20, 20, (0.7, 5.3, 29.8), (15, 13, 7)),
}
VENDOR_ROWS = {
    "Fujinon": ("bkai-neopolyp",),
    "Fujifilm": ("bkai-neopolyp",),
    "Olympus": ("cvc-clinicdb", "kvasir", "polypgen-c1", "polypgen-c2", "polypgen-c3", "polypgen-c4"),
}
# Absolute for L*, its SD, a*, b*, rim/centre, ΔL*, Δa*, Δb*; factors for the skewed ones.
LIGHTNESS, SPREAD, CHROMA, RIM = 6.0, 4.0, 5.0, 0.15
CONTRAST = (6.0, 4.5, 4.5)
SPECULAR_FACTOR, LAPLACIAN_FACTOR = 2.0, 1.35
AREA_FACTORS = (2.0, 1.4, 1.7)
"""Of the 10th, 50th and 90th percentile: tails of few sequences scatter more than medians."""


def _look_of(cohort: str, frames: int) -> CohortLook:
    look = load_catalogue()[cohort].phantom
    assert look is not None, f"{cohort} has no phantom look"
    # Short sequences: more scenes for the same number of frames.
    look = look.model_copy(update={"frames_per_sequence": 2})
    return measure_cohort(render_frame(look, seed=cohort_seed(cohort, 0), index=index) for index in range(frames))


def _references(cohort: str) -> list[Row]:
    if cohort in ROWS:
        return [ROWS[cohort]]
    vendor = load_catalogue()[cohort].scope.vendor or ""
    return [ROWS[name] for name in VENDOR_ROWS.get(vendor, tuple(ROWS))]


def _misfits(look: CohortLook, rows: list[Row]) -> list[str]:
    """Columns outside [least row − tolerance, greatest row + tolerance], in words."""
    spans = {
        "L*": (look.lightness, [row.lightness for row in rows], LIGHTNESS),
        "SD of L*": (look.lightness_sd, [row.lightness_sd for row in rows], SPREAD),
        "a*": (look.a, [row.a for row in rows], CHROMA),
        "b*": (look.b, [row.b for row in rows], CHROMA),
        "rim/centre": (look.rim_to_centre, [row.rim for row in rows], RIM),
    }
    for i, name in enumerate(("ΔL*", "Δa*", "Δb*") if look.polyps_per_frame else ()):
        spans[name] = (look.polyp_contrast[i], [row.contrast[i] for row in rows], CONTRAST[i])
    wrong = [
        f"{name} {value:.2f} outside {min(real) - tolerance:.2f} … {max(real) + tolerance:.2f}"
        for name, (value, real, tolerance) in spans.items()
        if not min(real) - tolerance <= value <= max(real) + tolerance
    ]
    factors = {
        "specular %": (look.specular_percent, [row.specular for row in rows], SPECULAR_FACTOR),
        "Laplacian SD": (look.laplacian_sd, [row.laplacian for row in rows], LAPLACIAN_FACTOR),
    }
    for i, name in enumerate(("area q10", "area q50", "area q90") if look.polyps_per_frame else ()):
        factors[name] = (look.polyp_area_percent[i], [row.area[i] for row in rows], AREA_FACTORS[i])
    return wrong + [
        f"{name} {value:.2f} outside {min(real) / factor:.2f} … {max(real) * factor:.2f}"
        for name, (value, real, factor) in factors.items()
        if not min(real) / factor <= value <= max(real) * factor
    ]


@pytest.mark.parametrize("cohort", ["zju2", "haining", "cvc-clinicdb", "kvasir"])
def test_a_phantom_looks_like_its_scope(cohort: str) -> None:
    look = _look_of(cohort, frames=48)
    print(f"\n{TABLE_HEADER}\n{table_row(cohort, look)}")
    assert _misfits(look, _references(cohort)) == []


@pytest.mark.slow
@pytest.mark.parametrize("cohort", sorted(load_catalogue()))
def test_every_phantom_looks_like_its_scope(cohort: str) -> None:
    look = _look_of(cohort, frames=120)
    print(f"\n{TABLE_HEADER}\n{table_row(cohort, look)}")
    described = load_catalogue()[cohort].phantom
    assert described is not None and (look.polyps_per_frame > 0) is (described.negative_fraction < 1)
    assert _misfits(look, _references(cohort)) == []


def test_every_cohort_has_a_look() -> None:
    assert [cohort for cohort, manifest in load_catalogue().items() if manifest.phantom is None] == []


def test_olympus_twins_look_alike_and_fujinon_does_not() -> None:
    zju2, ningbo, haining = (_look_of(cohort, frames=24) for cohort in ("zju2", "ningbo", "haining"))
    assert abs(zju2.lightness - ningbo.lightness) < 4 and abs(zju2.a - ningbo.a) < 4 and abs(zju2.b - ningbo.b) < 4
    assert 0.75 < zju2.laplacian_sd / ningbo.laplacian_sd < 1.33
    assert haining.laplacian_sd > 1.8 * max(zju2.laplacian_sd, ningbo.laplacian_sd)
    assert haining.polyp_area_percent[1] < 0.75 * min(zju2.polyp_area_percent[1], ningbo.polyp_area_percent[1])
    assert haining.b < min(zju2.b, ningbo.b) - 2  # its few sequences in FICE are yellow
    catalogue = load_catalogue()
    shapes = [catalogue[cohort].phantom.field_of_view.shape for cohort in ("zju2", "ningbo", "haining")]  # type: ignore[union-attr]
    assert shapes[0] == shapes[1] != shapes[2]
