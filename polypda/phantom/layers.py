"""A layer of the coarse picture in CIE Lab, and what the sensor and the shape of a surface do to it."""

from __future__ import annotations

from dataclasses import dataclass

import cv2
import numpy as np

from polypda.phantom.tube import Plane

FALL_OFF, INCIDENCE = 0.95, 0.65
"""Exponents of distance and of the cosine of incidence in perceived lightness."""
DARKEST, BRIGHTEST = 3.0, 97.0
SHOULDER_FROM = 78.0
"""L* above which the sensor compresses."""
BASE_BLEND = 0.3
"""Over which share of its radius a polyp's surface runs into the wall."""
OUTLINE_REACH_PX = 6.0
"""Signed distances of outlines are kept within this many coarse pixels."""


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
