"""What the processor adds around the field of view: black border, inset picture, burned-in text."""

from __future__ import annotations

import cv2
import numpy as np
from numpy.typing import NDArray

from polypda.cohorts.phantom_look import BurnedInText, Inset, PhantomLook
from polypda.phantom.canvas import Canvas
from polypda.phantom.scene import Scene

Pixels = NDArray[np.uint8]

INSET_GREEN = (46, 180, 142)
INSET_BLACK = (2, 2, 2)
INSET_SHARE = (0.27, 0.33)
"""Width and height of the inset as shares of the frame's."""
TEXT_COLOUR = (206, 206, 206)


def assemble(
    look: PhantomLook, canvas: Canvas, scene: Scene, picture: Pixels, mask: Pixels, moment_s: float
) -> tuple[Pixels, Pixels]:
    """Set the field of view into its frame.

    The mask is cut where the inset covers the field: what cannot be seen is no part of a visible silhouette.
    Returns: uint8 H×W×3 RGB and uint8 H×W (0/255) at native size.
    """
    width, height = scene.size
    frame = np.full((height, width, 3), look.field_of_view.border_level, np.uint8)
    place = (slice(canvas.top, canvas.top + canvas.height), slice(canvas.left, canvas.left + canvas.width))
    lit = cv2.multiply(picture, canvas.outline, scale=1 / 255)
    border = cv2.multiply(frame[place], 255 - canvas.outline, scale=1 / 255)
    frame[place] = cv2.add(lit, border)
    full_mask = np.zeros((height, width), np.uint8)
    full_mask[place] = mask
    if look.inset is not Inset.NONE and scene.has_inset:
        _draw_inset(look, scene, frame, full_mask)
    if look.burned_in_text is not BurnedInText.NONE:
        _write(look, frame, moment_s)
    return frame, full_mask


def _draw_inset(look: PhantomLook, scene: Scene, frame: Pixels, mask: Pixels) -> None:
    height, width = frame.shape[:2]
    top, right = round(height * (1 - INSET_SHARE[1])), round(width * INSET_SHARE[0])
    frame[top:, :right] = INSET_GREEN if look.inset is Inset.GREEN else INSET_BLACK
    mask[top:, :right] = 0
    if look.inset is Inset.GREEN:
        # The inserted scope as the position display draws it: one bent grey tube.
        rng = np.random.default_rng(abs(hash_of(scene.texture_origin)))
        turns = np.cumsum(rng.normal(0, 0.35, 14)) - np.pi / 2
        step = (height - top) / 16
        path = np.array([0.55 * right, height - 2.0]) + np.cumsum(step * np.stack([np.cos(turns), np.sin(turns)], 1), 0)
        path = np.clip(path, (4, top + 4), (right - 4, height))
        cv2.polylines(frame, [np.rint(path).astype(np.int32)], False, (84, 84, 88), max(1, height // 140), cv2.LINE_AA)


def hash_of(origin: tuple[float, float]) -> int:
    """A stable whole number from a scene's texture origin (Python's own hash is salted per process)."""
    return int(origin[0] * 4096) * 8388608 + int(origin[1] * 4096)


def _write(look: PhantomLook, frame: Pixels, moment_s: float) -> None:
    """A clock and the word PHANTOM where the processor keeps its text: never a name, never a date."""
    height, width = frame.shape[:2]
    size = height / 1100.0
    clock = f"{int(moment_s // 3600):02d}:{int(moment_s // 60) % 60:02d}:{int(moment_s) % 60:02d}"
    line = max(9, round(height * 0.032))
    left = max(2, round(0.006 * width))
    places = [(clock, (left, line)), ("PHANTOM", (left, 2 * line))]
    if look.burned_in_text is BurnedInText.CORNERS:
        right = width - round(0.085 * width)
        places += [("1/60", (right, line)), ("AUTO +1", (right, 2 * line))]
        places += [(text, (left, height - (5 - i) * line)) for i, text in enumerate(("SE", "IRIS", "3.8 mm"))]
    for text, at in places:
        cv2.putText(frame, text, at, cv2.FONT_HERSHEY_SIMPLEX, size, TEXT_COLOUR, 1, cv2.LINE_AA)
