"""Phantom films: one scene while the scope moves through it, progressive or woven of two fields."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
from numpy.typing import NDArray

from polypda.cohorts.phantom_look import PhantomLook
from polypda.phantom.renderer import render_frame

Pixels = NDArray[np.uint8]


def film_moments(look: PhantomLook, *, seed: int, moments: int, scene: int = 0) -> Iterator[Pixels]:
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
