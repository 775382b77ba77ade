"""From the coarse picture to native pixels: outlines, vessels, highlights, lens, sensor, processor."""

from __future__ import annotations

import cv2
import numpy as np
from numpy.typing import NDArray

from polypda.cohorts.phantom.canvas import Canvas
from polypda.cohorts.phantom.look import PhantomLook
from polypda.cohorts.phantom.scene import Scene
from polypda.cohorts.phantom.shading import CoarsePicture
from polypda.cohorts.phantom.textures import GRAIN_SD, GRAIN_SHAPE, TILE_PX, textures
from polypda.cohorts.phantom.tube import Plane

Pixels = NDArray[np.uint8]

ABSORPTION = (0.30, 0.95, 0.80)
"""How much of red, green and blue a vessel swallows, relative to its contrast: blood is red."""
RELIEF_DEPTH = 0.0042
"""Brightness change per grey level of the relief tile at full texture strength."""
FINE_TEXTURE_FROM_PX = 640
"""Fields of view at least this high show the texture at double density: the optics resolve it."""


def paint(look: PhantomLook, scene: Scene, canvas: Canvas, coarse: CoarsePicture) -> tuple[Pixels, Pixels]:
    """Paint the field of view in native pixels, before lens and sensor.

    Returns: uint8 height×width×3 RGB, and the exact mask uint8 height×width (0/255).
    """
    size = (canvas.width, canvas.height)
    planes = [_enlarge(coarse.wall[..., i], size) for i in range(3)]
    vessels, relief, glints = _wall_detail(scene, canvas, coarse)
    alpha, mask = None, np.zeros((canvas.height, canvas.width), np.uint8)
    if coarse.outline is not None and coarse.polyp is not None:
        distance = _enlarge(coarse.outline, size) * np.float32(canvas.zoom)
        mask = np.where((distance > 0) & (canvas.outline[..., 0] > 127), np.uint8(255), np.uint8(0))
        alpha = np.clip(distance * np.float32(0.7) + 0.5, 0.0, 1.0)
        vessels = vessels * (1.0 - alpha)
        for i, plane in enumerate(planes):
            plane += alpha * (_enlarge(coarse.polyp[..., i], size) - plane)
    bumps = 1.0 + np.float32(RELIEF_DEPTH * look.texture) * relief
    for plane, absorbed in zip(planes, ABSORPTION, strict=True):
        plane *= bumps - np.float32(absorbed * scene.vessels) * vessels
    shining = _highlights(scene, canvas, coarse, glints, relief)
    for plane in planes:
        plane += shining * (np.float32(252.0) - plane)
    # convertTo-like saturation in one pass per plane
    return cv2.merge([cv2.convertScaleAbs(np.maximum(plane, 0.0)) for plane in planes]), mask


def _enlarge(plane: Plane, size: tuple[int, int]) -> Plane:
    return np.asarray(cv2.resize(np.ascontiguousarray(plane), size, interpolation=cv2.INTER_LINEAR))


def _wall_detail(scene: Scene, canvas: Canvas, coarse: CoarsePicture) -> tuple[Plane, Plane, Plane]:
    """Vessels (0–1), relief and glints (around 0) as the wall carries them, at native size."""
    size = (canvas.width, canvas.height)
    repeats = 2 if canvas.height >= FINE_TEXTURE_FROM_PX else 1
    scale = np.float32(repeats * TILE_PX / (2 * np.pi))
    turn = cv2.phase(_enlarge(coarse.around_x, size), _enlarge(coarse.around_y, size))
    u = turn * scale + np.float32(scene.texture_origin[0])
    v = _enlarge(coarse.along, size) * scale + np.float32(scene.texture_origin[1])
    detail = cv2.remap(textures().surface, u, v, cv2.INTER_LINEAR, borderMode=cv2.BORDER_WRAP)
    vessels, relief, glints = (channel.astype(np.float32) for channel in cv2.split(detail))
    return vessels * np.float32(1 / 255), relief - np.float32(128.0), glints - np.float32(128.0)


def _highlights(scene: Scene, canvas: Canvas, coarse: CoarsePicture, glints: Plane, relief: Plane) -> Plane:
    """Opacity of the highlights, 0–1: wet bumps that face the lamp, as many as the scene shows."""
    size = (canvas.width, canvas.height)
    wet = glints + np.float32(0.5) * relief + np.float32(150.0) * _enlarge(coarse.shine, size)
    sample = wet[::5, ::5][canvas.outline[::5, ::5, 0] > 127]
    share = min(scene.specular_percent / 100.0, 0.2)
    threshold = np.float32(np.quantile(sample, 1.0 - share))
    return np.clip((wet - threshold) * np.float32(0.055) + 0.72, 0.0, 1.0) ** 3


def expose(look: PhantomLook, scene: Scene, canvas: Canvas, picture: Pixels, rng: np.random.Generator) -> Pixels:
    """Lens blur, motion, edge enhancement, noise and interlacing, on the field of view's pixels."""
    if scene.blur_px > 0.25:
        picture = cv2.GaussianBlur(picture, (0, 0), scene.blur_px)
    if scene.motion_blur_px > 0:
        picture = _smear(picture, scene.motion_blur_px, float(rng.uniform(0, np.pi)))
    if look.sharpening > 0:
        soft = cv2.GaussianBlur(picture, (0, 0), 1.1 * max(scene.size) / 720.0)
        picture = cv2.addWeighted(picture, 1.0 + 2.2 * look.sharpening, soft, -2.2 * look.sharpening, 0.0)
    if look.noise_sd > 0:
        strength = look.noise_sd / GRAIN_SD
        picture = cv2.addWeighted(picture, 1.0, _grain(canvas, rng), strength, -128.0 * strength)
    if look.interlaced:
        _comb(picture, int(rng.integers(-3, 4)))
    return picture


def _smear(picture: Pixels, length_px: float, direction: float) -> Pixels:
    side = 2 * int(length_px / 2 + 1) + 1
    kernel = np.zeros((side, side), np.float32)
    middle = side // 2
    reach = np.array([np.cos(direction), np.sin(direction)]) * length_px / 2
    start, end = np.rint(middle - reach).astype(int), np.rint(middle + reach).astype(int)
    cv2.line(kernel, (int(start[0]), int(start[1])), (int(end[0]), int(end[1])), 1.0)
    return np.asarray(cv2.filter2D(picture, -1, kernel / kernel.sum()), np.uint8)


def _grain(canvas: Canvas, rng: np.random.Generator) -> Pixels:
    """A piece of the noise tile; larger fields get it mirrored at its end."""
    tile = textures().grain
    if canvas.height > GRAIN_SHAPE[0] or canvas.width > GRAIN_SHAPE[1]:
        below = max(0, canvas.height - GRAIN_SHAPE[0])
        beside = max(0, canvas.width - GRAIN_SHAPE[1])
        tile = np.pad(tile, ((0, below), (0, beside), (0, 0)), mode="reflect")
    top = int(rng.integers(0, tile.shape[0] - canvas.height + 1))
    left = int(rng.integers(0, tile.shape[1] - canvas.width + 1))
    return tile[top : top + canvas.height, left : left + canvas.width]


def _comb(picture: Pixels, shift_px: int) -> None:
    """Move the second field sideways: the scope moved between the two fields of an interlaced frame. In place."""
    if shift_px:
        picture[1::2] = np.roll(picture[1::2], shift_px, axis=1)
