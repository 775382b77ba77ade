"""Polyp-free frames for trainings that have none: the polyp gives way to mucosa of the same frame.

A model that never saw a frame without a polyp marks something on every one. Most public cohorts hold such frames only
as pictures of polyps, so the polyp's place is covered: the frame itself, turned or mirrored so that mucosa comes to lie
there, is faded in over the polyp and its seam, its colour shifted to that of the surroundings. What remains is labelled
background everywhere. Where no turn covers every polyp with mucosa the frame stays as it is.
"""

from __future__ import annotations

from dataclasses import dataclass

import cv2
import numpy as np
from numpy.typing import NDArray

from polypda.data.cache import Pixels

Image = NDArray[np.uint8]
MARGIN, FADE = 0.05, 0.03
"""Around a polyp, as shares of the frame's side: what is covered with it, and the width of the seam."""
LARGEST = 0.35
"""Share of the field of view above which there is not enough mucosa to cover with."""


@dataclass(frozen=True)
class PolypRemoval:
    """share: of the frames with a polyp, in [0, 1], that are to be shown without."""

    share: float

    @classmethod
    def up_to(cls, wanted: float, labels: Pixels | None, count: int) -> PolypRemoval | None:
        """Such that a share of all frames is polyp-free, with those that are so by nature; None: nothing to do.

        Args: wanted: in [0, 1]. labels: h×w of each of ``count`` frames; None where there are none.
        """
        if not wanted or labels is None or not count:
            return None
        own = float(np.mean([not labels[index].any() for index in range(count)]))
        return cls((wanted - own) / (1 - own)) if own < wanted else None

    def __call__(self, image: Image, valid: Image, labels: Image, seed: int) -> tuple[Image, Image]:
        """A frame and its labels, by chance without any polyp; the same seed gives the same frame.

        Args: image: uint8 h×w×3. valid: uint8 h×w, above 0 inside the field of view. labels: uint8 h×w; all that is not
            0 is covered: polyps, and what is ignored because it may be one.
        """
        chance = np.random.default_rng(seed)
        if chance.random() >= self.share:
            return image, labels
        found = without_polyps(image, valid, labels, chance)
        return (image, labels) if found is None else (found, np.zeros_like(labels))


def without_polyps(image: Image, valid: Image, labels: Image, chance: np.random.Generator) -> Image | None:
    """The frame with all that is labelled covered by mucosa of its own; None where there is nothing, or no way."""
    side = min(labels.shape)
    inside = valid > 0
    polyp = (labels > 0) & inside
    if not polyp.any() or polyp.sum() > LARGEST * inside.sum():
        return None
    covered = _grown(polyp, MARGIN * side)
    seam = _grown(covered, FADE * side)
    for turn in chance.permutation(len(TURNS)):
        donor, bare, whole = (TURNS[turn](each) for each in (image, _grown(polyp, FADE * side), inside))
        if donor.shape != image.shape or (seam & inside & (bare | ~whole)).any():
            continue
        ring = seam & ~covered & inside
        if not ring.any():
            return None
        shift = image[ring].mean(axis=0) - donor[ring].mean(axis=0)
        weight = cv2.GaussianBlur(covered.astype(np.float32), (0, 0), FADE * side / 2)[..., None]
        mixed = image + weight * (donor + shift - image)
        return np.where(seam[..., None] & inside[..., None], np.clip(mixed, 0, 255), image).astype(np.uint8)
    return None


def _grown(region: NDArray[np.bool_], pixels: float) -> NDArray[np.bool_]:
    width = 2 * max(1, round(pixels)) + 1
    ellipse = cv2.getStructuringElement(cv2.MORPH_ELLIPSE, (width, width))
    return cv2.dilate(region.astype(np.uint8), ellipse) > 0


TURNS = (
    lambda image: image[:, ::-1],
    lambda image: image[::-1],
    lambda image: image[::-1, ::-1],
    lambda image: np.rot90(image, 1),
    lambda image: np.rot90(image, 3),
    lambda image: image.swapaxes(0, 1),
    lambda image: np.rot90(image, 2).swapaxes(0, 1),
)
"""All turns by quarters and mirrors but the frame itself; quarters only fit square frames."""
