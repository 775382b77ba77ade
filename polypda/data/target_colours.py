"""A source frame in the colours of a target frame, before any other change: its labels stay what they are.

Two ways, one by chance for each frame: the amplitudes of its lowest frequencies (Yang and Soatto, "FDA", CVPR 2020), or
the mean and deviation of lightness and colour inside the field of view (after Reinhard et al., "Color Transfer between
Images", 2001). Both look at one random unlabelled frame of the target; no label of it is read.
"""

from __future__ import annotations

from dataclasses import dataclass

import cv2
import numpy as np
from numpy.typing import NDArray
from scipy import fft

Image = NDArray[np.uint8]
STEADY = 4.0
"""Lab units added to a deviation before dividing by it: a frame of one colour must not become noise."""


@dataclass(frozen=True)
class TargetColours:
    """How often and how far frames are recoloured.

    probability: share of frames that change, in [0, 1]. band: range of the exchanged band's half width as a share of
    the frame's side. least_mix: the recoloured frame is mixed with the original by a share in [least_mix, 1] (of the
    second way).
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


def with_low_frequencies(image: Image, style: Image, share: float) -> Image:
    """``image`` with the amplitudes of ``style`` in the 2b + 1 cells wide low band, b = ⌊side · share⌋."""
    height, width = image.shape[:2]
    b = int(min(height, width) * share)
    own, others = (fft.rfft2(frame.astype(np.float32), axes=(0, 1)) for frame in (image, style))
    rows = np.abs(np.fft.fftfreq(height, 1 / height)).round() <= b
    columns = np.arange(own.shape[1]) <= b
    band = (rows[:, None] & columns[None, :])[..., None]
    exchanged = np.abs(others) * np.exp(1j * np.angle(own))
    restored = fft.irfft2(np.where(band, exchanged, own), s=(height, width), axes=(0, 1))
    return np.clip(np.rint(restored), 0, 255).astype(np.uint8)


def with_colour_statistics(
    image: Image, inside: NDArray[np.bool_], style: Image, style_inside: NDArray[np.bool_], mix: float
) -> Image:
    """``image`` with Lab mean and deviation inside its field of view drawn to those of ``style``; mix: how far, 0–1."""
    if not inside.any() or not style_inside.any():
        return image
    lab, other = (cv2.cvtColor(frame.astype(np.float32) / 255, cv2.COLOR_RGB2Lab) for frame in (image, style))
    mean, deviation = lab[inside].mean(axis=0), lab[inside].std(axis=0)
    wanted, spread = other[style_inside].mean(axis=0), other[style_inside].std(axis=0)
    moved = (lab - mean) * ((spread + STEADY) / (deviation + STEADY)) + wanted
    mixed = (lab + mix * (moved - lab)).astype(np.float32)
    rgb = cv2.cvtColor(mixed, cv2.COLOR_Lab2RGB)
    return np.clip(np.rint(rgb * 255), 0, 255).astype(np.uint8)
