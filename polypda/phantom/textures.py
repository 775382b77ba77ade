"""Tileable textures of the mucosa, made once per process from a fixed seed and shared by all scenes.

A scene looks different by where and how it samples them, so rendering a frame costs one lookup, not one synthesis.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache

import cv2
import numpy as np
from numpy.typing import NDArray

TILE_PX, CLOUD_PX = 1024, 256
"""Sides of the fine tiles and of the cloud; powers of two, so that coordinates wrap by masking bits."""
TEXTURE_SEED = 20240711
GRAIN_SHAPE = (1280, 2048)
GRAIN_SD = 16.0
FOAM_SEED, FOAM_CLUSTERS = 20240712, 7
VESSEL_TREES = 46

Plane = NDArray[np.float32]


@dataclass(frozen=True)
class Textures:
    """Tiles of TILE_PX², wrapping at their edges.

    surface: uint8 (T+1)×(T+1)×3: vessels (0 none, 255 full), fine relief (128 ± …), glints (where wet bumps may shine).
    mean_vessels: mean of the first channel.
    cloud: float32 257×257 (257th row and column repeat the first), slow variation, mean 0, SD 1.
    pits: float32 T×T, the granular surface of a polyp, mean 0, SD 1.
    grain: uint8 1280×2048×3, sensor noise around 128 with SD 16.
    foam: uint8 (T+1)×(T+1)×2, clusters of bubbles: how much they whiten and how much they darken (255 fully).
    """

    surface: NDArray[np.uint8]
    mean_vessels: float
    cloud: Plane
    pits: Plane
    grain: NDArray[np.uint8]
    foam: NDArray[np.uint8]


@lru_cache(maxsize=1)
def textures() -> Textures:
    """The tiles (about half a second when first asked for; read-only)."""
    rng = np.random.default_rng(TEXTURE_SEED)
    cloud = _standard(_octaves(rng, (3, 6, 12, 24), 0.6))
    relief = _standard(_octaves(rng, (110, 220, 400), 0.9))
    pits = _standard(_ridges(rng, (40, 90)))
    vessels = np.clip(_vessels(rng) * (0.75 + 0.25 * np.clip(cloud, -1, 1)), 0, 1)
    glints = _standard(_octaves(rng, (64, 130, 260), 0.9)) + 0.6 * _standard(_octaves(rng, (7, 14, 28), 0.8))
    surface = np.dstack([255 * vessels, 128 + 34 * relief, 128 + 40 * _standard(glints)])
    # One more row and column, so that interpolation at the last pixel meets the first.
    surface = np.pad(surface, ((0, 1), (0, 1), (0, 0)), mode="wrap")
    coarse = cv2.resize(cloud, (CLOUD_PX, CLOUD_PX), interpolation=cv2.INTER_AREA)
    cloud = np.pad(_standard(np.asarray(coarse, np.float32)), ((0, 1), (0, 1)), mode="wrap")
    levels = np.clip(surface, 0, 255).astype(np.uint8)
    made = Textures(
        levels, float(levels[..., 0].mean()), cloud, pits, _grain(rng), _foam(np.random.default_rng(FOAM_SEED))
    )
    for tile in (made.surface, made.cloud, made.pits, made.grain, made.foam):
        tile.flags.writeable = False
    return made


def _octaves(rng: np.random.Generator, cells: tuple[int, ...], persistence: float) -> Plane:
    """Sum of smooth random fields with the given numbers of cells per tile; wraps."""
    total = np.zeros((TILE_PX, TILE_PX), np.float32)
    weight = 1.0
    for count in cells:
        total += weight * _smooth_field(rng, count)
        weight *= persistence
    return total


def _smooth_field(rng: np.random.Generator, cells: int) -> Plane:
    grid = rng.standard_normal((cells, cells)).astype(np.float32)
    margin = 3
    scale = TILE_PX / cells
    wrapped = np.pad(grid, margin, mode="wrap")
    side = round(wrapped.shape[0] * scale)
    large = cv2.resize(wrapped, (side, side), interpolation=cv2.INTER_CUBIC)
    offset = round(margin * scale)
    return np.asarray(large[offset : offset + TILE_PX, offset : offset + TILE_PX])


def _ridges(rng: np.random.Generator, cells: tuple[int, ...]) -> Plane:
    """Meandering ridges: where a smooth field passes zero. Looks like tubular and gyrate pits."""
    total = np.zeros((TILE_PX, TILE_PX), np.float32)
    for count in cells:
        total += np.exp(-np.square(2.2 * _smooth_field(rng, count)))
    return total


def _standard(field: Plane) -> Plane:
    return np.asarray((field - field.mean()) / field.std(), np.float32)


def _vessels(rng: np.random.Generator) -> Plane:
    """Branching vessels, 0–1, drawn as thinning random walks; every stroke is repeated across the tile's edges."""
    canvas = np.zeros((TILE_PX, TILE_PX), np.uint8)
    for _ in range(VESSEL_TREES):
        start = rng.uniform(0, TILE_PX, 2)
        _grow(canvas, rng, start, rng.uniform(0, 2 * np.pi), width=rng.uniform(1.5, 4.0), length=rng.uniform(120, 330))
    return np.asarray(cv2.GaussianBlur(canvas, (0, 0), 0.9, borderType=cv2.BORDER_REFLECT), np.float32) / 255.0


def _grow(
    canvas: NDArray[np.uint8], rng: np.random.Generator, start: NDArray, heading: float, width: float, length: float
) -> None:
    step = 9.0
    turns = np.cumsum(rng.normal(0, 0.24, max(3, int(length / step))))
    headings = heading + turns
    steps = step * np.stack([np.cos(headings), np.sin(headings)], axis=1)
    points = np.concatenate([start[None], start + np.cumsum(steps, axis=0)])
    for shift_x in (-TILE_PX, 0, TILE_PX):
        for shift_y in (-TILE_PX, 0, TILE_PX):
            moved = np.rint((points + np.array([shift_x, shift_y])) * 8).astype(np.int32)
            cv2.polylines(
                canvas, [moved], False, int(90 + 40 * width), max(1, round(width)), lineType=cv2.LINE_AA, shift=3
            )
    if width < 1.1:
        return
    for _ in range(int(rng.integers(2, 5))):
        at = int(rng.integers(1, len(points) - 1))
        side = float(rng.choice([-1.0, 1.0])) * rng.uniform(0.45, 1.0)
        _grow(canvas, rng, points[at], float(headings[at - 1]) + side, 0.62 * width, 0.58 * length)


def _grain(rng: np.random.Generator) -> NDArray[np.uint8]:
    """Noise with a shared (luminance) and a coloured part, slightly correlated between neighbours."""
    height, width = GRAIN_SHAPE
    luminance = rng.standard_normal((height, width, 1)).astype(np.float32)
    colour = rng.standard_normal((height, width, 3)).astype(np.float32)
    mixed = cv2.blur(0.9 * luminance + 0.45 * colour, (2, 2), borderType=cv2.BORDER_REFLECT)
    return np.clip(128 + GRAIN_SD * mixed / mixed.std(), 0, 255).astype(np.uint8)


def _foam(rng: np.random.Generator) -> NDArray[np.uint8]:
    """Clusters of bubbles that touch: a thin bright rim, a darker crescent within it, a glint, a pale film."""
    white, dark = np.zeros((TILE_PX, TILE_PX), np.uint8), np.zeros((TILE_PX, TILE_PX), np.uint8)
    for _ in range(FOAM_CLUSTERS):
        middle = rng.uniform(0, TILE_PX, 2)
        extent = rng.uniform(25, 110, 2)
        placed: list[tuple[float, float, float]] = []
        for _ in range(int(rng.integers(6, 60))):
            x, y = rng.normal(0, 1, 2) * extent
            radius = float(np.clip(np.exp(rng.normal(2.3, 0.75)), 3.0, 45.0))
            if all(np.hypot(x - i, y - j) > 0.9 * (radius + k) for i, j, k in placed):
                placed.append((x, y, radius))
                _draw_bubble(white, dark, (middle[0] + x, middle[1] + y), radius)
    tile = np.dstack([white, dark])
    return np.pad(tile, ((0, 1), (0, 1), (0, 0)), mode="wrap")


def _draw_bubble(white: NDArray[np.uint8], dark: NDArray[np.uint8], at: tuple[float, float], radius: float) -> None:
    """Draw one bubble into both planes, repeated across the tile's edges; in place."""
    thick = max(1, round(0.055 * radius))
    for across in (-TILE_PX, 0, TILE_PX):
        for down in (-TILE_PX, 0, TILE_PX):
            x, y = round((at[0] + across) * 8), round((at[1] + down) * 8)
            size = round(radius * 8)
            cv2.circle(white, (x, y), size, 26, cv2.FILLED, cv2.LINE_AA, 3)
            cv2.ellipse(dark, (x, y), (round(0.86 * size),) * 2, 0, 20, 160, 62, thick, cv2.LINE_AA, 3)
            cv2.circle(white, (x, y), size, 96, thick, cv2.LINE_AA, 3)
            cv2.ellipse(white, (x, y), (size, size), 0, 190, 290, 190, thick, cv2.LINE_AA, 3)
            glint = (x - round(0.4 * size), y - round(0.45 * size))
            cv2.circle(white, glint, max(8, round(0.13 * size)), 245, cv2.FILLED, cv2.LINE_AA, 3)
