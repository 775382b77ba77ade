"""What stands on a scene's wall, and where: polyps, and what looks like one and is none.

None of the mimics (knobs of the wall, lumps of stool, foam, glare) enters a mask.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import cv2
import numpy as np
from numpy.typing import NDArray

from polypda.cohorts.phantom_look import MimicFractions, PhantomLook
from polypda.phantom.camera import Pose, Rays, facing
from polypda.phantom.polyps import Lobe, Plan, build, draw_flat_plan, draw_plan, lie_on, trace

LARGEST_RADIUS, SMALLEST_RADIUS = 1.15, 0.012
"""Polyp radii in tube radii: what the geometry bears."""
PLACEMENT_TRIES = 5
AREA_PASSES = 3
FLAT_ELEVATION, FLAT_ROUGHNESS = (0.02, 0.10), (0.08, 0.20)
LOCAL_LIGHTNESS_SD = 6.5
"""Spread of L* against the direct surroundings, as between real polyps."""
KNOBS, LUMPS = (1, 4), (1, 5)
"""How many of each a scene may show (the greater number excluded)."""
KNOB_HEIGHT = (0.45, 1.0)
KNOB_AREA, LUMP_AREA = (0.012, 0.12), (0.0015, 0.03)
"""Fraction of the field that one covers, drawn log-evenly."""
FARTHEST_MIMIC = 3.0
LUMP_TRIES = 4
CLEARANCE_PX = 2
"""Rows and columns of the placement grid that a lump keeps from a polyp."""


@dataclass(frozen=True)
class Polyp:
    """A polyp on its wall.

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
class Lump:
    """A lump of stool: its solid, its colour as Lab − the mucosa's, and where its surface is taken from."""

    lobes: tuple[Lobe, ...]
    colour: tuple[float, float, float]
    pattern: tuple[int, int]


@dataclass(frozen=True)
class Mimics:
    """The mimics of one scene.

    knobs: swellings of the wall itself, lobes of each. lumps: of stool. foam, glare: strength, 0 none … 1.
    foam_origin: where the foam's tile is laid (tile pixels).
    """

    knobs: tuple[tuple[Lobe, ...], ...] = ()
    lumps: tuple[Lump, ...] = ()
    foam: float = 0.0
    glare: float = 0.0
    foam_origin: tuple[float, float] = (0.0, 0.0)


NO_MIMICS = Mimics()


@dataclass(frozen=True)
class Site:
    """The middle frame's view of a scene on the placement grid: inside, central: bool h×w, the field and its middle."""

    pose: Pose
    rays: Rays
    wall: NDArray[np.float32]
    inside: NDArray[np.bool_]
    central: NDArray[np.bool_]


def place_polyps(
    look: PhantomLook, rng: np.random.Generator, site: Site, count: int, area: float, flat: bool
) -> tuple[Polyp, ...]:
    """The scene's polyps; the first, if ``flat``, is a flat lesion."""
    allowed = site.central & (facing(site.wall, site.rays.angle_step, (0.0, 0.0)) > 0.35)
    polyps: list[Polyp] = []
    for index, fraction in enumerate((1.0,) if count == 1 else (0.75, 0.25)):
        plan = draw_plan(rng, bool(rng.random() < look.pedunculated_fraction))
        (aside,) = rng.spawn(1)  # what a look without flat lesions draws stays where it was
        elevation = None
        if flat and index == 0:
            plan, elevation = draw_flat_plan(aside), float(aside.uniform(*FLAT_ELEVATION))
        lobes = _fit(rng, plan, site, allowed, area * fraction, elevation)
        polyps.append(_coloured(look, rng, aside, lobes, elevation))
    return tuple(polyps)


def _fit(
    rng: np.random.Generator, plan: Plan, site: Site, allowed: NDArray[np.bool_], area: float, elevation: float | None
) -> tuple[Lobe, ...]:
    """Find a position where the polyp shows the wanted area, and the radius that does it."""
    wall, rays = site.wall, site.rays
    candidates = np.argwhere(allowed & (wall < 3.5))
    if len(candidates) == 0:
        candidates = np.argwhere(site.inside)
    wanted_px = area * float(np.count_nonzero(site.inside))
    best: tuple[float, tuple[Lobe, ...]] = (np.inf, ())
    for _ in range(PLACEMENT_TRIES):
        row, column = candidates[int(rng.integers(len(candidates)))]
        direction = rays.direction(row, column)
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
            if miss < best[0]:
                best = (miss, lobes)
            radius *= float(np.clip(np.sqrt(wanted_px / max(seen, 0.5)), 0.5, 1.8))
        if best[0] < 0.2:
            break
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


def free_of(polyps: tuple[Polyp, ...], site: Site) -> NDArray[np.bool_]:
    """Where on the placement grid no polyp is seen, nor near by."""
    taken = np.zeros(site.inside.shape, np.uint8)
    for polyp in polyps:
        taken |= (_silhouette(polyp.lobes, polyp.elevation, site) > 0).astype(np.uint8)
    side = 2 * CLEARANCE_PX + 1
    return site.inside & (cv2.dilate(taken, np.ones((side, side), np.uint8)) == 0)


def _silhouette(lobes: tuple[Lobe, ...], elevation: float | None, site: Site) -> NDArray[np.bool_]:
    """Where a polyp is seen on the placement grid, bool h×w."""
    if elevation is not None:
        return (lie_on(site.rays, site.pose.position, site.wall, lobes, elevation).inside > 0) & site.inside
    solid = trace(site.rays, site.pose.position, lobes)
    return (solid.inside > 0) & (solid.distance < site.wall) & site.inside


def draw_knobs(rng: np.random.Generator, fractions: MimicFractions, site: Site) -> tuple[tuple[Lobe, ...], ...]:
    """Knobs and short ridges across the tube, as the ends of folds are; none on most scenes."""
    if rng.random() >= fractions.folds:
        return ()
    knobs = []
    for _ in range(int(rng.integers(*KNOBS))):
        links = int(rng.integers(1, 5))
        plan = Plan(
            tuple((0.8 * (i - (links - 1) / 2), 0.0, 0.0, float(rng.uniform(0.75, 1.0))) for i in range(links)),
            flatness=float(rng.uniform(*KNOB_HEIGHT)),
            stalk=0.0,
            stalk_width=0.0,
            lean=(0.0, 0.0),
        )
        area = float(np.exp(rng.uniform(*np.log(KNOB_AREA)))) / float(np.sqrt(links))
        knobs.append(_placed(rng, plan, area, site, site.central))
    return tuple(knobs)


def draw_lumps(
    rng: np.random.Generator, fractions: MimicFractions, site: Site, allowed: NDArray[np.bool_]
) -> tuple[Lump, ...]:
    """Lumps of stool where no polyp is seen; allowed: bool h×w, where they may lie."""
    if rng.random() >= fractions.stool:
        return ()
    lumps = []
    for _ in range(int(rng.integers(*LUMPS))):
        lobes = [(0.0, 0.0, -0.1, 1.0)]
        lobes += [(*rng.uniform(-0.9, 0.9, 2), -0.1, float(rng.uniform(0.35, 0.8))) for _ in range(4)]
        plan = Plan(tuple(lobes), float(rng.uniform(0.4, 0.8)), stalk=0.0, stalk_width=0.0, lean=(0.0, 0.0))
        colour = (float(rng.normal(2.0, 6.0)), float(rng.normal(-6.0, 3.0)), float(rng.normal(13.0, 4.0)))
        pattern = rng.integers(0, 1024, 2)
        area = float(np.exp(rng.uniform(*np.log(LUMP_AREA))))
        for _ in range(LUMP_TRIES):
            placed = _placed(rng, plan, area, site, allowed)
            if not (trace(site.rays, site.pose.position, placed).inside[~allowed] > 0).any():
                lumps.append(Lump(placed, colour, (int(pattern[0]), int(pattern[1]))))
                break
    return tuple(lumps)


def draw_foam_and_glare(
    rng: np.random.Generator, fractions: MimicFractions
) -> tuple[float, float, tuple[float, float]]:
    """Strength of foam and of glare (0 on most scenes), and where the foam's tile is laid."""
    foam = float(rng.uniform(0.5, 1.0)) if rng.random() < fractions.bubbles else 0.0
    glare = float(rng.uniform(0.5, 1.0)) if rng.random() < fractions.glare else 0.0
    return foam, glare, (float(rng.uniform(0, 1024)), float(rng.uniform(0, 1024)))


def _placed(
    rng: np.random.Generator, plan: Plan, area: float, site: Site, allowed: NDArray[np.bool_]
) -> tuple[Lobe, ...]:
    """The form at a random point of the wall, at about ``area`` of the grid."""
    wall = site.wall
    indices = np.argwhere(allowed & (wall < FARTHEST_MIMIC))
    if len(indices) == 0:
        indices = np.argwhere(wall <= wall.min())
    row, column = indices[int(rng.integers(len(indices)))]
    away = float(wall[row, column])
    foot = site.pose.position + away * site.rays.direction(row, column)
    inwards = -np.array([foot[0], foot[1], 0.0]) / max(float(np.hypot(foot[0], foot[1])), 1e-6)
    angle = min(site.rays.angle_step * float(np.sqrt(area * wall.size / np.pi)), 0.6)
    return build(plan, foot, inwards, away * float(np.sin(angle)))
