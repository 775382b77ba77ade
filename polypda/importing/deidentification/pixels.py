"""Blanking what surrounds the scope's image and what is written on it, also where text stood in other frames."""

from __future__ import annotations

from dataclasses import dataclass

import cv2
import numpy as np
from numpy.typing import NDArray

from polypda.quality.burned_in_text import find_burned_in_text
from polypda.quality.scope_image import StillnessMap, find_insets, find_scope_image
from polypda.quality.text_lines import TextLine

Region = tuple[float, float, float, float]
"""left, top, right, bottom as fractions of the frame (0–1)."""


@dataclass(frozen=True)
class Blanked:
    """A frame without what could identify.

    pixels: uint8 H×W×3, black where blanked. text, insets: bool H×W, what was blanked inside the field of view.
    kept: bool H×W, what is left. field_px: px of the scope's image as it was. lines: how many lines of text, inside
    and outside. doubtful: how many rows inside the field may be text and were kept. found: whether a field of view was.
    """

    pixels: NDArray[np.uint8]
    kept: NDArray[np.bool_]
    text: NDArray[np.bool_]
    insets: NDArray[np.bool_]
    field_px: int
    lines: int
    doubtful: int
    second_images: bool
    found: bool

    @property
    def hidden(self) -> NDArray[np.bool_]:
        """What was blanked inside the field of view: bool H×W."""
        return self.text | self.insets

    @property
    def field_lost(self) -> float:
        """Fraction of the field of view that was blanked (0–1)."""
        return float(np.count_nonzero(self.hidden)) / self.field_px if self.field_px else 0.0


def blank(image: NDArray[np.uint8], memory: OverlayMemory, regions: tuple[Region, ...] = ()) -> Blanked:
    """Blank a frame; what is learnt of it is remembered for the next.

    image: uint8 H×W×3, RGB. regions: places that are always blanked. Without a field of view the whole frame counts as
    one, ``found`` is False, and the caller decides.
    """
    size = (image.shape[0], image.shape[1])
    inset = find_insets(image)
    scope = find_scope_image(image, inset)
    seen = find_burned_in_text(image)
    possible = memory.possible(size)
    promoted = [line for line in seen.doubtful if _fraction_within(line, possible) >= 0.5]
    doubtful = [line for line in seen.doubtful if line not in promoted]
    text = seen.mask.copy()
    for line in promoted:
        text[_box(line, size)] = True
    memory.add(image, text)
    text |= memory.usual(size)
    for region in regions:
        text[_rows_and_columns(region, size)] = True
    field = scope.with_insets if scope.found else np.ones(size, bool)
    kept = field & ~inset & ~text
    pixels = image.copy()
    pixels[~kept] = 0
    return Blanked(
        pixels=pixels,
        kept=kept,
        text=text & field & ~inset,
        insets=inset & field,
        field_px=int(np.count_nonzero(field)),
        lines=len(seen.lines) + len(promoted),
        doubtful=sum(_fraction_within(line, kept) > 0.3 for line in doubtful),
        second_images=bool(scope.others.any()),
        found=scope.found,
    )


def _box(line: TextLine, size: tuple[int, int]) -> tuple[slice, slice]:
    margin = 0.4 * line.height
    rows = slice(max(0, int(line.top - margin)), min(size[0], int(np.ceil(line.bottom + margin))))
    return rows, slice(max(0, int(line.left - margin)), min(size[1], int(np.ceil(line.right + margin))))


def _fraction_within(line: TextLine, mask: NDArray[np.bool_]) -> float:
    part = mask[int(line.top) : int(np.ceil(line.bottom)), int(line.left) : int(np.ceil(line.right))]
    return float(part.mean()) if part.size else 0.0


def _rows_and_columns(region: Region, size: tuple[int, int]) -> tuple[slice, slice]:
    left, top, right, bottom = region
    rows = slice(int(top * size[0]), int(np.ceil(bottom * size[0])))
    return rows, slice(int(left * size[1]), int(np.ceil(right * size[1])))


LONGER_SIDE_PX = 480
LEAST_FRAMES = 8
MOST, SOME = 0.5, 0.1
"""Fractions of the frames that show text at a place: from the first on it is blanked in all, from the second on rows
that would be doubtful elsewhere are taken for text."""


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

    def where(self, fraction: float) -> NDArray[np.bool_]:
        if self._frames < LEAST_FRAMES:
            return np.zeros(self._size, bool)
        often = (self._counts >= fraction * self._frames).astype(np.uint8)
        return cv2.resize(often, self._size[::-1], interpolation=cv2.INTER_NEAREST).astype(bool)

    def still(self) -> NDArray[np.bool_]:
        return self._stillness.regions().mask
