"""Polyps as solids: unions of flattened spheres on the tube's wall, with an exact silhouette.

Sessile polyps are one to five lobes half sunk into the wall; pedunculated ones are a head on a stalk; flat lesions are
the part of the wall that lies within their lobes. The **mask rule**: head, lobes and stalk belong to the polyp as far
as they are seen, that is, before wall and folds; a flat lesion's whole visible patch does.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from polypda.phantom.camera import Plane, Rays, grid_window

NEAREST = 0.08
"""Nothing is seen closer to the lens than this, in tube radii."""
STALK_LINKS = 9
SEAM = 0.35
"""Softness of the seam between lobes, in polyp radii."""
FLAT_BEVEL = 0.22
"""Width of a flat lesion's sloping border, in radii."""
MOUND_REACH = 1.9
"""Radii beyond which a mound has run out."""
Vector = NDArray[np.float64]


@dataclass(frozen=True)
class Lobe:
    """A sphere flattened along ``normal``: centre (3,), radius, and height as a fraction of the radius."""

    centre: Vector
    radius: float
    normal: Vector
    flatness: float


@dataclass(frozen=True)
class Plan:
    """A polyp's form, free of size and position; offsets are in polyp radii.

    lobes: (sideways, sideways, outwards, radius) each. stalk: length in radii, 0 for sessile. lean: of the head.
    """

    lobes: tuple[tuple[float, float, float, float], ...]
    flatness: float
    stalk: float
    stalk_width: float
    lean: tuple[float, float]


@dataclass(frozen=True)
class Solid:
    """What the camera sees of a polyp on a grid.

    distance: float32 h×w, along each ray (at the closest approach where the ray misses).
    inside: float32 h×w, positive within the outline, negative outside, in polyp radii.
    """

    distance: Plane
    inside: Plane


def draw_plan(rng: np.random.Generator, pedunculated: bool) -> Plan:
    """Draw a polyp's form."""
    if pedunculated:
        lobes = [(0.0, 0.0, 0.0, 1.0)]
        lobes += [(*rng.uniform(-0.5, 0.5, 2), rng.uniform(-0.2, 0.5), rng.uniform(0.45, 0.7)) for _ in range(3)]
        lean = rng.uniform(-1.1, 1.1, 2)
        return Plan(
            tuple(lobes),
            flatness=rng.uniform(0.8, 1.0),
            stalk=rng.uniform(1.2, 2.6),
            stalk_width=rng.uniform(0.28, 0.5),
            lean=(float(lean[0]), float(lean[1])),
        )
    height = float(rng.uniform(-0.45, 0.15))
    lobes = [(0.0, 0.0, height, 1.0)]
    for _ in range(int(rng.integers(0, 5))):
        turn, off = rng.uniform(0, 2 * np.pi), rng.uniform(0.45, 0.9)
        radius = float(rng.uniform(0.35, 0.75))
        lobes.append((off * np.cos(turn), off * np.sin(turn), height * 0.5, radius))
    return Plan(tuple(lobes), flatness=float(rng.uniform(0.45, 0.85)), stalk=0.0, stalk_width=0.0, lean=(0.0, 0.0))


def draw_flat_plan(rng: np.random.Generator) -> Plan:
    """Draw a flat lesion's form: lobes in the wall's plane, together an uneven and mostly longish patch."""
    stretch, turn = rng.uniform(0.45, 1.0), rng.uniform(0, np.pi)
    lobes = [(0.0, 0.0, 0.0, 1.0)]
    for _ in range(int(rng.integers(2, 6))):
        angle, off = rng.uniform(0, 2 * np.pi), rng.uniform(0.5, 1.1)
        along, aside = off * np.cos(angle), off * np.sin(angle) * stretch
        sideways = (along * np.cos(turn) - aside * np.sin(turn), along * np.sin(turn) + aside * np.cos(turn))
        lobes.append((*sideways, 0.0, float(rng.uniform(0.4, 0.8))))
    return Plan(tuple(lobes), flatness=1.0, stalk=0.0, stalk_width=0.0, lean=(0.0, 0.0))


def build(plan: Plan, foot: Vector, normal: Vector, radius: float) -> tuple[Lobe, ...]:
    """Place a form on the wall: ``foot`` (3,) on the wall, ``normal`` (3,) unit, inwards; ``radius`` in tube radii."""
    helper = np.array([0.0, 0.0, 1.0]) if abs(normal[2]) < 0.9 else np.array([1.0, 0.0, 0.0])
    across = np.cross(normal, helper)
    across /= np.linalg.norm(across)
    other = np.cross(normal, across)
    head = foot + normal * radius * plan.stalk + radius * (plan.lean[0] * across + plan.lean[1] * other)
    lobes = [
        Lobe(head + radius * (i * across + j * other + k * normal), radius * size, normal, plan.flatness)
        for i, j, k, size in plan.lobes
    ]
    if plan.stalk:
        bend = 0.25 * radius * (plan.lean[1] * across - plan.lean[0] * other)
        for along in np.linspace(0.0, 1.0, STALK_LINKS):
            on_stalk = foot + along * (head - foot) + np.sin(np.pi * along) * bend
            thick = plan.stalk_width * radius * (1.0 + 0.6 * (1.0 - along) ** 3)
            lobes.append(Lobe(on_stalk, thick, normal, 1.0))
    return tuple(lobes)


def trace(rays: Rays, position: Vector, lobes: tuple[Lobe, ...], bumps: Plane | float = 0.0) -> Solid:
    """Intersect rays (tube coordinates) with a union of lobes, one at least.

    bumps: relative change of radius along each ray (h×w), which makes the outline and surface uneven.
    """
    scale = max(lobe.radius for lobe in lobes)
    distance, inside = _trace_lobe(rays, position, lobes[0], bumps)
    inside = inside * np.float32(lobes[0].radius / scale)
    for lobe in lobes[1:]:
        near, within = _trace_lobe(rays, position, lobe, bumps)
        within = within * np.float32(lobe.radius / scale)
        # Among hits the nearer surface is seen; outside all lobes the one that is least missed leads the outline.
        both = (within > 0) & (inside > 0)
        alone = np.where(within > inside, near, distance)
        distance = np.where(both, soft_minimum(near, distance, np.float32(SEAM * scale)), alone)
        inside = np.maximum(inside, within)
    return Solid(distance, inside)


def lie_on(
    rays: Rays, position: Vector, wall: Plane, lobes: tuple[Lobe, ...], elevation: float, bumps: Plane | float = 0.0
) -> Solid:
    """The patch of the wall within a union of lobes, raised evenly up to a bevelled border.

    wall: distance along each ray to it (h×w). elevation: of the patch above the wall, in radii of its largest lobe.
    bumps: as for :func:`trace`.
    """
    scale = max(lobe.radius for lobe in lobes)
    x, y, z = (wall * ray + np.float32(at) for ray, at in zip((rays.x, rays.y, rays.z), position, strict=True))
    inside = np.full_like(wall, -1.0)
    for lobe in lobes:
        c = lobe.centre.astype(np.float32)
        away = np.sqrt(np.square(x - c[0]) + np.square(y - c[1]) + np.square(z - c[2]))
        reach = np.float32(lobe.radius) * (1.0 + bumps)
        np.maximum(inside, (1.0 - away / reach) * np.float32(lobe.radius / scale), out=inside)
    step = np.clip(inside / np.float32(FLAT_BEVEL), 0.0, 1.0)
    raised = np.float32(elevation * scale) * step * step * (3.0 - 2.0 * step)
    return Solid(np.maximum(wall - raised, np.float32(NEAREST)).astype(np.float32), inside.astype(np.float32))


def bulge(rays: Rays, position: Vector, wall: Plane, lobes: tuple[Lobe, ...]) -> None:
    """Let the wall itself swell to a smooth mound over the lobes; ``wall`` (h×w distances) in place.

    A lobe's radius is the mound's, its flatness the mound's height as a fraction of that.
    """
    window = window_of(rays, position, lobes, reach=MOUND_REACH)
    if window is None:
        return
    ahead = wall[window]
    x, y, z = (ahead * ray[window] + np.float32(at) for ray, at in zip((rays.x, rays.y, rays.z), position, strict=True))
    raised = np.zeros_like(ahead)
    for lobe in lobes:
        c = lobe.centre.astype(np.float32)
        away = (np.square(x - c[0]) + np.square(y - c[1]) + np.square(z - c[2])) / np.float32(lobe.radius**2)
        np.maximum(raised, np.float32(lobe.flatness * lobe.radius) * np.exp(-away * np.sqrt(away)), out=raised)
    wall[window] = np.maximum(ahead - raised, np.float32(NEAREST))


def window_of(rays: Rays, position: Vector, lobes: tuple[Lobe, ...], reach: float = 1.25) -> tuple[slice, slice] | None:
    """The part of the grid that can show what lies within ``reach`` radii of the lobes; None when none does."""
    seen = np.zeros(rays.z[::3, ::3].shape, bool)
    for lobe in lobes:
        centre = lobe.centre - position
        distance = float(np.linalg.norm(centre))
        c = (centre / max(distance, 1e-6)).astype(np.float32)
        along = rays.x[::3, ::3] * c[0] + rays.y[::3, ::3] * c[1] + rays.z[::3, ::3] * c[2]
        angle = np.arcsin(min(reach * lobe.radius / max(distance, 1e-6), 1.0)) + 9 * rays.angle_step
        seen |= along > np.cos(min(angle, np.pi / 2))
    return grid_window(seen, 3)


def soft_minimum(first: Plane, second: Plane, softness: np.float32) -> Plane:
    """Minimum of two distances whose seam is rounded over ``softness``; never closer than the lens allows."""
    overlap = np.maximum(1.0 - np.abs(first - second) / softness, 0.0)
    rounded = np.minimum(first, second) - np.float32(0.25) * softness * overlap * overlap
    return np.maximum(rounded, np.float32(NEAREST))


def _trace_lobe(rays: Rays, position: Vector, lobe: Lobe, bumps: Plane | float) -> tuple[Plane, Plane]:
    centre = lobe.centre - position
    stretch = np.float32(1.0 / lobe.flatness**2 - 1.0)
    normal = lobe.normal.astype(np.float32)
    c = centre.astype(np.float32)
    rise = rays.x * normal[0] + rays.y * normal[1] + rays.z * normal[2]
    centre_rise = np.float32(centre @ lobe.normal)
    a = 1.0 + stretch * rise * rise
    b = rays.x * c[0] + rays.y * c[1] + rays.z * c[2] + stretch * centre_rise * rise
    radius = np.float32(lobe.radius) * (1.0 + bumps)
    closest = np.float32(centre @ centre + stretch * centre_rise**2) - b * b / a
    half_chord = np.sqrt(np.maximum(radius * radius - closest, 0.0) / a)
    within = 1.0 - np.sqrt(np.maximum(closest, 0.0)) / radius
    within = np.where(b > 0, within, np.float32(-1.0))  # behind the camera
    return np.maximum(b / a - half_chord, np.float32(NEAREST)).astype(np.float32), within.astype(np.float32)
