"""Render frames and films: frame *k* of a seed is a pure function of look, seed and *k*."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from dataclasses import dataclass
from functools import lru_cache

import numpy as np
from numpy.typing import NDArray

from polypda.cohorts.phantom_look import PhantomLook
from polypda.phantom.canvas import canvas_of
from polypda.phantom.optics import assemble, expose, paint
from polypda.phantom.scene import Scene, draw_scene
from polypda.phantom.shading import shade

RENDERER_VERSION = 2
"""Raised whenever the same seed and look would give other pixels."""
FRAME_INTERVAL_S = 0.4

Pixels = NDArray[np.uint8]


@dataclass(frozen=True)
class Place:
    """Where a frame stands in its cohort: sequence index, place in the sequence, and seconds from its start."""

    sequence: int
    within: int
    t_s: float


def place_of(look: PhantomLook, index: int) -> Place:
    """Where frame ``index`` (from 0) of a cohort stands."""
    sequence, within = divmod(index, look.frames_per_sequence)
    return Place(sequence, within, within * FRAME_INTERVAL_S)


def cohort_seed(cohort: str, seed: int) -> int:
    """The seed of one cohort's frames: cohorts of the same seed must not show the same scenes in another light."""
    return int.from_bytes(hashlib.sha256(f"{cohort}\n{seed}".encode()).digest()[:6], "big")


def render_frame(look: PhantomLook, *, seed: int, index: int) -> tuple[NDArray[np.uint8], NDArray[np.uint8]]:
    """Render one frame.

    Args:
        look: the scope's look.
        seed: non-negative; for a cohort's own frames :func:`cohort_seed`.
        index: of the frame, from 0; neighbours share a scene (see ``frames_per_sequence``).

    Returns: image uint8 H×W×3 RGB (before JPEG) and mask uint8 H×W, 255 on the polyps' visible silhouette, else 0.
        With interlacing the mask belongs to the first field.
    """
    location = place_of(look, index)
    scene = _scene(look.model_dump_json(), seed, location.sequence)
    canvas = canvas_of(scene.size, look.field_of_view)
    rng = np.random.default_rng([seed, 15485863, index])
    moment = (location.within + 0.5) / look.frames_per_sequence - 0.5
    coarse = shade(look, scene, canvas, scene.pose(moment))
    image, mask = paint(look, scene, canvas, coarse)
    image = expose(look, scene, canvas, image, rng)
    return assemble(look, canvas, scene, image, mask, 60.0 * location.sequence + location.t_s)


@lru_cache(maxsize=4)
def _scene(look_json: str, seed: int, sequence: int) -> Scene:
    return draw_scene(PhantomLook.model_validate_json(look_json), seed, sequence)


def video_moments(look: PhantomLook, *, seed: int, moments: int, scene: int = 0) -> Iterator[Pixels]:
    """A scene at evenly spaced moments, each a whole progressive picture; the fewer, the faster the scope moves.

    Returns: uint8 H×W×3, RGB, ``moments`` times.
    """
    moving = look.model_copy(update={"interlaced": False, "frames_per_sequence": moments})
    for moment in range(moments):
        yield render_frame(moving, seed=seed, index=scene * moments + moment)[0]


def woven(moments: Iterator[Pixels], *, top_first: bool = True) -> Iterator[Pixels]:
    """Interlaced frames of a progressive film: each takes one field of a moment, the other of the next.

    moments: twice as many as frames come out (a last odd one is left over). top_first: whether the even lines (0, 2…)
    are the earlier ones, as PAL has them.
    """
    for first in moments:
        second = next(moments, None)
        if second is None:
            return
        frame = first.copy()
        late = 1 if top_first else 0
        frame[late::2] = second[late::2]
        yield frame
