"""What looks like a polyp and is none: knobs of the wall, lumps of stool, foam, glare. None of it enters a mask."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from polypda.cohorts.phantom_look import MimicFractions
from polypda.phantom.camera import Plane, Pose, Rays
from polypda.phantom.polyps import Lobe, Plan, build, trace

KNOBS, LUMPS = (1, 4), (1, 5)
"""How many of each a scene may show (the greater number excluded)."""
KNOB_HEIGHT = (0.45, 1.0)
KNOB_AREA, LUMP_AREA = (0.012, 0.12), (0.0015, 0.03)
"""Share of the field that one covers, drawn log-evenly."""
FARTHEST_MIMIC = 3.0
LUMP_TRIES = 4
CLEARANCE_PX = 2
"""Rows and columns of the placement grid that a lump keeps from a polyp."""


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


def draw_knobs(
    rng: np.random.Generator, shares: MimicFractions, rays: Rays, pose: Pose, wall: Plane, allowed: NDArray[np.bool_]
) -> tuple[tuple[Lobe, ...], ...]:
    """Knobs and short ridges across the tube, as the ends of folds are; none on most scenes.

    Args:
        rays: of the placement grid, in tube coordinates; wall, allowed: distance and place on it (h×w).
    """
    if rng.random() >= shares.folds:
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
        knobs.append(_placed(rng, plan, area, rays, pose, wall, allowed))
    return tuple(knobs)


def draw_lumps(
    rng: np.random.Generator, shares: MimicFractions, rays: Rays, pose: Pose, wall: Plane, allowed: NDArray[np.bool_]
) -> tuple[Lump, ...]:
    """Lumps of stool where no polyp is seen; ``allowed`` leaves the polyps out (else as :func:`draw_knobs`)."""
    if rng.random() >= shares.stool:
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
            placed = _placed(rng, plan, area, rays, pose, wall, allowed)
            if not (trace(rays, pose.position, placed).inside[~allowed] > 0).any():
                lumps.append(Lump(placed, colour, (int(pattern[0]), int(pattern[1]))))
                break
    return tuple(lumps)


def draw_foam_and_glare(rng: np.random.Generator, shares: MimicFractions) -> tuple[float, float, tuple[float, float]]:
    """Strength of foam and of glare (0 on most scenes), and where the foam's tile is laid."""
    foam = float(rng.uniform(0.5, 1.0)) if rng.random() < shares.bubbles else 0.0
    glare = float(rng.uniform(0.5, 1.0)) if rng.random() < shares.glare else 0.0
    return foam, glare, (float(rng.uniform(0, 1024)), float(rng.uniform(0, 1024)))


def _placed(
    rng: np.random.Generator,
    plan: Plan,
    area: float,
    rays: Rays,
    pose: Pose,
    wall: Plane,
    allowed: NDArray[np.bool_],
) -> tuple[Lobe, ...]:
    """The form on a random place of the wall, at about ``area`` of the grid."""
    indices = np.argwhere(allowed & (wall < FARTHEST_MIMIC))
    if len(indices) == 0:
        indices = np.argwhere(wall <= wall.min())
    row, column = indices[int(rng.integers(len(indices)))]
    direction = np.array([rays.x[row, column], rays.y[row, column], rays.z[row, column]], np.float64)
    away = float(wall[row, column])
    foot = pose.position + away * direction
    inwards = -np.array([foot[0], foot[1], 0.0]) / max(float(np.hypot(foot[0], foot[1])), 1e-6)
    angle = min(rays.angle_step * float(np.sqrt(area * wall.size / np.pi)), 0.6)
    return build(plan, foot, inwards, away * float(np.sin(angle)))
