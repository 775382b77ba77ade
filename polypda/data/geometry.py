"""From a native frame to the network's grid and back: field-of-view crop, resize or letterbox, exact inverse."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum
from typing import TypeVar

import cv2
import numpy as np
from numpy.typing import NDArray

from polypda.cohorts.field_of_view import Box

Pixels = TypeVar("Pixels", bound=NDArray)


class Fit(StrEnum):
    """How a crop fills the network's square."""

    RESIZE = "resize"  # fills it, changing the aspect ratio (as the published systems and the polyp literature do)
    LETTERBOX = "letterbox"  # keeps the aspect ratio, pads


@dataclass(frozen=True)
class Geometry:
    """One frame's way to the network and back; pixel edges lie at integers, so both are exact affine maps.

    native, size: (height, width) of the frame and of the network's input. crop: the part that is used. content: where
    the crop lies in the network's input (all of it for ``resize``).
    """

    native: tuple[int, int]
    crop: Box
    size: tuple[int, int]
    content: Box

    @classmethod
    def of(cls, native: tuple[int, int], crop: Box, size: int, fit: Fit = Fit.RESIZE) -> Geometry:
        """Plan the way of a frame of ``native`` (height, width), cropped to ``crop``, into a ``size``² square."""
        if fit is Fit.RESIZE:
            return cls(native, crop, (size, size), Box(0, 0, size, size))
        scale = size / max(crop.width, crop.height)
        width, height = max(1, round(crop.width * scale)), max(1, round(crop.height * scale))
        left, top = (size - width) // 2, (size - height) // 2
        return cls(native, crop, (size, size), Box(left, top, left + width, top + height))

    @property
    def scale(self) -> tuple[float, float]:
        """(x, y) network pixels per native pixel."""
        return self.content.width / self.crop.width, self.content.height / self.crop.height

    def point_to_network(self, x: float, y: float) -> tuple[float, float]:
        scale_x, scale_y = self.scale
        return (x - self.crop.left) * scale_x + self.content.left, (y - self.crop.top) * scale_y + self.content.top

    def image_to_network(self, image: NDArray[np.uint8]) -> NDArray[np.uint8]:
        """uint8 H×W×3 → uint8 h×w×3; padding is black."""
        return self._place(self._resized(image))

    def mask_to_network(self, mask: NDArray) -> NDArray[np.uint8]:
        """0/1 H×W → 0/1 h×w: a network pixel is polyp where at least half of its area is; padding is 0."""
        return self._place((self._resized(mask.astype(np.float32)) >= 0.5).astype(np.uint8))

    def to_native(self, probability: NDArray[np.float32]) -> NDArray[np.float32]:
        """Carry a probability map h×w back to the native grid H×W, bilinearly; 0 outside the crop."""
        content = np.ascontiguousarray(
            probability[self.content.top : self.content.bottom, self.content.left : self.content.right]
        )
        resized = cv2.resize(content, (self.crop.width, self.crop.height), interpolation=cv2.INTER_LINEAR)
        native = np.zeros(self.native, np.float32)
        native[self.crop.top : self.crop.bottom, self.crop.left : self.crop.right] = resized
        return native

    def _resized(self, pixels: Pixels) -> Pixels:
        crop = np.ascontiguousarray(pixels[self.crop.top : self.crop.bottom, self.crop.left : self.crop.right])
        shrinks = self.content.width < self.crop.width or self.content.height < self.crop.height
        interpolation = cv2.INTER_AREA if shrinks else cv2.INTER_LINEAR
        return cv2.resize(crop, (self.content.width, self.content.height), interpolation=interpolation)  # type: ignore[return-value]

    def _place(self, content: NDArray[np.uint8]) -> NDArray[np.uint8]:
        if content.shape[:2] == self.size:
            return content
        placed = np.zeros(self.size + content.shape[2:], np.uint8)
        placed[self.content.top : self.content.bottom, self.content.left : self.content.right] = content
        return placed
