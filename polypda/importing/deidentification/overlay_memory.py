"""Where text stood in other frames of the same size: a processor writes to the same places again and again."""

from __future__ import annotations

import cv2
import numpy as np
from numpy.typing import NDArray

from polypda.quality.overlays.static_regions import StillnessMap

LONGER_SIDE_PX = 480
LEAST_FRAMES = 8
MOST, SOME = 0.5, 0.1
"""Shares of the frames that show text at a place: from the first on it is blanked in all, from the second on rows that
would be doubtful elsewhere are taken for text."""


class OverlayMemory:
    """What was seen in the frames of each size so far."""

    def __init__(self) -> None:
        self._by_size: dict[tuple[int, int], _OneSize] = {}

    def add(self, image: NDArray[np.uint8], text: NDArray[np.bool_]) -> None:
        """Take in a frame, uint8 H×W×3 RGB, with the text that was found in it, bool H×W."""
        size = (image.shape[0], image.shape[1])
        self._by_size.setdefault(size, _OneSize(size)).add(image, text)

    def usual(self, size: tuple[int, int]) -> NDArray[np.bool_]:
        """bool H×W: text in most frames, or something still in all of them. size: (height, width)."""
        known = self._by_size.get(size)
        return known.where(MOST) | known.still() if known else np.zeros(size, bool)

    def possible(self, size: tuple[int, int]) -> NDArray[np.bool_]:
        """bool H×W: text in some frames. size: (height, width)."""
        known = self._by_size.get(size)
        return known.where(SOME) if known else np.zeros(size, bool)


class _OneSize:
    def __init__(self, size: tuple[int, int]) -> None:
        self._size = size
        scale = min(1.0, LONGER_SIDE_PX / max(size))
        self._small = (max(1, round(size[1] * scale)), max(1, round(size[0] * scale)))
        self._counts = np.zeros(self._small[::-1], np.int64)
        self._stillness = StillnessMap(*size)
        self._frames = 0

    def add(self, image: NDArray[np.uint8], text: NDArray[np.bool_]) -> None:
        reduced = cv2.resize(text.astype(np.uint8), self._small, interpolation=cv2.INTER_NEAREST)
        self._counts += reduced
        self._stillness.add(image)
        self._frames += 1

    def where(self, share: float) -> NDArray[np.bool_]:
        if self._frames < LEAST_FRAMES:
            return np.zeros(self._size, bool)
        often = (self._counts >= share * self._frames).astype(np.uint8)
        return cv2.resize(often, self._size[::-1], interpolation=cv2.INTER_NEAREST).astype(bool)

    def still(self) -> NDArray[np.bool_]:
        return self._stillness.regions().mask
