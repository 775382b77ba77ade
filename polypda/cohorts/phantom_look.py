"""The look of a scope in numbers: what the renderer imitates.

Every figure is one that can be measured on real frames (``polypda.quality.look_statistics``), so that a phantom can be
held against the cohort it stands for. Colours are CIE Lab (D65) over the field of view; fractions lie in 0–1 unless a
name says percent.
"""

from __future__ import annotations

import hashlib
from enum import StrEnum
from typing import Annotated

from pydantic import BaseModel, ConfigDict, Field, model_validator

Fraction = Annotated[float, Field(ge=0.0, le=1.0)]
Side = Annotated[int, Field(ge=64, le=4096)]


class FieldOfViewShape(StrEnum):
    """Outline of the lit region of a frame."""

    RECTANGLE = "rectangle"
    CUT_CORNERS = "cut-corners"
    OCTAGON = "octagon"
    CIRCLE = "circle"


class Inset(StrEnum):
    """An image within the image, at the lower left: a magnetic position display, or its black placeholder."""

    NONE = "none"
    BLACK = "black"
    GREEN = "green"


class BurnedInText(StrEnum):
    """Where the processor writes into the image."""

    NONE = "none"
    LEFT = "left"
    CORNERS = "corners"


class Strict(BaseModel):
    """A frozen model that refuses unknown keys."""

    model_config = ConfigDict(extra="forbid", frozen=True)


class FieldOfViewLook(Strict):
    """Outline and place of the field of view, as fractions of the frame; what lies beyond the frame is cut off.

    ``corner_fraction``: leg of the cut corner as a fraction of the box's height (octagon and cut corners only).
    A circle's diameter is ``width_fraction`` of the frame's width.
    """

    shape: FieldOfViewShape = FieldOfViewShape.OCTAGON
    width_fraction: Annotated[float, Field(gt=0.2, le=1.5)] = 0.96
    height_fraction: Annotated[float, Field(gt=0.2, le=1.5)] = 0.98
    centre_x: Fraction = 0.5
    centre_y: Fraction = 0.5
    corner_fraction: Annotated[float, Field(ge=0.0, le=0.5)] = 0.2
    border_level: Annotated[int, Field(ge=0, le=20)] = 4


class LabSpread(Strict):
    """A Lab colour, or a difference or spread of colours."""

    lightness: float
    a: float
    b: float


class AreaQuantiles(Strict):
    """Polyp area per frame in percent of the field of view; the renderer draws log-normally through these."""

    q10: Annotated[float, Field(gt=0.0, lt=100.0)] = 2.0
    q50: Annotated[float, Field(gt=0.0, lt=100.0)] = 7.0
    q90: Annotated[float, Field(gt=0.0, lt=100.0)] = 27.0

    @model_validator(mode="after")
    def _ordered(self) -> AreaQuantiles:
        if not self.q10 < self.q50 < self.q90:
            raise ValueError(f"polyp areas must rise: q10 {self.q10} < q50 {self.q50} < q90 {self.q90}")
        return self


class MimicFractions(Strict):
    """Fractions of sequences that show something which looks like a polyp and is none; it never enters a mask.

    ``folds``: knobs and short ridges of the wall itself. ``bubbles``: foam on the wall. ``stool``: solid lumps, up to
    four. ``glare``: highlights that run together to large patches, their total area unchanged.
    """

    folds: Fraction = 0.0
    bubbles: Fraction = 0.0
    stool: Fraction = 0.0
    glare: Fraction = 0.0


class EnhancedLight(Strict):
    """An image-enhanced light (FICE, NBI, BLI …) that some sequences are seen in, and what it changes of the look.

    ``mode``: its name. ``fraction``: of sequences. The rest replaces the look's own figures on these sequences.
    """

    mode: str
    fraction: Fraction
    colour: LabSpread
    colour_between_frames_sd: LabSpread
    polyp_contrast: LabSpread
    vessel_contrast: Fraction


class PhantomLook(Strict):
    """What one cohort's frames look like.

    ``sizes_px``: native (width, height); a sequence keeps its size, sequences take turns.
    ``colour``, ``colour_between_frames_sd``: mean over the field of view, and the spread of that mean.
    ``lightness_within_frame_sd``: how deep the lumen is dark and the near wall bright.
    ``rim_to_centre``: mean L* of the rim over that of the centre (1: even; below: vignetting).
    ``softness_px``: blur (Gaussian sigma) on an image whose longer side is 512 px; ``sharpening``: the processor's
    edge enhancement (0 none, 1 strong); ``texture``: strength of fine mucosal relief (0–1).
    ``noise_sd``: sensor noise in grey levels (0–255).
    ``polyp_contrast``, ``polyp_contrast_sd``: polyp − all the rest of the field, and its spread between polyps.
    ``polyp_local_lightness``: median L* of a polyp − its direct surroundings, which the lamp lights with it; None: the
    surroundings stay as lit as they are. ``polyp_shading_sd``: most L* deviation within a polyp (how ball-like it is).
    ``flat_fraction``: of polyps that are flat lesions, hardly raised, faint at their border; ``flat_contrast``: their
    contrast as a fraction of what another polyp there would have.
    ``mimics``: see :class:`MimicFractions`. ``dye_fraction``: of sequences sprayed with a blue dye.
    ``enhanced_light``: see :class:`EnhancedLight`; ``colour`` and its spread are then those of the other sequences.
    ``debris_fraction``: of sequences with thin patches of stool and mucus.
    ``negative_fraction``: of sequences without a polyp. ``polyps_per_positive_frame``: 1 to 2.
    ``jpeg_quality``: None writes PNG.
    """

    sizes_px: Annotated[tuple[tuple[Side, Side], ...], Field(min_length=1)] = ((720, 576),)
    field_of_view: FieldOfViewLook = FieldOfViewLook()
    colour: LabSpread = LabSpread(lightness=47, a=20, b=24)
    colour_between_frames_sd: LabSpread = LabSpread(lightness=5, a=5, b=6)
    lightness_within_frame_sd: Annotated[float, Field(ge=5, le=30)] = 20
    rim_to_centre: Annotated[float, Field(ge=0.4, le=1.6)] = 0.85
    vessel_contrast: Fraction = 0.4
    fold_strength: Fraction = 0.6
    lumen_in_view_fraction: Fraction = 0.4
    texture: Fraction = 0.3
    softness_px: Annotated[float, Field(ge=0, le=5)] = 0.8
    sharpening: Fraction = 0.0
    motion_blurred_fraction: Fraction = 0.15
    noise_sd: Annotated[float, Field(ge=0, le=20)] = 2.0
    specular_percent: Annotated[float, Field(ge=0, le=10)] = 1.2
    polyp_contrast: LabSpread = LabSpread(lightness=16, a=6, b=7)
    polyp_contrast_sd: LabSpread = LabSpread(lightness=6, a=3.5, b=3.5)
    polyp_local_lightness: Annotated[float, Field(ge=-20, le=40)] | None = None
    polyp_shading_sd: Annotated[float, Field(ge=2, le=20)] = 11.0
    flat_fraction: Fraction = 0.0
    flat_contrast: Annotated[float, Field(gt=0, le=1)] = 0.4
    polyp_area_percent: AreaQuantiles = AreaQuantiles()
    polyps_per_positive_frame: Annotated[float, Field(ge=1, le=2)] = 1.08
    pedunculated_fraction: Fraction = 0.3
    negative_fraction: Fraction = 0.1
    debris_fraction: Fraction = 0.3
    mimics: MimicFractions = MimicFractions()
    dye_fraction: Fraction = 0.0
    enhanced_light: EnhancedLight | None = None
    interlaced: bool = False
    jpeg_quality: Annotated[int, Field(ge=30, le=100)] | None = 92
    inset: Inset = Inset.NONE
    inset_fraction: Fraction = 0.7
    burned_in_text: BurnedInText = BurnedInText.NONE
    frames_per_sequence: Annotated[int, Field(ge=1, le=500)] = 4

    def digest(self) -> str:
        """SHA-256 of the resolved look: two looks render alike only when it is the same."""
        added_later = {"enhanced_light"} if self.enhanced_light is None else None
        return hashlib.sha256(self.model_dump_json(exclude=added_later).encode()).hexdigest()

    def in_light(self, level: float) -> PhantomLook:
        """The look of a sequence that stands at ``level`` (0–1) among all: in enhanced light or as it is."""
        light = self.enhanced_light
        if light is None or level >= light.fraction:
            return self
        return self.model_copy(update={name: value for name, value in light if name not in ("mode", "fraction")})
