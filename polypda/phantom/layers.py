"""Layers of the coarse image in CIE Lab, what sensor and surface do to them, and how a polyp is laid on its wall."""

from __future__ import annotations

from dataclasses import dataclass

import cv2
import numpy as np
from numpy.typing import NDArray

from polypda.cohorts.phantom_look import PhantomLook
from polypda.phantom.camera import Canvas, Plane, Pose, Rays, facing
from polypda.phantom.polyps import lie_on, soft_minimum, trace, window_of
from polypda.phantom.scene import Polyp, Scene
from polypda.phantom.textures import textures

FALL_OFF, INCIDENCE = 0.95, 0.65
"""Exponents of distance and of the cosine of incidence in perceived lightness."""
DARKEST, BRIGHTEST = 3.0, 97.0
SHOULDER_FROM = 78.0
"""L* above which the sensor compresses."""
BASE_BLEND = 0.3
"""Over which fraction of its radius a polyp's surface runs into the wall."""
OUTLINE_REACH_PX = 6.0
"""Signed distances of outlines are kept within this many coarse pixels."""
RING_FRACTION = 0.35
"""Width of the direct surroundings of a polyp, as a fraction of its radius in the image."""
BEAM_FRACTION, BEAM_LIMITS, BEAM_ROOM = 0.35, (-8.0, 30.0), 24.0
"""The lamp's beam on a watched polyp: radians it reaches beyond it, L* it may add, and L* below white it leaves."""
FAINT_BORDER = 0.45
"""Fraction of a flat lesion's contrast that is left at its outline."""
LEAST_CONTRAST = 6.0
"""Least ΔE of a flat lesion against its surroundings: fainter ones nobody could outline."""
BRIGHTEST_POLYP = 80.0


@dataclass
class Layer:
    """L*, a* and b* of the wall or of the polyps on the coarse grid, float32 h×w each; changed in place."""

    lightness: Plane
    a: Plane
    b: Plane

    def rgb(self) -> Plane:
        """The layer as RGB, float32 h×w×3 in 0–255."""
        lab = cv2.merge([np.clip(self.lightness, DARKEST, BRIGHTEST), self.a, self.b])
        return np.clip(cv2.cvtColor(lab, cv2.COLOR_LAB2RGB), 0.0, 1.0) * np.float32(255.0)


def softened(plane: Plane) -> Plane:
    """The plane with its pixel-sized steps evened out."""
    return np.asarray(cv2.blur(plane, (3, 3), borderType=cv2.BORDER_REPLICATE), np.float32)


def compress(lightness: Plane) -> Plane:
    """The sensor's shoulder and toe: L* approaches white and black without reaching them."""
    room = np.float32(BRIGHTEST - SHOULDER_FROM)
    over = np.maximum(lightness - np.float32(SHOULDER_FROM), 0.0) / room
    bright = np.minimum(lightness, np.float32(SHOULDER_FROM)) + room * over / (1.0 + over)
    under = np.maximum(np.float32(14.0) - lightness, 0.0)
    return np.asarray(np.maximum(bright, 14.0) - 11.0 * under / (11.0 + under), np.float32)


def chroma_strength(lightness: Plane) -> Plane:
    """Chroma against L*: low in the dark, full in the middle, falling where the sensor saturates."""
    rise = np.clip(lightness / np.float32(50.0), 0.1, 1.3)
    wash = np.clip((lightness - np.float32(76.0)) / np.float32(22.0), 0.0, 1.0)
    return np.asarray(np.sqrt(rise) * rise**0.25 * (1.0 - 0.55 * wash), np.float32)


def own_texture(tile: Plane, pattern: tuple[int, int], shape: tuple[int, ...], cells: int) -> Plane:
    """A piece of ``tile`` that grows and moves with a polyp or lump: ``cells`` tile pixels across its window."""
    top, left = pattern[0] % (tile.shape[0] - cells), pattern[1] % (tile.shape[1] - cells)
    piece = tile[top : top + cells, left : left + cells]
    return np.asarray(cv2.resize(piece, (shape[1], shape[0]), interpolation=cv2.INTER_AREA))


def signed_distance(field: Plane) -> Plane:
    """Turn a field that is positive inside into a distance to its zero line in pixels, limited in reach."""
    slope_x = cv2.Sobel(field, cv2.CV_32F, 1, 0, scale=1 / 8, borderType=cv2.BORDER_REPLICATE)
    slope_y = cv2.Sobel(field, cv2.CV_32F, 0, 1, scale=1 / 8, borderType=cv2.BORDER_REPLICATE)
    steepness = np.maximum(np.sqrt(slope_x * slope_x + slope_y * slope_y), np.float32(1e-3))
    return np.clip(field / steepness, -OUTLINE_REACH_PX, OUTLINE_REACH_PX)


def lay_polyp(
    look: PhantomLook,
    target: Layer,
    outline: Plane,
    shine: Plane,
    wall_layer: Layer,
    polyp: Polyp,
    scene: Scene,
    canvas: Canvas,
    rays: Rays,
    pose: Pose,
    wall: Plane,
    exposure: tuple[Plane, np.float32],
) -> None:
    """Trace one polyp and paint it into the polyps' layer, outline and shine, each in place."""
    window = window_of(rays, pose.position, polyp.lobes)
    if window is None:
        return
    near = rays.part(window)
    cells = 40 if polyp.elevation is None else 120
    bumps = np.float32(polyp.roughness) * own_texture(textures().cloud, polyp.pattern, near.x.shape, cells)
    radius = np.float32(max(lobe.radius for lobe in polyp.lobes))
    if polyp.elevation is None:
        solid = trace(near, pose.position, polyp.lobes, bumps)
        edge = signed_distance(np.minimum(solid.inside, (wall[window] - solid.distance) / radius))
    else:
        bumps -= np.float32(bumps.mean())
        solid = lie_on(near, pose.position, wall[window], polyp.lobes, polyp.elevation, bumps)
        edge = signed_distance(solid.inside)
    pits = own_texture(textures().pits, polyp.pattern, near.x.shape, cells=420)
    merged = soft_minimum(solid.distance, wall[window], np.float32(BASE_BLEND) * radius)
    uneven = merged * (1.0 + np.float32(0.003 * polyp.speckle) * pits)
    towards = softened(facing(uneven, rays.angle_step, scene.lamp))
    level, gain = exposure
    alpha = np.clip(edge + 0.5, 0.0, 1.0) * canvas.coarse_inside[window]
    ring = _ring(alpha, edge, canvas.coarse_inside[window])
    if polyp.local_lightness is not None:
        _light_up(wall_layer, polyp, polyp.local_lightness, alpha, ring, canvas.coarse_inside, window, rays, pose, wall)
    lightness = level[window] + gain * towards**INCIDENCE / merged**FALL_OFF
    if polyp.local_lightness is None:
        goal = _others(wall_layer.lightness, alpha, canvas.coarse_inside, window) + polyp.contrast[0]
    else:
        goal = _mean(wall_layer.lightness[window], ring) + polyp.local_lightness
    lightness = _with_mean(lightness, alpha, min(goal, BRIGHTEST_POLYP), look.polyp_shading_sd)
    lightness = compress(lightness - np.float32(1.5 * polyp.speckle) * pits)
    chroma = chroma_strength(lightness) / np.float32(0.95)
    a = np.float32(scene.colour[1] + polyp.contrast[1]) * chroma + np.float32(2.2 * polyp.speckle) * pits
    b = np.float32(scene.colour[2] + polyp.contrast[2]) * chroma
    a += _chroma_shift(a, wall_layer.a, alpha, polyp.contrast[1], canvas.coarse_inside)
    b += _chroma_shift(b, wall_layer.b, alpha, polyp.contrast[2], canvas.coarse_inside)
    if polyp.elevation is not None:
        lightness, a, b = _faint(wall_layer, window, solid.inside, alpha, ring, (lightness, a, b), polyp.contrast)
    take = edge > outline[window]
    for plane, value in ((target.lightness, lightness), (target.a, a), (target.b, b)):
        plane[window] = np.where(take, value, plane[window])
    shine[window] = np.where(take & (edge > 0), towards, shine[window])
    outline[window] = np.maximum(outline[window], edge)


def _ring(alpha: Plane, edge: Plane, inside: NDArray[np.bool_]) -> Plane:
    """Weights of a polyp's direct surroundings on its window: a band around its outline."""
    reach = max(2, round(RING_FRACTION * float(np.sqrt(max(float(alpha.sum()), 1.0) / np.pi))))
    side = 2 * reach + 1
    near = cv2.dilate(alpha.astype(np.float32), np.ones((side, side), np.uint8))
    return np.asarray(near * (edge < -1.0) * inside, np.float32)


def _mean(values: Plane, weights: Plane) -> float:
    """Weighted mean; the plain one where no weight is left."""
    total = float(weights.sum())
    return float((values * weights).sum()) / total if total >= 1.0 else float(values.mean())


def _others(wall: Plane, alpha: Plane, inside: NDArray[np.bool_], window: tuple[slice, slice]) -> float:
    """Mean of the wall over the field without the polyp, whose ``alpha`` covers the window."""
    rest = float((wall * inside).sum() - (wall[window] * alpha).sum())
    return rest / max(float(inside.sum()) - float(alpha.sum()), 1.0)


def _with_mean(lightness: Plane, alpha: Plane, goal: float, most_sd: float) -> Plane:
    """Lightness of a polyp with the wanted mean and a bounded spread: a lamp at arm's length does not burn it out."""
    weight = float(alpha.sum())
    if weight < 1.0:
        return lightness
    now = float((lightness * alpha).sum()) / weight
    spread = float(np.sqrt((np.square(lightness - now) * alpha).sum() / weight))
    return np.asarray(goal + (lightness - now) * min(1.0, most_sd / max(spread, 1e-3)), np.float32)


def _light_up(
    layer: Layer,
    polyp: Polyp,
    local: float,
    alpha: Plane,
    ring: Plane,
    inside: NDArray[np.bool_],
    window: tuple[slice, slice],
    rays: Rays,
    pose: Pose,
    wall: Plane,
) -> None:
    """Lead the lamp's beam to a polyp, until it is as light as its surroundings and its contrast ask; in place."""
    if float(alpha.sum()) < 1.0:
        return
    lack = _others(layer.lightness, alpha, inside, window) + polyp.contrast[0] - local
    lack = float(np.clip(lack - _mean(layer.lightness[window], ring), *BEAM_LIMITS))
    centre = polyp.lobes[0].centre - pose.position
    away = max(float(np.linalg.norm(centre)), 1e-3)
    c = (centre / away).astype(np.float32)
    reach = BEAM_FRACTION + float(np.arctan(polyp.lobes[0].radius / away))
    cosine = rays.x * c[0] + rays.y * c[1] + rays.z * c[2]
    beam = np.exp((cosine - 1.0) * np.float32(1.0 / (1.0 - np.cos(reach))))
    beam *= np.clip(np.float32(1.6 * away) / wall - np.float32(0.3), 0.0, 1.0)  # the lumen behind stays dark
    strength = max(_mean(beam[window], ring), 0.2)
    room = np.clip((np.float32(BRIGHTEST) - layer.lightness) / np.float32(BEAM_ROOM), 0.0, 1.0)
    lit = layer.lightness + np.float32(lack / strength) * beam * room
    richer = chroma_strength(lit) / chroma_strength(layer.lightness)
    layer.lightness[...] = lit
    layer.a *= richer
    layer.b *= richer


def _faint(
    layer: Layer,
    window: tuple[slice, slice],
    inside: Plane,
    alpha: Plane,
    ring: Plane,
    polyp: tuple[Plane, Plane, Plane],
    contrast: tuple[float, float, float],
) -> tuple[Plane, Plane, Plane]:
    """A flat lesion's colours: as light as the wall it lies on, a little off its colour, least so at the border."""
    around = [_mean(plane[window], ring) for plane in (layer.lightness, layer.a, layer.b)]
    wanted = np.array([_mean(polyp[0], alpha) - around[0], contrast[1], contrast[2]])
    wanted *= max(1.0, LEAST_CONTRAST / max(float(np.sqrt(np.square(wanted).sum())), 0.1))
    strength = np.float32(FAINT_BORDER) + np.float32(1 - FAINT_BORDER) * np.clip(inside / np.float32(0.25), 0.0, 1.0)
    colours = []
    for plane, value, difference in zip((layer.lightness, layer.a, layer.b), polyp, wanted, strict=True):
        under = plane[window]
        variation = value - np.float32(_mean(value, alpha)) - under + np.float32(_mean(under, alpha))
        colours.append(np.asarray(under + strength * np.float32(difference) + 0.35 * variation, np.float32))
    return colours[0], colours[1], colours[2]


def _chroma_shift(polyp: Plane, wall: Plane, alpha: Plane, wanted: float, inside: NDArray[np.bool_]) -> np.float32:
    weight = float(alpha.sum())
    if weight < 1.0:
        return np.float32(0.0)
    now = float((polyp * alpha).sum()) / weight
    return np.float32(np.clip(float(wall[inside].mean()) + wanted - now, -10.0, 10.0))
