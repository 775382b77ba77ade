"""A scene: everything that stays while the camera moves through one sequence.

Scene *s* of a seed depends on the look, the seed and *s* alone, so frame *k* is the same in short and long cohorts.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from statistics import NormalDist

import cv2
import numpy as np
from numpy.typing import NDArray

from polypda.cohorts.phantom_look import PhantomLook
from polypda.phantom.camera import (
    HALF_HEIGHT_ANGLE,
    Canvas,
    Fold,
    Pose,
    Rays,
    canvas_of,
    facing,
    look_towards,
    wall_distance,
)
from polypda.phantom.mimics import CLEARANCE_PX, NO_MIMICS, Mimics, draw_foam_and_glare, draw_knobs, draw_lumps
from polypda.phantom.polyps import Lobe, Plan, build, bulge, draw_flat_plan, draw_plan, lie_on, trace

STEPS = {"area": 0.6180339887, "negative": 0.4142135624, "count": 0.7320508076, "lightness": 0.6457513111}
STEPS |= {"a": 0.3166247904, "b": 0.6055512755, "patient": 0.3588989435, "flat": 0.7958315233}
"""Irrational steps of the evenly spread draws, one per quantity, so that no two run in step."""
LARGEST_RADIUS, SMALLEST_RADIUS = 1.15, 0.012
"""Polyp radii in tube radii: what the geometry bears."""
PLACEMENT_TRIES = 5
AREA_PASSES = 3
PLACED_WITHIN = 0.78
"""Feet of polyps lie within this share of the field's half axes: endoscopists keep what they watch in view."""
PLACEMENT_STRIDE = 4
"""Polyps are placed and sized on every fourth ray of the coarse grid."""
FLAT_ELEVATION, FLAT_ROUGHNESS = (0.02, 0.10), (0.08, 0.20)
LOCAL_LIGHTNESS_SD = 6.5
"""Spread of L* against the direct surroundings, as between real polyps."""
DYE_SHIFT = (10.0, 16.0)
"""How far a dye draws the mean a* and b* towards blue at full strength."""
Z90 = 1.2815515655446004
"""Standard normal deviate of the 90th percentile."""


@dataclass(frozen=True)
class Polyp:
    """A polyp in its place.

    contrast: L*, a*, b* against the mucosa it should show. speckle: strength of its pit pattern (0–1).
    pattern: where its surface texture is taken from (tile pixels).
    local_lightness: L* against its direct surroundings, to which the lamp's light is led; None: as they happen to be.
    elevation: of a flat lesion above the wall, in radii; None: a solid.
    """

    lobes: tuple[Lobe, ...]
    contrast: tuple[float, float, float]
    speckle: float
    roughness: float
    pattern: tuple[int, int]
    local_lightness: float | None = None
    elevation: float | None = None


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
    rng = np.random.default_rng([seed, 104729, index])
    size = look.sizes_px[index % len(look.sizes_px)]
    canvas = canvas_of(size, look.field_of_view)
    bare = _draw_surroundings(look, rng, size, seed, index)
    site = _site(canvas, bare)
    # Streams of their own: a look without mimics and flat lesions shows the same polyps as one with them.
    aside = np.random.default_rng([seed, 32452843, index])
    scene = _sprayed(look, aside, bare)
    knobs = draw_knobs(aside, look.mimics, site.rays, site.pose, site.wall, site.central)
    foam, glare, origin = draw_foam_and_glare(aside, look.mimics)
    scene = replace(scene, mimics=Mimics(knobs=knobs, foam=foam, glare=glare, foam_origin=origin))
    if knobs:
        site = _site(canvas, scene)
    if spread(seed, "negative", index) >= look.negative_fraction:
        count = 1 + int(spread(seed, "count", index) < look.polyps_per_positive_frame - 1.0)
        area = _area_fraction(look, spread(seed, "area", index))
        flat = spread(seed, "flat", index) < look.flat_fraction
        scene = replace(scene, polyps=_place_polyps(look, rng, site, count, area, flat))
    lumps = draw_lumps(aside, look.mimics, site.rays, site.pose, site.wall, _free_of(scene.polyps, site))
    return replace(scene, mimics=replace(scene.mimics, lumps=lumps))


@dataclass(frozen=True)
class _Site:
    """The middle frame's view of a scene on the placement grid: inside, central: bool h×w, the field and its middle."""

    pose: Pose
    rays: Rays
    wall: NDArray[np.float32]
    inside: NDArray[np.bool_]
    central: NDArray[np.bool_]


def _site(canvas: Canvas, scene: Scene) -> _Site:
    pose = scene.pose(0.0)
    rays = canvas.rays.thinned(PLACEMENT_STRIDE).turned(pose.rotation)
    kept = slice(PLACEMENT_STRIDE // 2, None, PLACEMENT_STRIDE)
    inside = canvas.coarse_inside[kept, kept]
    central = inside & (canvas.radius[kept, kept] < PLACED_WITHIN)
    return _Site(pose, rays, scene.wall(rays, pose), inside, central)


def _sprayed(look: PhantomLook, rng: np.random.Generator, scene: Scene) -> Scene:
    """The scene with a blue dye on it, or as it is: its mean colour moves towards blue."""
    dye = float(rng.uniform(0.5, 1.0)) if rng.random() < look.dye_fraction else 0.0
    lightness, a, b = scene.colour
    return replace(scene, dye=dye, colour=(lightness - 3.0 * dye, a - DYE_SHIFT[0] * dye, b - DYE_SHIFT[1] * dye))


def _free_of(polyps: tuple[Polyp, ...], site: _Site) -> NDArray[np.bool_]:
    """Where on the placement grid no polyp is seen, nor near by."""
    taken = np.zeros(site.inside.shape, np.uint8)
    for polyp in polyps:
        taken |= (_silhouette(polyp.lobes, polyp.elevation, site) > 0).astype(np.uint8)
    side = 2 * CLEARANCE_PX + 1
    return site.inside & (cv2.dilate(taken, np.ones((side, side), np.uint8)) == 0)


def _silhouette(lobes: tuple[Lobe, ...], elevation: float | None, site: _Site) -> NDArray[np.bool_]:
    """Where a polyp is seen on the placement grid, bool h×w."""
    if elevation is not None:
        return (lie_on(site.rays, site.pose.position, site.wall, lobes, elevation).inside > 0) & site.inside
    solid = trace(site.rays, site.pose.position, lobes)
    return (solid.inside > 0) & (solid.distance < site.wall) & site.inside


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
    """Polyp area as a share of the field of view at a level in (0, 1): log-normal halves meeting at the median."""
    area = look.polyp_area_percent
    deviate = NormalDist().inv_cdf(float(np.clip(level, 0.01, 0.99)))
    tail = np.log(area.q90 / area.q50) if deviate > 0 else np.log(area.q50 / area.q10)
    return float(min(area.q50 * np.exp(deviate * tail / Z90), 55.0) / 100.0)


def _place_polyps(
    look: PhantomLook, rng: np.random.Generator, site: _Site, count: int, area: float, flat: bool
) -> tuple[Polyp, ...]:
    """The scene's polyps; the first, if ``flat``, is a flat lesion."""
    allowed = site.central & (facing(site.wall, site.rays.angle_step, (0.0, 0.0)) > 0.35)
    polyps: list[Polyp] = []
    for index, share in enumerate((1.0,) if count == 1 else (0.75, 0.25)):
        plan = draw_plan(rng, bool(rng.random() < look.pedunculated_fraction))
        (aside,) = rng.spawn(1)  # what a look without flat lesions draws stays where it was
        elevation = None
        if flat and index == 0:
            plan, elevation = draw_flat_plan(aside), float(aside.uniform(*FLAT_ELEVATION))
        lobes = _fit(rng, plan, site, allowed, area * share, elevation)
        polyps.append(_coloured(look, rng, aside, lobes, elevation))
    return tuple(polyps)


def _fit(
    rng: np.random.Generator,
    plan: Plan,
    site: _Site,
    allowed: NDArray[np.bool_],
    area: float,
    elevation: float | None,
) -> tuple[Lobe, ...]:
    """Find a place where the polyp shows the wanted area, and the radius that does it."""
    wall, rays = site.wall, site.rays
    candidates = np.argwhere(allowed & (wall < 3.5))
    if len(candidates) == 0:
        candidates = np.argwhere(site.inside)
    wanted_px = area * float(np.count_nonzero(site.inside))
    best: tuple[float, tuple[Lobe, ...]] | None = None
    for _ in range(PLACEMENT_TRIES):
        row, column = candidates[int(rng.integers(len(candidates)))]
        direction = np.array([rays.x[row, column], rays.y[row, column], rays.z[row, column]], np.float64)
        foot = site.pose.position + float(wall[row, column]) * direction
        bent = float(rng.uniform(0.15, 0.6)) + 0.3 * min(5.0 * area, 1.0)
        normal = _inward_normal(foot, direction, bent if elevation is None else 0.0)
        angle = min(rays.angle_step * float(np.sqrt(wanted_px / np.pi)), 0.9)
        radius = float(wall[row, column]) * float(np.sin(angle))
        if plan.stalk:
            radius *= 0.7
        for _ in range(AREA_PASSES):
            radius = float(np.clip(radius, SMALLEST_RADIUS, LARGEST_RADIUS))
            lobes = build(plan, foot, normal, radius)
            seen = float(np.count_nonzero(_silhouette(lobes, elevation, site)))
            miss = abs(float(np.log(max(seen, 0.5) / wanted_px)))
            if best is None or miss < best[0]:
                best = (miss, lobes)
            radius *= float(np.clip(np.sqrt(wanted_px / max(seen, 0.5)), 0.5, 1.8))
        if best is not None and best[0] < 0.2:
            break
    if best is None:
        raise RuntimeError("no place was tried for a polyp")
    return best[1]


def _inward_normal(
    foot: NDArray[np.float64], direction: NDArray[np.float64], towards_camera: float
) -> NDArray[np.float64]:
    """Direction in which a polyp grows: from the wall to the axis, partly bent towards the camera as folds are."""
    off_axis = max(float(np.hypot(foot[0], foot[1])), 1e-6)
    inwards = np.array([-foot[0] / off_axis, -foot[1] / off_axis, 0.0])
    mixed: NDArray[np.float64] = np.subtract((1 - towards_camera) * inwards, towards_camera * direction)
    return np.asarray(mixed / float(np.sqrt(np.square(mixed).sum())))


def _coloured(
    look: PhantomLook,
    rng: np.random.Generator,
    aside: np.random.Generator,
    lobes: tuple[Lobe, ...],
    elevation: float | None,
) -> Polyp:
    mean, sd = look.polyp_contrast, look.polyp_contrast_sd
    lightness = float(mean.lightness + sd.lightness * rng.standard_normal())
    a, b = float(mean.a + sd.a * rng.standard_normal()), float(mean.b + sd.b * rng.standard_normal())
    pattern = rng.integers(0, 1024, 2)
    bulging = Polyp(
        lobes=lobes,
        contrast=(lightness, a, b),
        speckle=float(rng.uniform(0.1, 1.0) ** 1.5),
        roughness=float(rng.uniform(0.02, 0.12)),
        pattern=(int(pattern[0]), int(pattern[1])),
    )
    local = look.polyp_local_lightness
    if local is not None:
        local = float(local + LOCAL_LIGHTNESS_SD * aside.standard_normal())
    if elevation is None:
        return replace(bulging, local_lightness=local)
    local = look.flat_contrast * (mean.lightness if local is None else local)
    return replace(
        bulging,
        contrast=(lightness, look.flat_contrast * a, look.flat_contrast * b),
        roughness=float(aside.uniform(*FLAT_ROUGHNESS)),
        local_lightness=local,
        elevation=elevation,
    )
