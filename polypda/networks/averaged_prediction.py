"""What a segmenter says of one frame, asked at several sizes and mirrored (see :mod:`polypda.data.inference`)."""

from __future__ import annotations

from dataclasses import dataclass

import cv2
import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from polypda.data.cache import NativeFrame, NetworkGrid
from polypda.data.geometry import Geometry
from polypda.data.inference import Inference
from polypda.data.loading import image_tensor
from polypda.networks.segmenter import POLYP, Segmenter, to_image_size


@dataclass(frozen=True)
class Asked:
    """How and where segmenters are asked: the network's grid, the scales and mirrors, the device."""

    grid: NetworkGrid
    inference: Inference
    device: torch.device

    def sizes(self, segmenter: Segmenter) -> tuple[int, ...]:
        """Input sides in px, smallest first."""
        return self.inference.sizes(self.grid.size, segmenter.stride)

    def geometry(self, native: NativeFrame, size: int) -> Geometry:
        """The frame's way to an input of another size; the same part of the frame is used."""
        if size == self.grid.size:
            return native.geometry
        return Geometry.of(native.geometry.native, native.geometry.crop, size, self.grid.fit)

    @torch.no_grad()
    def native_probability(self, segmenter: Segmenter, native: NativeFrame) -> NDArray[np.float32]:
        """P(polyp) on the frame's own grid, float32 H×W in [0, 1]; 0 outside the crop that the network saw.

        Every scale is brought to native pixels bilinearly before the mean is taken.
        """
        sizes = self.sizes(segmenter)
        total = np.zeros(native.geometry.native, np.float32)
        for size in sizes:
            geometry = self.geometry(native, size)
            total += geometry.to_native(self._probability(segmenter, geometry.image_to_network(native.image)))
        return np.clip(total / len(sizes), 0.0, 1.0)

    @torch.no_grad()
    def grid_probability(self, segmenter: Segmenter, native: NativeFrame) -> NDArray[np.float32]:
        """P(polyp) on the network's grid, float32 h×w in [0, 1]: the mean of the scales, brought there by area."""
        side, sizes = self.grid.size, self.sizes(segmenter)
        total = np.zeros((side, side), np.float32)
        for size in sizes:
            probability = self._probability(segmenter, self.geometry(native, size).image_to_network(native.image))
            kind = cv2.INTER_AREA if size > side else cv2.INTER_LINEAR
            total += probability if size == side else cv2.resize(probability, (side, side), interpolation=kind)
        return np.clip(total / len(sizes), 0.0, 1.0)

    def _probability(self, segmenter: Segmenter, image: NDArray[np.uint8]) -> NDArray[np.float32]:
        """P(polyp) of an input picture on its own grid, the mean with its mirrored answer where that is asked for."""
        images = image_tensor(image).to(self.device)
        if self.inference.flips:
            images = torch.cat([images, images.flip(-1)])
        maps = polyp_probability(segmenter, images)
        if self.inference.flips:
            maps = (maps[:1] + maps[1:].flip(-1)) / 2
        return maps[0].float().cpu().numpy()


def polyp_probability(segmenter: Segmenter, images: Tensor) -> Tensor:
    """P(polyp) of B×3×H×W images in [0, 1]: B×H×W, without a graph where the caller has none."""
    logits = to_image_size(segmenter(images).logits["main"], *images.shape[-2:])
    return logits.softmax(dim=1)[:, POLYP]
