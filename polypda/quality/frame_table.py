"""The figures by which cohorts are compared, and the table with a row of them per frame."""

from __future__ import annotations

import hashlib
import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import TypeVar

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from polypda.cohorts.frames import LabelState
from polypda.quality.frame_figures import ImageFigures, PolypFigures
from polypda.quality.measuring import MeasuredFrame

Values = NDArray[np.float64]
LEAST = 1e-6


class Basis(StrEnum):
    """What a figure is made from; it exists only for frames that have it."""

    IMAGE = "picture"
    LABEL = "label"
    MASK = "mask"


@dataclass(frozen=True)
class Feature:
    """One figure of a frame.

    logarithmic: shown on a log axis and compared by ratios. digits: behind the point, in print. mean: summed up by its
    mean, not by its median. spread: the unit in which the distance between cohorts counts, the SD between frames of one
    cohort (of the logarithm where ``offset`` is given), mean over seven public cohorts; fixed, so that a distance means
    the same in every report; None: does not enter the distance. offset: added before the logarithm.
    """

    name: str
    title: str
    unit: str
    basis: Basis = Basis.IMAGE
    logarithmic: bool = False
    digits: int = 1
    mean: bool = False
    spread: float | None = None
    offset: float | None = None

    def scaled(self, values: Values) -> Values:
        """The values in units of ``spread``, as the distance takes them."""
        moved = values if self.offset is None else np.log(np.maximum(values + self.offset, LEAST))
        return np.asarray(moved / (self.spread or 1.0))


FEATURES: tuple[Feature, ...] = (
    Feature("longer_side_px", "longer side of the frame", "px", logarithmic=True, digits=0),
    Feature("field_share", "field of view", "% of the frame"),
    Feature("field_fill", "field of view's fill of its box", "%"),
    Feature("field_aspect", "field of view's width / height", "", digits=2),
    Feature("lightness", "lightness L*", "", spread=6.0),
    Feature("lightness_sd", "SD of L* within a frame", "", spread=3.7),
    Feature("a", "red a*", "", spread=6.2),
    Feature("a_sd", "SD of a* within a frame", "", spread=2.5),
    Feature("b", "yellow b*", "", spread=6.5),
    Feature("b_sd", "SD of b* within a frame", "", spread=3.0),
    Feature("rim_to_centre", "L* at the rim / in the centre", "", digits=2, spread=0.31, offset=0.0),
    Feature("specular_percent", "highlights", "% of the field", logarithmic=True, digits=2, spread=0.9, offset=0.1),
    Feature("laplacian_sd", "sharpness", "grey levels", logarithmic=True, spread=0.26, offset=0.0),
    Feature("noise_sd", "noise as stored", "grey levels", logarithmic=True, digits=2, spread=0.3, offset=0.1),
    Feature("negative_percent", "frames without a polyp", "%", Basis.LABEL, mean=True),
    Feature("polyps", "polyps in a frame", "", Basis.LABEL, digits=2, mean=True),
    Feature("polyp_area_percent", "polyp area", "% of the field", Basis.MASK, logarithmic=True),
    Feature("box_area_percent", "box area", "% of the field", Basis.LABEL, logarithmic=True),
    Feature("polyp_off_centre", "polyp's distance from the middle", "half axes", Basis.LABEL, digits=2),
    Feature("contrast_lightness", "polyp − rest of the field, L*", "", Basis.MASK),
    Feature("contrast_a", "polyp − rest of the field, a*", "", Basis.MASK),
    Feature("contrast_b", "polyp − rest of the field, b*", "", Basis.MASK),
)
BY_NAME = {feature.name: feature for feature in FEATURES}
IN_DISTANCE = tuple(feature for feature in FEATURES if feature.spread is not None)
"""Light, colour, highlights, sharpness and noise inside the field. Its size and outline stay out: they are all but
constant in a cohort and would drown the rest, and a network is given the field alone. Labels stay out as well."""


Item = TypeVar("Item")


def drawn_evenly(items: Sequence[Item], count: int | None, *, name: str, seed: int = 0) -> tuple[Item, ...]:
    """``count`` of the items, in their order: one drawn at random from each of ``count`` stretches of equal length.

    Frames lie in natural order, so every sequence takes part. The draw depends on seed, name (the cohort's) and the
    number of items alone. None, or a count that is not below theirs: all of them.
    """
    if count is None or count >= len(items):
        return tuple(items)
    digest = hashlib.sha256(f"{seed} {name}".encode()).digest()
    generator = np.random.default_rng(int.from_bytes(digest[:8], "little"))
    edges = np.linspace(0, len(items), count + 1)
    # Each stretch holds at least one whole position, since it is at least one long
    first, last = np.ceil(edges[:-1]).astype(int), np.ceil(edges[1:]).astype(int)
    return tuple(items[int(position)] for position in generator.integers(first, last))


IDENTITY = ("cohort", "frame", "patient", "cluster", "label")


@dataclass(frozen=True)
class PlaceMaps:
    """Where a cohort's field of view and polyps lie, float64 48×48 in 0–1, mean over frames.

    field: over the whole frame. polyps: over the field's bounding box, of frames with a polyp; None without any.
    aspects: median width over height of the frame, and of the field's box.
    """

    field: NDArray[np.float64]
    polyps: NDArray[np.float64] | None
    aspects: tuple[float, float]
    polyp_frames: int


def frame_table(cohort: str, measured: Iterable[MeasuredFrame]) -> pd.DataFrame:
    """A row for each frame whose image was read; columns :data:`IDENTITY` and the names of all features.

    cohort: as it was asked for, which may be a part of a cohort. A figure that the frame does not have is NaN.
    """
    rows = []
    for one in measured:
        if one.image is None:
            continue
        frame = one.frame
        identity: dict[str, object] = {
            "cohort": cohort,
            "frame": frame.frame,
            "patient": frame.patient or "",
            "cluster": frame.cluster or "",
            "label": "none" if one.polyps is None else frame.label_state.value,
        }
        rows.append(identity | _image_values(one.image) | _label_values(one.polyps, frame.label_state))
    table = pd.DataFrame(rows, columns=[*IDENTITY, *(feature.name for feature in FEATURES)])
    return table.astype({feature.name: np.float64 for feature in FEATURES})


def place_maps(measured: Iterable[MeasuredFrame]) -> PlaceMaps | None:
    """The mean maps of the frames whose image was read; None when there is none."""
    read = [(one.image, one.polyps) for one in measured if one.image is not None]
    if not read:
        return None
    location_maps = [
        polyps.location_map for _, polyps in read if polyps is not None and polyps.location_map is not None
    ]
    images = [image for image, _ in read]
    frame_aspect = float(np.median([image.width_px / image.height_px for image in images]))
    return PlaceMaps(
        field=np.mean([image.field_map for image in images], axis=0) / 255.0,
        polyps=np.mean(location_maps, axis=0) / 255.0 if location_maps else None,
        aspects=(frame_aspect, float(np.median([image.field_aspect for image in images]))),
        polyp_frames=len(location_maps),
    )


def _image_values(image: ImageFigures) -> dict[str, float]:
    same = ("field_aspect", "lightness", "lightness_sd", "a", "a_sd", "b", "b_sd", "laplacian_sd", "noise_sd")
    return {
        "longer_side_px": max(image.width_px, image.height_px),
        "field_share": 100.0 * image.field_share,
        "field_fill": 100.0 * image.field_fill,
        "rim_to_centre": image.rim_lightness / max(image.centre_lightness, 1.0),
        "specular_percent": 100.0 * image.specular_share,
    } | {name: getattr(image, name) for name in same}


def _label_values(polyps: PolypFigures | None, state: LabelState) -> dict[str, float]:
    if polyps is None:
        return {}
    boxed = state is LabelState.BOX
    area = 100.0 * polyps.area
    return {
        "negative_percent": 100.0 * (polyps.polyps == 0),
        "polyps": polyps.polyps,
        "polyp_area_percent": math.nan if boxed else area,
        "box_area_percent": area if boxed else math.nan,
        "polyp_off_centre": polyps.off_centre,
        "contrast_lightness": polyps.contrast_lightness,
        "contrast_a": polyps.contrast_a,
        "contrast_b": polyps.contrast_b,
    }
