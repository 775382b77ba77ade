"""Changes made to a frame before its random augmentation: polyps covered with mucosa, and a target's colours taken."""

from __future__ import annotations

from dataclasses import dataclass

import cv2
import numpy as np
from numpy.typing import NDArray
from scipy import fft

from polypda.data.batches import IGNORED
from polypda.data.cache import Pixels

Image = NDArray[np.uint8]
MARGIN, FADE = 0.05, 0.03
"""Around a polyp, as fractions of the frame's side: what is covered with it, and the width of the seam."""
LARGEST = 0.35
"""Fraction of the field of view above which there is not enough mucosa to cover with."""
STEADY = 4.0
"""Lab units added to a deviation before dividing by it: a frame of one colour must not become noise."""

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


@dataclass(frozen=True)
class PolypRemoval:
    """Shows frames without their polyps: the frame itself, turned so that mucosa lies there, is faded in over them.

    A model that never saw a frame without a polyp marks something on every one. What is covered is labelled background.
    Where no turn covers every polyp the frame stays as it is. fraction: of the frames with a polyp, in [0, 1].
    """

    fraction: float

    @classmethod
    def up_to(cls, wanted: float, labels: Pixels | None, count: int) -> PolypRemoval | None:
        """Such that a fraction of all frames is polyp-free, with those that are so by nature; None: nothing to do.

        Args: wanted: in [0, 1]. labels: h×w of each of ``count`` frames; None where there are none.
        """
        if not wanted or labels is None or not count:
            return None
        natural = float(np.mean([not shows_polyp(labels[index]) for index in range(count)]))
        return cls((wanted - natural) / (1 - natural)) if natural < wanted else None

    def __call__(self, image: Image, valid: Image, labels: Image, seed: int) -> tuple[Image, Image]:
        """A frame and its labels, by chance without any polyp; the same seed gives the same frame.

        Args: image: uint8 h×w×3. valid: uint8 h×w, above 0 inside the field of view. labels: uint8 h×w; all that is not
            0 is covered: polyps, and what is ignored because it may be one.
        """
        chance = np.random.default_rng(seed)
        if chance.random() >= self.fraction:
            return image, labels
        found = without_polyps(image, valid, labels, chance)
        return (image, labels) if found is None else (found, np.zeros_like(labels))


def shows_polyp(labels: Image) -> bool:
    """Whether a pixel of a frame's labels (h×w) is polyp; one that is ignored, as outside the field of view, is not."""
    return bool(((labels != 0) & (labels != IGNORED)).any())


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


@dataclass(frozen=True)
class TargetColours:
    """How often and how far source frames take the colours of a random target frame, of which no label is read.

    probability: fraction of frames that change, in [0, 1]. band: range of the exchanged band's half width as a fraction
    of the frame's side. least_mix: colour statistics are mixed with the original's by a fraction in [least_mix, 1].
    """

    probability: float = 0.7
    band: tuple[float, float] = (0.01, 0.06)
    least_mix: float = 0.5

    def apply(self, image: Image, valid: Image, style: Image, style_valid: Image, chance: np.random.Generator) -> Image:
        """A source frame (uint8 h×w×3, its field of view uint8 h×w) in the colours of a target frame of equal size.

        Outside its field of view the frame stays as it is. The same generator state gives the same frame.
        """
        if chance.random() >= self.probability:
            return image
        if chance.random() < 0.5:
            changed = with_low_frequencies(image, style, chance.uniform(*self.band))
        else:
            mixed = chance.uniform(self.least_mix, 1.0)
            changed = with_colour_statistics(image, valid > 0, style, style_valid > 0, mixed)
        return np.where((valid > 0)[..., None], changed, image)


def with_low_frequencies(image: Image, style: Image, fraction: float) -> Image:
    """``image`` with the amplitudes of ``style`` in the 2b + 1 cells wide low band, b = ⌊side · fraction⌋.

    Yang and Soatto, "FDA", CVPR 2020.
    """
    height, width = image.shape[:2]
    b = int(min(height, width) * fraction)
    content, other = (fft.rfft2(frame.astype(np.float32), axes=(0, 1)) for frame in (image, style))
    rows = np.abs(np.fft.fftfreq(height, 1 / height)).round() <= b
    columns = np.arange(content.shape[1]) <= b
    band = (rows[:, None] & columns[None, :])[..., None]
    exchanged = np.abs(other) * np.exp(1j * np.angle(content))
    restored = fft.irfft2(np.where(band, exchanged, content), s=(height, width), axes=(0, 1))
    return np.clip(np.rint(restored), 0, 255).astype(np.uint8)


def with_colour_statistics(
    image: Image, inside: NDArray[np.bool_], style: Image, style_inside: NDArray[np.bool_], mix: float
) -> Image:
    """``image`` with Lab mean and deviation inside its field of view drawn to those of ``style``; mix: how far, 0–1.

    After Reinhard et al., "Color Transfer between Images", 2001.
    """
    if not inside.any() or not style_inside.any():
        return image
    lab, other = (cv2.cvtColor(frame.astype(np.float32) / 255, cv2.COLOR_RGB2Lab) for frame in (image, style))
    mean, deviation = lab[inside].mean(axis=0), lab[inside].std(axis=0)
    wanted, spread = other[style_inside].mean(axis=0), other[style_inside].std(axis=0)
    moved = (lab - mean) * ((spread + STEADY) / (deviation + STEADY)) + wanted
    mixed = (lab + mix * (moved - lab)).astype(np.float32)
    rgb = cv2.cvtColor(mixed, cv2.COLOR_Lab2RGB)
    return np.clip(np.rint(rgb * 255), 0, 255).astype(np.uint8)
