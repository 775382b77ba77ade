"""Pixels of decoded film frames: colours, upright position, small grey pictures to look at."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from polypda.importing.contract import Pixels

if TYPE_CHECKING:
    import av

HIGH_DEFINITION_PX = 720
"""Films of at least this height that do not tell their colour matrix are BT.709, smaller ones BT.601, as players do."""
UNSPECIFIED = 2
"""libav's number of a colour matrix that is not told."""


def rgb(picture: av.VideoFrame) -> Pixels:
    """uint8 H×W×3, RGB, as coded: not turned, none of its pixels resampled."""
    untold = int(picture.colorspace) == UNSPECIFIED and "yuv" in picture.format.name
    matrix = "ITU709" if picture.height >= HIGH_DEFINITION_PX else "ITU601"
    reformatted = picture.reformat(format="rgb24", src_colorspace=matrix if untold else None)
    return np.asarray(reformatted.to_ndarray(), np.uint8)


def upright(pixels: Pixels, quarter_turns: int) -> Pixels:
    """Pixels turned counter-clockwise by so many quarters (see :func:`quarter_turns`)."""
    return np.ascontiguousarray(np.rot90(pixels, quarter_turns))


def quarter_turns(picture: av.VideoFrame) -> int:
    """How often the frame must be turned counter-clockwise by 90 degrees to be upright, 0–3."""
    return round(picture.rotation / 90) % 4


def grey(picture: av.VideoFrame, longer_side_px: int) -> NDArray[np.uint8]:
    """uint8 h×w, reduced to a longer side of at most ``longer_side_px`` (never enlarged); not turned."""
    scale = min(1.0, longer_side_px / max(picture.width, picture.height))
    width, height = max(2, round(picture.width * scale)), max(2, round(picture.height * scale))
    return np.asarray(picture.reformat(width=width, height=height, format="gray").to_ndarray(), np.uint8)
