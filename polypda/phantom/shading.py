"""From geometry to colour on the coarse grid: lamp, fall-off, mucosa, polyps.

Light and colour are worked out in CIE Lab, because that is how a look is described: whatever the geometry, the frame
ends with the mean colour, the depth of light and dark, and the polyp contrast that its scene asks for.
"""

from __future__ import annotations

from dataclasses import dataclass

import cv2
import numpy as np
from numpy.typing import NDArray

from polypda.cohorts.phantom_look import PhantomLook
from polypda.phantom.camera import Canvas, Plane, Pose, Rays, facing
from polypda.phantom.layers import (
    BASE_BLEND,
    FALL_OFF,
    INCIDENCE,
    OUTLINE_REACH_PX,
    Layer,
    chroma_strength,
    compress,
    lay_polyp,
    own_texture,
    signed_distance,
    softened,
)
from polypda.phantom.placement import Lump
from polypda.phantom.polyps import soft_minimum, trace, window_of
from polypda.phantom.scene import Scene
from polypda.phantom.textures import CLOUD_PX, TILE_PX, textures

RADIAL_LIMITS = (-34.0, 14.0)
"""L* that the lamp's beam may take from or add to the rim."""


@dataclass(frozen=True)
class CoarseImage:
    """One frame on the coarse grid; all h×w(×3) float32.

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


def shade(look: PhantomLook, scene: Scene, canvas: Canvas, pose: Pose) -> CoarseImage:
    """Work out one frame of a scene on the coarse grid."""
    rays = canvas.rays.turned(pose.rotation)
    inside = canvas.coarse_inside
    wall = scene.wall(rays, pose)
    x, y = wall * rays.x + np.float32(pose.position[0]), wall * rays.y + np.float32(pose.position[1])
    along = wall * rays.z + np.float32(pose.position[2])
    cloud = _on_wall(textures().cloud, scene.texture_origin, x, y, along)
    wall *= 1.0 + np.float32(0.022) * cloud
    towards = softened(facing(wall, rays.angle_step, scene.lamp))
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
        return CoarseImage(layer.rgb(), None, None, towards, x, y, along, covered, blobs)
    outline = np.full_like(wall, -OUTLINE_REACH_PX)
    polyp = Layer(layer.lightness.copy(), layer.a.copy(), layer.b.copy())
    shine = np.array(towards)
    for each in scene.polyps:
        lay_polyp(look, polyp, outline, shine, layer, each, scene, canvas, rays, pose, wall, (level, gain))
    alpha = np.clip(outline + 0.5, 0.0, 1.0)
    _cast_contact_shadow(layer, alpha)
    _settle(layer, polyp, alpha, scene, inside)
    return CoarseImage(layer.rgb(), polyp.rgb(), outline, shine, x, y, along, covered, blobs)


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


def _wall_layer(lightness: Plane, cloud: Plane, scene: Scene, canvas: Canvas, inside: NDArray[np.bool_]) -> Layer:
    lightness = compress(lightness + np.float32(1.6) * cloud)
    strength = chroma_strength(lightness)
    mean = float(strength[inside].mean())
    a = strength * np.float32(scene.colour[1] / mean) + np.float32(1.3) * cloud
    b = strength * np.float32(scene.colour[2] / mean) - np.float32(1.0) * cloud
    return Layer(lightness, a, b)


def _lay_debris(layer: Layer, scene: Scene, x: Plane, y: Plane, along: Plane) -> None:
    """Stool and mucus on the wall: ragged yellow-brown patches of varying size."""
    where = _on_wall(textures().cloud, _shifted(scene, 311.0), x, y, np.float32(2.6) * along)
    patch = np.clip((where - np.float32(2.15 - 0.75 * scene.debris)) * 5.0, 0.0, 1.0) * np.float32(0.85)
    lump = 6.0 * np.clip(where - 1.6, -1.0, 1.0)
    layer.lightness += patch * (np.float32(3.0) + lump)
    layer.a -= patch * np.float32(7.0)
    layer.b += patch * np.float32(16.0) * np.clip(layer.lightness / 50.0, 0.2, 1.0)


def _shifted(scene: Scene, by: float) -> tuple[float, float]:
    """Another part of the tiles: what is laid with it does not follow the mucosa's own variation."""
    return scene.texture_origin[1] + by, scene.texture_origin[0] + 0.312 * by


def _lay_dye(layer: Layer, scene: Scene, x: Plane, y: Plane, along: Plane) -> None:
    """A sprayed dye: it gathers in some places and leaves others pink. Its mean is in the scene's colour already."""
    where = np.clip(_on_wall(textures().cloud, _shifted(scene, 187.0), x, y, np.float32(1.7) * along), -1.6, 1.6)
    lit = np.float32(scene.dye) * where * np.clip(layer.lightness / 50.0, 0.2, 1.0)
    layer.a -= np.float32(3.5) * lit
    layer.b -= np.float32(6.0) * lit
    layer.lightness -= np.float32(2.0) * lit


def _lay_lump(
    layer: Layer, covered: Plane | None, lump: Lump, scene: Scene, rays: Rays, pose: Pose, wall: Plane
) -> None:
    """Paint a lump of stool onto the wall; layer and covered in place."""
    window = window_of(rays, pose.position, lump.lobes)
    if window is None or covered is None:
        return
    near = rays.part(window)
    bumps = own_texture(textures().cloud, lump.pattern, near.x.shape, cells=60)
    solid = trace(near, pose.position, lump.lobes, np.float32(0.12) * bumps)
    radius = np.float32(max(lobe.radius for lobe in lump.lobes))
    edge = signed_distance(np.minimum(solid.inside, (wall[window] - solid.distance) / radius))
    alpha = np.clip(edge + 0.5, 0.0, 1.0)
    weight = float(alpha.sum())
    if weight < 1.0:
        return
    towards = facing(soft_minimum(solid.distance, wall[window], BASE_BLEND * radius), rays.angle_step, scene.lamp)
    middle = float((towards * alpha).sum()) / weight
    around = float((layer.lightness[window] * alpha).sum()) / weight
    lightness = np.float32(around + lump.colour[0]) + np.float32(32.0) * (towards - np.float32(middle)) + 3.0 * bumps
    chroma = chroma_strength(lightness)
    for plane, value in (
        (layer.lightness, compress(lightness)),
        (layer.a, np.float32(scene.colour[1] + lump.colour[1]) * chroma),
        (layer.b, np.float32(scene.colour[2] + lump.colour[2]) * chroma),
    ):
        plane[window] += alpha * (value - plane[window])
    covered[window] = np.maximum(covered[window], alpha)


def _cast_contact_shadow(layer: Layer, alpha: Plane) -> None:
    """Less light reaches the wall beside a polyp."""
    small = cv2.resize(alpha, None, fx=0.25, fy=0.25, interpolation=cv2.INTER_AREA)
    near = cv2.resize(cv2.blur(small, (5, 5)), (alpha.shape[1], alpha.shape[0]), interpolation=cv2.INTER_LINEAR)
    close = cv2.blur(alpha, (7, 7))
    layer.lightness *= 1.0 - 0.16 * near - 0.22 * close


def _settle(wall: Layer, polyp: Layer | None, alpha: Plane | None, scene: Scene, inside: NDArray[np.bool_]) -> None:
    """Shift both layers alike so that the frame's mean colour is the scene's."""
    for name, wanted in zip(("lightness", "a", "b"), scene.colour, strict=True):
        seen = getattr(wall, name)
        if polyp is not None and alpha is not None:
            seen = seen + alpha * (getattr(polyp, name) - seen)
        shift = np.float32(wanted - float(seen[inside].mean()))
        for layer in (wall, polyp):
            if layer is not None:
                setattr(layer, name, getattr(layer, name) + shift)
