"""From geometry to colour on the coarse grid: lamp, fall-off, mucosa, polyps.

Light and colour are worked out in CIE Lab, because that is how a look is described: whatever the geometry, the frame
ends with the mean colour, the depth of light and dark, and the polyp contrast that its scene asks for.
"""

from __future__ import annotations

from dataclasses import dataclass

import cv2
import numpy as np
from numpy.typing import NDArray

from polypda.cohorts.phantom.canvas import Canvas
from polypda.cohorts.phantom.look import PhantomLook
from polypda.cohorts.phantom.polyps import soft_minimum, trace
from polypda.cohorts.phantom.scene import Polyp, Scene
from polypda.cohorts.phantom.textures import CLOUD_PX, TILE_PX, textures
from polypda.cohorts.phantom.tube import Plane, Pose, Rays, facing, wall_distance

FALL_OFF, INCIDENCE = 0.95, 0.65
"""Exponents of distance and of the cosine of incidence in perceived lightness."""
DARKEST, BRIGHTEST = 3.0, 97.0
RADIAL_LIMITS = (-34.0, 14.0)
"""L* that the lamp's beam may take from or add to the rim."""
SHOULDER_FROM = 78.0
"""L* above which the sensor compresses."""
POLYP_LIGHTNESS_SD = 11.0
"""A polyp's own light and dark are kept within this: a lamp at arm's length does not burn it out."""
BRIGHTEST_POLYP = 80.0
BASE_BLEND = 0.3
"""Over which share of its radius a polyp's surface runs into the wall."""
OUTLINE_REACH_PX = 6.0
"""Signed distances of outlines are kept within this many coarse pixels."""


@dataclass(frozen=True)
class CoarsePicture:
    """What the coarse grid tells; all h×w(×3) float32.

    wall, polyp: RGB 0–255 of the two layers (polyp is None without one).
    outline: signed distance to the polyps' visible outline in coarse pixels, positive inside; None without a polyp.
    shine: how squarely the seen surface faces the lamp, 0–1.
    around_x, around_y, along: surface coordinates of the wall (unit circle; tube radii along the axis).
    """

    wall: Plane
    polyp: Plane | None
    outline: Plane | None
    shine: Plane
    around_x: Plane
    around_y: Plane
    along: Plane


@dataclass
class _Layer:
    lightness: Plane
    a: Plane
    b: Plane

    def rgb(self) -> Plane:
        lab = cv2.merge([np.clip(self.lightness, DARKEST, BRIGHTEST), self.a, self.b])
        return np.clip(cv2.cvtColor(lab, cv2.COLOR_LAB2RGB), 0.0, 1.0) * np.float32(255.0)


def shade(look: PhantomLook, scene: Scene, canvas: Canvas, pose: Pose) -> CoarsePicture:
    """Work out one frame of a scene on the coarse grid."""
    rays = canvas.rays.turned(pose.rotation)
    inside = canvas.coarse_inside
    wall = wall_distance(rays, pose.position, scene.folds)
    x, y = wall * rays.x + np.float32(pose.position[0]), wall * rays.y + np.float32(pose.position[1])
    along = wall * rays.z + np.float32(pose.position[2])
    cloud = _on_wall(textures().cloud, scene.texture_origin, x, y, along)
    wall *= 1.0 + np.float32(0.022) * cloud
    towards = _softened(facing(wall, rays.angle_step, scene.lamp))
    light = towards**INCIDENCE / wall**FALL_OFF
    # anti-aliases the crests
    light = np.asarray(cv2.GaussianBlur(light, (3, 3), 0.6, borderType=cv2.BORDER_REPLICATE), np.float32)
    level, gain = _exposure(light, inside, scene, canvas)
    layer = _wall_layer(np.asarray(level + gain * light, np.float32), cloud, scene, canvas, inside)
    if scene.debris:
        _lay_debris(layer, scene, x, y, along)
    if not scene.polyps:
        _settle(layer, None, None, scene, inside)
        return CoarsePicture(layer.rgb(), None, None, towards, x, y, along)
    outline = np.full_like(wall, -OUTLINE_REACH_PX)
    polyp = _Layer(layer.lightness.copy(), layer.a.copy(), layer.b.copy())
    shine = np.array(towards)
    for each in scene.polyps:
        _lay_polyp(polyp, outline, shine, layer, each, scene, canvas, rays, pose, wall, (level, gain))
    alpha = np.clip(outline + 0.5, 0.0, 1.0)
    _cast_contact_shadow(layer, alpha)
    _settle(layer, polyp, alpha, scene, inside)
    return CoarsePicture(layer.rgb(), polyp.rgb(), outline, shine, x, y, along)


def _softened(plane: Plane) -> Plane:
    return np.asarray(cv2.blur(plane, (3, 3), borderType=cv2.BORDER_REPLICATE), np.float32)


def _on_wall(tile: Plane, origin: tuple[float, float], x: Plane, y: Plane, along: Plane) -> Plane:
    """Look a tile up at the wall's surface coordinates; ``origin`` in pixels of the fine tiles."""
    scale = CLOUD_PX / (2 * np.pi)
    u = cv2.phase(x, y) * np.float32(scale) + np.float32(origin[0] * CLOUD_PX / TILE_PX)
    v = along * np.float32(scale) + np.float32(origin[1] * CLOUD_PX / TILE_PX)
    whole, fraction = cv2.convertMaps(u, v, cv2.CV_16SC2)
    whole = np.bitwise_and(np.asarray(whole, np.int16), np.int16(CLOUD_PX - 1))
    return np.asarray(cv2.remap(tile, whole, fraction, cv2.INTER_LINEAR), np.float32)


def _exposure(light: Plane, inside: NDArray[np.bool_], scene: Scene, canvas: Canvas) -> tuple[Plane, np.float32]:
    """Offset and gain that bring light to L*: wanted mean and spread, wanted rim to centre."""
    sample = (slice(None, None, 3), slice(None, None, 3))
    lit, radius, values = inside[sample], canvas.radius[sample], light[sample]
    mean, sd = float(values[lit].mean()), max(float(values[lit].std()), 1e-3)
    gain = np.float32(scene.lightness_sd / sd)
    level = np.float32(scene.colour[0] - gain * mean)
    shaded = level + gain * values
    rim, centre = lit & (radius > 0.8), lit & (radius < 0.4)
    square = np.minimum(radius * radius, 1.4)
    rim_now, centre_now = float(shaded[rim].mean()), float(shaded[centre].mean())
    square_mean = float(square[lit].mean())
    rim_square, centre_square = float(square[rim].mean()) - square_mean, float(square[centre].mean()) - square_mean
    # rim + k·rim² = ratio·(centre + k·centre²), squares about their mean, solved for k.
    slope = rim_square - scene.rim_to_centre * centre_square
    strength = (scene.rim_to_centre * max(centre_now, 8.0) - rim_now) / slope
    strength = float(np.clip(strength, *RADIAL_LIMITS))
    everywhere = np.minimum(canvas.radius * canvas.radius, 1.4)
    return (level + np.float32(strength) * (everywhere - np.float32(square_mean))).astype(np.float32), gain


def _wall_layer(lightness: Plane, cloud: Plane, scene: Scene, canvas: Canvas, inside: NDArray[np.bool_]) -> _Layer:
    lightness = _compress(lightness + np.float32(1.6) * cloud)
    strength = _chroma_strength(lightness)
    mean = float(strength[inside].mean())
    a = strength * np.float32(scene.colour[1] / mean) + np.float32(1.3) * cloud
    b = strength * np.float32(scene.colour[2] / mean) - np.float32(1.0) * cloud
    return _Layer(lightness, a, b)


def _compress(lightness: Plane) -> Plane:
    """The sensor's shoulder and toe: L* approaches white and black without reaching them."""
    room = np.float32(BRIGHTEST - SHOULDER_FROM)
    over = np.maximum(lightness - np.float32(SHOULDER_FROM), 0.0) / room
    bright = np.minimum(lightness, np.float32(SHOULDER_FROM)) + room * over / (1.0 + over)
    under = np.maximum(np.float32(14.0) - lightness, 0.0)
    return np.asarray(np.maximum(bright, 14.0) - 11.0 * under / (11.0 + under), np.float32)


def _chroma_strength(lightness: Plane) -> Plane:
    """Chroma against L*: low in the dark, full in the middle, falling where the sensor saturates."""
    rise = np.clip(lightness / np.float32(50.0), 0.1, 1.3)
    wash = np.clip((lightness - np.float32(76.0)) / np.float32(22.0), 0.0, 1.0)
    return np.asarray(np.sqrt(rise) * rise**0.25 * (1.0 - 0.55 * wash), np.float32)


def _lay_debris(layer: _Layer, scene: Scene, x: Plane, y: Plane, along: Plane) -> None:
    """Stool and mucus on the wall: ragged yellow-brown patches of varying size."""
    shifted = (scene.texture_origin[1] + 311.0, scene.texture_origin[0] + 97.0)
    where = _on_wall(textures().cloud, shifted, x, y, np.float32(2.6) * along)
    patch = np.clip((where - np.float32(2.15 - 0.75 * scene.debris)) * 5.0, 0.0, 1.0) * np.float32(0.85)
    lump = 6.0 * np.clip(where - 1.6, -1.0, 1.0)
    layer.lightness += patch * (np.float32(3.0) + lump)
    layer.a -= patch * np.float32(7.0)
    layer.b += patch * np.float32(16.0) * np.clip(layer.lightness / 50.0, 0.2, 1.0)


def _lay_polyp(
    target: _Layer,
    outline: Plane,
    shine: Plane,
    wall_layer: _Layer,
    polyp: Polyp,
    scene: Scene,
    canvas: Canvas,
    rays: Rays,
    pose: Pose,
    wall: Plane,
    exposure: tuple[Plane, np.float32],
) -> None:
    """Trace one polyp and paint it into the polyps' layer, outline and shine, each in place."""
    window = _polyp_window(rays, pose, polyp)
    if window is None:
        return
    near = Rays(rays.x[window], rays.y[window], rays.z[window], rays.angle_step)
    bumps = _own_texture(textures().cloud, polyp, near.x.shape, cells=40)
    solid = trace(near, pose.position, polyp.lobes, np.float32(polyp.roughness) * bumps)
    in_front = (wall[window] - solid.distance) / np.float32(max(lobe.radius for lobe in polyp.lobes))
    edge = _signed_distance(np.minimum(solid.inside, in_front))
    pits = _own_texture(textures().pits, polyp, near.x.shape, cells=420)
    radius = np.float32(max(lobe.radius for lobe in polyp.lobes))
    merged = soft_minimum(solid.distance, wall[window], np.float32(BASE_BLEND) * radius)
    uneven = merged * (1.0 + np.float32(0.003 * polyp.speckle) * pits)
    towards = _softened(facing(uneven, rays.angle_step, scene.lamp))
    level, gain = exposure
    alpha = np.clip(edge + 0.5, 0.0, 1.0) * canvas.coarse_inside[window]
    lightness = level[window] + gain * towards**INCIDENCE / merged**FALL_OFF
    lightness = _set_contrast(lightness, wall_layer.lightness, alpha, polyp.contrast[0], canvas.coarse_inside, window)
    lightness = _compress(lightness - np.float32(1.5 * polyp.speckle) * pits)
    chroma = _chroma_strength(lightness) / np.float32(0.95)
    a = np.float32(scene.colour[1] + polyp.contrast[1]) * chroma + np.float32(2.2 * polyp.speckle) * pits
    b = np.float32(scene.colour[2] + polyp.contrast[2]) * chroma
    a += _chroma_shift(a, wall_layer.a, alpha, polyp.contrast[1], canvas.coarse_inside)
    b += _chroma_shift(b, wall_layer.b, alpha, polyp.contrast[2], canvas.coarse_inside)
    take = edge > outline[window]
    for plane, value in ((target.lightness, lightness), (target.a, a), (target.b, b)):
        plane[window] = np.where(take, value, plane[window])
    shine[window] = np.where(take & (edge > 0), towards, shine[window])
    outline[window] = np.maximum(outline[window], edge)


def _polyp_window(rays: Rays, pose: Pose, polyp: Polyp) -> tuple[slice, slice] | None:
    """The part of the grid that can show the polyp; None when none does."""
    seen = np.zeros(rays.z[::3, ::3].shape, bool)
    for lobe in polyp.lobes:
        centre = lobe.centre - pose.position
        distance = float(np.linalg.norm(centre))
        c = (centre / max(distance, 1e-6)).astype(np.float32)
        along = rays.x[::3, ::3] * c[0] + rays.y[::3, ::3] * c[1] + rays.z[::3, ::3] * c[2]
        reach = np.arcsin(min(1.25 * lobe.radius / max(distance, 1e-6), 1.0)) + 9 * rays.angle_step
        seen |= along > np.cos(min(reach, np.pi / 2))
    rows, columns = np.flatnonzero(seen.any(axis=1)), np.flatnonzero(seen.any(axis=0))
    if rows.size == 0:
        return None
    return (
        slice(max(0, 3 * int(rows[0]) - 3), 3 * int(rows[-1]) + 6),
        slice(max(0, 3 * int(columns[0]) - 3), 3 * int(columns[-1]) + 6),
    )


def _own_texture(tile: Plane, polyp: Polyp, shape: tuple[int, ...], cells: int) -> Plane:
    """A piece of ``tile`` that grows and moves with the polyp: ``cells`` tile pixels across its window."""
    top, left = polyp.pattern[0] % (tile.shape[0] - cells), polyp.pattern[1] % (tile.shape[1] - cells)
    piece = tile[top : top + cells, left : left + cells]
    return np.asarray(cv2.resize(piece, (shape[1], shape[0]), interpolation=cv2.INTER_AREA))


def _signed_distance(field: Plane) -> Plane:
    """Turn a field that is positive inside into a distance to its zero line in pixels, limited in reach."""
    slope_x = cv2.Sobel(field, cv2.CV_32F, 1, 0, scale=1 / 8, borderType=cv2.BORDER_REPLICATE)
    slope_y = cv2.Sobel(field, cv2.CV_32F, 0, 1, scale=1 / 8, borderType=cv2.BORDER_REPLICATE)
    steepness = np.maximum(np.sqrt(slope_x * slope_x + slope_y * slope_y), np.float32(1e-3))
    return np.clip(field / steepness, -OUTLINE_REACH_PX, OUTLINE_REACH_PX)


def _set_contrast(
    lightness: Plane,
    wall: Plane,
    alpha: Plane,
    wanted: float,
    inside: NDArray[np.bool_],
    window: tuple[slice, slice],
) -> Plane:
    """Lightness of a polyp (window) with the wanted mean against the rest of the field and a bounded spread."""
    weight = float(alpha.sum())
    if weight < 1.0:
        return lightness
    now = float((lightness * alpha).sum()) / weight
    spread = float(np.sqrt((np.square(lightness - now) * alpha).sum() / weight))
    others = float((wall * inside).sum() - (wall[window] * alpha).sum()) / max(float(inside.sum()) - weight, 1.0)
    goal = min(others + wanted, BRIGHTEST_POLYP)
    return np.asarray(goal + (lightness - now) * min(1.0, POLYP_LIGHTNESS_SD / max(spread, 1e-3)), np.float32)


def _chroma_shift(own: Plane, wall: Plane, alpha: Plane, wanted: float, inside: NDArray[np.bool_]) -> np.float32:
    weight = float(alpha.sum())
    if weight < 1.0:
        return np.float32(0.0)
    now = float((own * alpha).sum()) / weight
    return np.float32(np.clip(float(wall[inside].mean()) + wanted - now, -10.0, 10.0))


def _cast_contact_shadow(layer: _Layer, alpha: Plane) -> None:
    """Less light reaches the wall beside a polyp."""
    small = cv2.resize(alpha, None, fx=0.25, fy=0.25, interpolation=cv2.INTER_AREA)
    near = cv2.resize(cv2.blur(small, (5, 5)), (alpha.shape[1], alpha.shape[0]), interpolation=cv2.INTER_LINEAR)
    close = cv2.blur(alpha, (7, 7))
    layer.lightness *= 1.0 - 0.16 * near - 0.22 * close


def _settle(wall: _Layer, polyp: _Layer | None, alpha: Plane | None, scene: Scene, inside: NDArray[np.bool_]) -> None:
    """Shift both layers alike so that the frame's mean colour is the scene's."""
    for name, wanted in zip(("lightness", "a", "b"), scene.colour, strict=True):
        seen = getattr(wall, name)
        if polyp is not None and alpha is not None:
            seen = seen + alpha * (getattr(polyp, name) - seen)
        shift = np.float32(wanted - float(seen[inside].mean()))
        for layer in (wall, polyp):
            if layer is not None:
                setattr(layer, name, getattr(layer, name) + shift)
