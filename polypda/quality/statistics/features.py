"""The figures by which cohorts are compared: their names, their units, and how far frames commonly spread in them."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum

import numpy as np
from numpy.typing import NDArray

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
    mean (counts, shares of frames), not by its median. spread: the unit in which the distance between cohorts counts,
    the SD between frames of one cohort (of the logarithm where ``offset`` is given), mean over the seven public cohorts
    that were measured; None: does not enter the distance. Fixed, so that a distance means the same in every report.
    offset: added before the logarithm, for figures that may be 0.
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
