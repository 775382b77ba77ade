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
from polypda.cohorts.phantom.mimics import Lump
from polypda.cohorts.phantom.polyps import lie_on, soft_minimum, trace, window_of
from polypda.cohorts.phantom.scene import Polyp, Scene
from polypda.cohorts.phantom.textures import CLOUD_PX, TILE_PX, textures
from polypda.cohorts.phantom.tube import Plane, Pose, Rays, facing

FALL_OFF, INCIDENCE = 0.95, 0.65
"""Exponents of distance and of the cosine of incidence in perceived lightness."""
DARKEST, BRIGHTEST = 3.0, 97.0
RADIAL_LIMITS = (-34.0, 14.0)
"""L* that the lamp's beam may take from or add to the rim."""
SHOULDER_FROM = 78.0
"""L* above which the sensor compresses."""
RING_SHARE = 0.35
"""Width of the direct surroundings of a polyp, as a share of its radius in the picture."""
BEAM_SHARE, BEAM_LIMITS, BEAM_ROOM = 0.35, (-8.0, 30.0), 24.0
"""The lamp's beam on a watched polyp: radians it reaches beyond it, L* it may add, and L* below white it leaves."""
FAINT_BORDER = 0.45
"""Share of a flat lesion's contrast that is left at its outline."""
LEAST_CONTRAST = 6.0
"""Least ΔE of a flat lesion against its surroundings: fainter ones nobody could outline."""
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
    covered: how much of the wall stool hides, 0–1; None without.
    blobs: where the lamp's reflections run together, about −1 … 3; None without glare.
    """

    wall: Plane
    polyp: Plane | None
    outline: Plane | None
    shine: Plane
    around_x: Plane
    around_y: Plane
    along: Plane
    covered: Plane | None = None
    blobs: Plane | None = None


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
    wall = scene.wall(rays, pose)
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
    if scene.dye:
        _lay_dye(layer, scene, x, y, along)
    covered = np.zeros_like(wall) if scene.mimics.lumps else None
    for lump in scene.mimics.lumps:
        _lay_lump(layer, covered, lump, scene, rays, pose, wall)
    blobs = _on_wall(textures().cloud, _shifted(scene, 611.0), x, y, along) if scene.mimics.glare else None
    if not scene.polyps:
        _settle(layer, None, None, scene, inside)
        return CoarsePicture(layer.rgb(), None, None, towards, x, y, along, covered, blobs)
    outline = np.full_like(wall, -OUTLINE_REACH_PX)
    polyp = _Layer(layer.lightness.copy(), layer.a.copy(), layer.b.copy())
    shine = np.array(towards)
    for each in scene.polyps:
        _lay_polyp(look, polyp, outline, shine, layer, each, scene, canvas, rays, pose, wall, (level, gain))
    alpha = np.clip(outline + 0.5, 0.0, 1.0)
    _cast_contact_shadow(layer, alpha)
    _settle(layer, polyp, alpha, scene, inside)
    return CoarsePicture(layer.rgb(), polyp.rgb(), outline, shine, x, y, along, covered, blobs)


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
    where = _on_wall(textures().cloud, _shifted(scene, 311.0), x, y, np.float32(2.6) * along)
    patch = np.clip((where - np.float32(2.15 - 0.75 * scene.debris)) * 5.0, 0.0, 1.0) * np.float32(0.85)
    lump = 6.0 * np.clip(where - 1.6, -1.0, 1.0)
    layer.lightness += patch * (np.float32(3.0) + lump)
    layer.a -= patch * np.float32(7.0)
    layer.b += patch * np.float32(16.0) * np.clip(layer.lightness / 50.0, 0.2, 1.0)


def _shifted(scene: Scene, by: float) -> tuple[float, float]:
    """Another place of the tiles: what is laid with it does not follow the mucosa's own variation."""
    return scene.texture_origin[1] + by, scene.texture_origin[0] + 0.312 * by


def _lay_dye(layer: _Layer, scene: Scene, x: Plane, y: Plane, along: Plane) -> None:
    """A sprayed dye: it gathers in some places and leaves others pink. Its mean is in the scene's colour already."""
    where = np.clip(_on_wall(textures().cloud, _shifted(scene, 187.0), x, y, np.float32(1.7) * along), -1.6, 1.6)
    lit = np.float32(scene.dye) * where * np.clip(layer.lightness / 50.0, 0.2, 1.0)
    layer.a -= np.float32(3.5) * lit
    layer.b -= np.float32(6.0) * lit
    layer.lightness -= np.float32(2.0) * lit


def _lay_lump(
    layer: _Layer, covered: Plane | None, lump: Lump, scene: Scene, rays: Rays, pose: Pose, wall: Plane
) -> None:
    """Paint a lump of stool onto the wall; layer and covered in place."""
    window = window_of(rays, pose.position, lump.lobes)
    if window is None or covered is None:
        return
    near = Rays(rays.x[window], rays.y[window], rays.z[window], rays.angle_step)
    bumps = _own_texture(textures().cloud, lump.pattern, near.x.shape, cells=60)
    solid = trace(near, pose.position, lump.lobes, np.float32(0.12) * bumps)
    radius = np.float32(max(lobe.radius for lobe in lump.lobes))
    edge = _signed_distance(np.minimum(solid.inside, (wall[window] - solid.distance) / radius))
    alpha = np.clip(edge + 0.5, 0.0, 1.0)
    weight = float(alpha.sum())
    if weight < 1.0:
        return
    towards = facing(soft_minimum(solid.distance, wall[window], BASE_BLEND * radius), rays.angle_step, scene.lamp)
    middle = float((towards * alpha).sum()) / weight
    around = float((layer.lightness[window] * alpha).sum()) / weight
    lightness = np.float32(around + lump.colour[0]) + np.float32(32.0) * (towards - np.float32(middle)) + 3.0 * bumps
    chroma = _chroma_strength(lightness)
    for plane, value in (
        (layer.lightness, _compress(lightness)),
        (layer.a, np.float32(scene.colour[1] + lump.colour[1]) * chroma),
        (layer.b, np.float32(scene.colour[2] + lump.colour[2]) * chroma),
    ):
        plane[window] += alpha * (value - plane[window])
    covered[window] = np.maximum(covered[window], alpha)


def _lay_polyp(
    look: PhantomLook,
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
    window = window_of(rays, pose.position, polyp.lobes)
    if window is None:
        return
    near = Rays(rays.x[window], rays.y[window], rays.z[window], rays.angle_step)
    cells = 40 if polyp.elevation is None else 120
    bumps = np.float32(polyp.roughness) * _own_texture(textures().cloud, polyp.pattern, near.x.shape, cells)
    radius = np.float32(max(lobe.radius for lobe in polyp.lobes))
    if polyp.elevation is None:
        solid = trace(near, pose.position, polyp.lobes, bumps)
        edge = _signed_distance(np.minimum(solid.inside, (wall[window] - solid.distance) / radius))
    else:
        bumps -= np.float32(bumps.mean())
        solid = lie_on(near, pose.position, wall[window], polyp.lobes, polyp.elevation, bumps)
        edge = _signed_distance(solid.inside)
    pits = _own_texture(textures().pits, polyp.pattern, near.x.shape, cells=420)
    merged = soft_minimum(solid.distance, wall[window], np.float32(BASE_BLEND) * radius)
    uneven = merged * (1.0 + np.float32(0.003 * polyp.speckle) * pits)
    towards = _softened(facing(uneven, rays.angle_step, scene.lamp))
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
    lightness = _compress(lightness - np.float32(1.5 * polyp.speckle) * pits)
    chroma = _chroma_strength(lightness) / np.float32(0.95)
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


def _own_texture(tile: Plane, pattern: tuple[int, int], shape: tuple[int, ...], cells: int) -> Plane:
    """A piece of ``tile`` that grows and moves with a polyp or lump: ``cells`` tile pixels across its window."""
    top, left = pattern[0] % (tile.shape[0] - cells), pattern[1] % (tile.shape[1] - cells)
    piece = tile[top : top + cells, left : left + cells]
    return np.asarray(cv2.resize(piece, (shape[1], shape[0]), interpolation=cv2.INTER_AREA))


def _signed_distance(field: Plane) -> Plane:
    """Turn a field that is positive inside into a distance to its zero line in pixels, limited in reach."""
    slope_x = cv2.Sobel(field, cv2.CV_32F, 1, 0, scale=1 / 8, borderType=cv2.BORDER_REPLICATE)
    slope_y = cv2.Sobel(field, cv2.CV_32F, 0, 1, scale=1 / 8, borderType=cv2.BORDER_REPLICATE)
    steepness = np.maximum(np.sqrt(slope_x * slope_x + slope_y * slope_y), np.float32(1e-3))
    return np.clip(field / steepness, -OUTLINE_REACH_PX, OUTLINE_REACH_PX)


def _ring(alpha: Plane, edge: Plane, inside: NDArray[np.bool_]) -> Plane:
    """Weights of a polyp's direct surroundings on its window: a band around its outline."""
    reach = max(2, round(RING_SHARE * float(np.sqrt(max(float(alpha.sum()), 1.0) / np.pi))))
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
    layer: _Layer,
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
    reach = BEAM_SHARE + float(np.arctan(polyp.lobes[0].radius / away))
    cosine = rays.x * c[0] + rays.y * c[1] + rays.z * c[2]
    beam = np.exp((cosine - 1.0) * np.float32(1.0 / (1.0 - np.cos(reach))))
    beam *= np.clip(np.float32(1.6 * away) / wall - np.float32(0.3), 0.0, 1.0)  # the lumen behind stays dark
    share = max(_mean(beam[window], ring), 0.2)
    room = np.clip((np.float32(BRIGHTEST) - layer.lightness) / np.float32(BEAM_ROOM), 0.0, 1.0)
    lit = layer.lightness + np.float32(lack / share) * beam * room
    richer = _chroma_strength(lit) / _chroma_strength(layer.lightness)
    layer.lightness[...] = lit
    layer.a *= richer
    layer.b *= richer


def _faint(
    layer: _Layer,
    window: tuple[slice, slice],
    inside: Plane,
    alpha: Plane,
    ring: Plane,
    own: tuple[Plane, Plane, Plane],
    contrast: tuple[float, float, float],
) -> tuple[Plane, Plane, Plane]:
    """A flat lesion's colours: as light as the wall it lies on, a little off its colour, least so at the border."""
    around = [_mean(plane[window], ring) for plane in (layer.lightness, layer.a, layer.b)]
    wanted = np.array([_mean(own[0], alpha) - around[0], contrast[1], contrast[2]])
    wanted *= max(1.0, LEAST_CONTRAST / max(float(np.sqrt(np.square(wanted).sum())), 0.1))
    strength = np.float32(FAINT_BORDER) + np.float32(1 - FAINT_BORDER) * np.clip(inside / np.float32(0.25), 0.0, 1.0)
    colours = []
    for plane, value, difference in zip((layer.lightness, layer.a, layer.b), own, wanted, strict=True):
        under = plane[window]
        variation = value - np.float32(_mean(value, alpha)) - under + np.float32(_mean(under, alpha))
        colours.append(np.asarray(under + strength * np.float32(difference) + 0.35 * variation, np.float32))
    return colours[0], colours[1], colours[2]


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
