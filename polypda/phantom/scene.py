"""A scene: everything that stays while the camera moves through one sequence.

Scene *s* of a seed depends on the look, the seed and *s* alone, so frame *k* is the same in short and long cohorts.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from statistics import NormalDist

import numpy as np
from numpy.typing import NDArray

from polypda.cohorts.phantom_look import PhantomLook
from polypda.phantom.camera import HALF_HEIGHT_ANGLE, Canvas, Fold, Pose, Rays, canvas_of, look_towards, wall_distance
from polypda.phantom.placement import (
    NO_MIMICS,
    Mimics,
    Polyp,
    Site,
    draw_foam_and_glare,
    draw_knobs,
    draw_lumps,
    free_of,
    place_polyps,
)
from polypda.phantom.polyps import bulge

STEPS = {"area": 0.6180339887, "negative": 0.4142135624, "count": 0.7320508076, "lightness": 0.6457513111}
STEPS |= {"a": 0.3166247904, "b": 0.6055512755, "patient": 0.3588989435, "flat": 0.7958315233}
STEPS |= {"light": 0.8284271247}
"""Irrational steps of the evenly spread draws, one per quantity, so that no two run in step."""
PLACED_WITHIN = 0.78
"""Feet of polyps lie within this fraction of the field's half axes: endoscopists keep what they watch in view."""
PLACEMENT_STRIDE = 4
"""Polyps are placed and sized on every fourth ray of the coarse grid."""
DYE_SHIFT = (10.0, 16.0)
"""How far a dye draws the mean a* and b* towards blue at full strength."""
Z90 = 1.2815515655446004
"""Standard normal deviate of the 90th percentile."""


@dataclass(frozen=True)
class Scene:
    """One sequence's world. Angles in radians, lengths in tube radii, colours in Lab. dye: strength, 0 none … 1."""

    size: tuple[int, int]
    folds: tuple[Fold, ...]
    start: tuple[float, float]
    travel: tuple[float, float, float]
    aim: tuple[float, float]
    aim_swing: tuple[float, float]
    roll: float
    lamp: tuple[float, float]
    colour: tuple[float, float, float]
    lightness_sd: float
    rim_to_centre: float
    specular_percent: float
    vessels: float
    debris: float
    texture_origin: tuple[float, float]
    blur_px: float
    motion_blur_px: float
    has_inset: bool
    polyps: tuple[Polyp, ...]
    mimics: Mimics = NO_MIMICS
    dye: float = 0.0

    def wall(self, rays: Rays, pose: Pose) -> NDArray[np.float32]:
        """Distance along each ray (tube coordinates) to the wall, its folds and its knobs; float32 h×w, tube radii."""
        distance = wall_distance(rays, pose.position, self.folds)
        for knob in self.mimics.knobs:
            bulge(rays, pose.position, distance, knob)
        return distance

    def pose(self, moment: float) -> Pose:
        """Camera at ``moment`` (−0.5 … 0.5 over the sequence)."""
        swing = np.sin(2.6 * moment)
        position = np.array(
            [
                self.start[0] + self.travel[0] * swing,
                self.start[1] + self.travel[1] * np.sin(3.1 * moment + 0.4),
                self.travel[2] * moment,
            ]
        )
        angle, tilt = self.aim[0] + self.aim_swing[0] * moment, self.aim[1] + self.aim_swing[1] * swing
        return Pose(position, look_towards(angle, tilt, self.roll))


def spread(seed: int, quantity: str, index: int) -> float:
    """Evenly spread value in (0, 1) for scene ``index``: few scenes already cover a distribution.

    quantity: a key of :data:`STEPS`.
    """
    start = float(np.random.default_rng([seed, 7919, list(STEPS).index(quantity)]).random())
    return float(np.clip((start + STEPS[quantity] * (index + 1)) % 1.0, 1e-4, 1 - 1e-4))


def draw_scene(look: PhantomLook, seed: int, index: int) -> Scene:
    """Draw scene ``index`` of ``seed``."""
    look = look.in_light(spread(seed, "light", index))
    rng = np.random.default_rng([seed, 104729, index])
    size = look.sizes_px[index % len(look.sizes_px)]
    canvas = canvas_of(size, look.field_of_view)
    bare = _draw_surroundings(look, rng, size, seed, index)
    site = _site(canvas, bare)
    # Streams of their own: a look without mimics and flat lesions shows the same polyps as one with them.
    aside = np.random.default_rng([seed, 32452843, index])
    scene = _sprayed(look, aside, bare)
    knobs = draw_knobs(aside, look.mimics, site)
    foam, glare, origin = draw_foam_and_glare(aside, look.mimics)
    scene = replace(scene, mimics=Mimics(knobs=knobs, foam=foam, glare=glare, foam_origin=origin))
    if knobs:
        site = _site(canvas, scene)
    if spread(seed, "negative", index) >= look.negative_fraction:
        count = 1 + int(spread(seed, "count", index) < look.polyps_per_positive_frame - 1.0)
        area = _area_fraction(look, spread(seed, "area", index))
        flat = spread(seed, "flat", index) < look.flat_fraction
        scene = replace(scene, polyps=place_polyps(look, rng, site, count, area, flat))
    lumps = draw_lumps(aside, look.mimics, site, free_of(scene.polyps, site))
    return replace(scene, mimics=replace(scene.mimics, lumps=lumps))


def _site(canvas: Canvas, scene: Scene) -> Site:
    pose = scene.pose(0.0)
    rays = canvas.rays.thinned(PLACEMENT_STRIDE).turned(pose.rotation)
    every = slice(PLACEMENT_STRIDE // 2, None, PLACEMENT_STRIDE)
    inside = canvas.coarse_inside[every, every]
    central = inside & (canvas.radius[every, every] < PLACED_WITHIN)
    return Site(pose, rays, scene.wall(rays, pose), inside, central)


def _sprayed(look: PhantomLook, rng: np.random.Generator, scene: Scene) -> Scene:
    """The scene with a blue dye on it, or as it is: its mean colour moves towards blue."""
    dye = float(rng.uniform(0.5, 1.0)) if rng.random() < look.dye_fraction else 0.0
    lightness, a, b = scene.colour
    return replace(scene, dye=dye, colour=(lightness - 3.0 * dye, a - DYE_SHIFT[0] * dye, b - DYE_SHIFT[1] * dye))


def _draw_surroundings(
    look: PhantomLook, rng: np.random.Generator, size: tuple[int, int], seed: int, index: int
) -> Scene:
    lumen = rng.random() < look.lumen_in_view_fraction
    tilt = HALF_HEIGHT_ANGLE * (rng.uniform(0.1, 0.85) if lumen else rng.uniform(0.95, 1.5))
    off, turn = 0.5 * np.sqrt(rng.random()), rng.uniform(0, 2 * np.pi)
    normal = NormalDist()
    levels = [normal.inv_cdf(min(max(spread(seed, axis, index), 0.02), 0.98)) for axis in ("lightness", "a", "b")]
    sd = look.colour_between_frames_sd
    colour = (
        look.colour.lightness + sd.lightness * levels[0],
        look.colour.a + sd.a * levels[1],
        look.colour.b + sd.b * levels[2],
    )
    softness = look.softness_px * max(size) / 512.0
    moved = rng.random() < look.motion_blurred_fraction
    return Scene(
        size=size,
        folds=_draw_folds(look, rng),
        start=(float(off * np.cos(turn)), float(off * np.sin(turn))),
        travel=(
            float(rng.uniform(-0.10, 0.10)),
            float(rng.uniform(-0.10, 0.10)),
            float(rng.uniform(0.1, 0.35) * rng.choice([-1.0, 1.0])),
        ),
        aim=(float(rng.uniform(0, 2 * np.pi)), float(tilt)),
        aim_swing=(float(rng.uniform(-0.3, 0.3)), float(rng.uniform(-0.12, 0.12))),
        roll=float(rng.uniform(0, 2 * np.pi)),
        lamp=(float(rng.uniform(-0.25, 0.25)), float(rng.uniform(-0.25, 0.1))),
        colour=colour,
        lightness_sd=float(look.lightness_within_frame_sd * np.exp(rng.normal(0, 0.12))),
        rim_to_centre=float(look.rim_to_centre * np.exp(rng.normal(0, 0.18))),
        specular_percent=float(look.specular_percent * np.exp(rng.normal(-0.125, 0.5))),
        vessels=float(look.vessel_contrast * rng.uniform(0.4, 1.6)),
        debris=float(rng.uniform(0.3, 1.0)) if rng.random() < look.debris_fraction else 0.0,
        texture_origin=(float(rng.uniform(0, 1024)), float(rng.uniform(0, 1024))),
        blur_px=float(softness * rng.uniform(0.8, 1.25)),
        motion_blur_px=float(rng.uniform(3, 8) * max(size) / 720.0) if moved else 0.0,
        has_inset=bool(rng.random() < look.inset_fraction),
        polyps=(),
    )


def _draw_folds(look: PhantomLook, rng: np.random.Generator) -> tuple[Fold, ...]:
    folds: list[Fold] = []
    z = float(rng.uniform(0.5, 1.1))
    centre = np.zeros(2)
    turn = rng.uniform(0, 2 * np.pi)
    while z < 7.5 and len(folds) < 9:
        centre = 0.75 * centre + rng.normal(0, 0.13, 2)
        turn += rng.normal(0, 0.5)
        folds.append(
            Fold(
                z=z,
                height=float(look.fold_strength * rng.uniform(0.25, 0.85)),
                width=float(rng.uniform(0.05, 0.17)),
                side=float(rng.uniform(0, 2 * np.pi)),
                reach=float(rng.uniform(0.1, 1.3)),
                lobes=float(rng.uniform(0.0, 0.5)),
                turn=float(turn),
                centre=(float(centre[0]), float(centre[1])),
            )
        )
        z += float(rng.uniform(0.45, 1.0)) * (1 + 0.12 * z)
    return tuple(folds)


def _area_fraction(look: PhantomLook, level: float) -> float:
    """Polyp area as a fraction of the field of view at a level in (0, 1): log-normal halves meeting at the median."""
    area = look.polyp_area_percent
    deviate = NormalDist().inv_cdf(float(np.clip(level, 0.01, 0.99)))
    tail = np.log(area.q90 / area.q50) if deviate > 0 else np.log(area.q50 / area.q10)
    return float(min(area.q50 * np.exp(deviate * tail / Z90), 55.0) / 100.0)
