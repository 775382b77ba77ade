"""Averaged answers: of one segmenter asked at several sizes and mirrored (:mod:`polypda.data.inference`), or of some.

The latter is late fusion. FCAN's headline figure fuses models trained on four directions of stylization. Report such a
fusion as what it is, an ensemble, beside its members: part of its gain would come to any ensemble.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import cv2
import numpy as np
import torch
import torch.nn.functional as F
from numpy.typing import NDArray
from scipy import ndimage
from torch import Tensor, nn

from polypda.data.cache import NativeFrame, NetworkGrid
from polypda.data.geometry import Geometry
from polypda.data.inference import THRESHOLD, Inference
from polypda.data.loading import image_tensor
from polypda.errors import UsageError
from polypda.networks.segmenter import POLYP, Prediction, Segmenter, to_image_size

BELOW_THRESHOLD = THRESHOLD - 1e-4
"""What the highest probability of a region that does not count becomes."""


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

        Every scale is brought to native pixels bilinearly before the mean is taken. Regions without the peak that the
        inference asks for are brought below the threshold.
        """
        (maps,) = self.network_maps(segmenter, [self.network_inputs(segmenter, native)])
        return self.to_native(native, maps)

    def network_inputs(self, segmenter: Segmenter, native: NativeFrame) -> tuple[NDArray[np.uint8], ...]:
        """What the network is shown of a frame: for each size, smallest first, uint8 h×w×3."""
        return tuple(self.geometry(native, size).image_to_network(native.image) for size in self.sizes(segmenter))

    @torch.no_grad()
    def network_maps(
        self, segmenter: Segmenter, inputs: Sequence[tuple[NDArray[np.uint8], ...]]
    ) -> list[tuple[NDArray[np.float32], ...]]:
        """P(polyp) of several frames' inputs in one batch for each size, each on its own grid h×w."""
        by_size = [self._probabilities(segmenter, images) for images in zip(*inputs, strict=True)]
        return list(zip(*by_size, strict=True))

    def to_native(self, native: NativeFrame, maps: Sequence[NDArray[np.float32]]) -> NDArray[np.float32]:
        """A frame's maps, one for each size, as one on the frame's own grid: see :meth:`native_probability`."""
        total = np.zeros(native.geometry.native, np.float32)
        for found in maps:
            total += self.geometry(native, found.shape[0]).to_native(found)
        return without_low_regions(np.clip(total / len(maps), 0.0, 1.0), self.inference.peak)

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
        return self._probabilities(segmenter, [image])[0]

    def _probabilities(self, segmenter: Segmenter, batch: Sequence[NDArray[np.uint8]]) -> NDArray[np.float32]:
        """P(polyp) of inputs of one size, B×h×w, the mean with the mirrored answers where these are asked for."""
        images = image_tensor(*batch).to(self.device)
        if self.inference.flips:
            images = torch.cat([images, images.flip(-1)])
        maps = polyp_probability(segmenter, images)
        if self.inference.flips:
            maps = (maps[: len(batch)] + maps[len(batch) :].flip(-1)) / 2
        return maps.float().cpu().numpy()


def without_low_regions(probability: NDArray[np.float32], peak: float) -> NDArray[np.float32]:
    """P(polyp), float32 H×W in [0, 1], in which every region of 0.5 and more whose highest value is below ``peak`` is
    scaled to end just below 0.5. Regions: 8-connected. The order of the pixels inside a region stays.
    """
    if peak <= THRESHOLD:
        return probability
    count, labels = cv2.connectedComponents((probability >= THRESHOLD).astype(np.uint8), connectivity=8)
    if count == 1:
        return probability
    peaks = np.asarray(ndimage.maximum(probability, labels, range(count)), np.float32)
    factors = np.where(peaks < peak, BELOW_THRESHOLD / peaks.clip(THRESHOLD), 1)
    factors[0] = 1
    return probability * factors.astype(np.float32)[labels]


def polyp_probability(segmenter: Segmenter, images: Tensor) -> Tensor:
    """P(polyp) of B×3×H×W images in [0, 1]: B×H×W, without a graph where the caller has none."""
    logits = to_image_size(segmenter(images).logits["main"], *images.shape[-2:])
    return logits.softmax(dim=1)[:, POLYP]


def fuse_probabilities(maps: Sequence[Tensor], weights: Sequence[float] | None = None) -> Tensor:
    """The weighted mean of probability maps of one shape (default: plain mean), accumulated in float64.

    Args: weights: not negative, not all zero; they are divided by their sum.
    Raises: UsageError E_FUSION for no map, other shapes, or unfitting weights.
    """
    shares = [1.0] * len(maps) if weights is None else list(weights)
    if not maps or len(shares) != len(maps) or min(shares) < 0 or sum(shares) <= 0:
        what = f"{len(maps)} maps with weights {shares}"
        raise UsageError("E_FUSION", what, fix="give at least one map, and per map a weight that is not negative.")
    if len({tuple(found.shape) for found in maps}) > 1:
        shapes = ", ".join("×".join(map(str, found.shape)) for found in maps)
        raise UsageError("E_FUSION", f"maps of different shapes: {shapes}", fix="bring them to one grid first.")
    total = sum(
        (share * found.double() for share, found in zip(shares, maps, strict=True)), torch.zeros(()).to(maps[0])
    )
    return (torch.as_tensor(total) / sum(shares)).to(maps[0].dtype)


class FusedSegmenter(Segmenter):
    """Several segmenters as one: its main logits are the logarithm of the members' mean softmax, at image size.

    For prediction only. Softmax of the logits gives the mean probabilities back.
    """

    def __init__(self, members: Sequence[Segmenter], weights: Sequence[float] | None = None) -> None:
        super().__init__()
        if not members:
            raise UsageError("E_FUSION", "no model to fuse", fix="give the models of at least one direction.")
        self.members = nn.ModuleList(members)
        self.weights = None if weights is None else tuple(weights)
        self.feature_channels = {}
        self.stride = max(member.stride for member in members)

    def forward(self, images: Tensor) -> Prediction:
        """Segment B×3×H×W. Raises: UsageError E_FUSION, E_INPUT_SIZE."""
        size = images.shape[-2:]
        maps = [
            F.interpolate(member(images).logits["main"], size=size, mode="bilinear", align_corners=True).softmax(dim=1)
            for member in self.members
        ]
        fused = fuse_probabilities(maps, self.weights)
        return Prediction({"main": fused.clamp_min(torch.finfo(fused.dtype).tiny).log()}, {})

    def backbone_parameters(self) -> Iterator[nn.Parameter]:
        """None: a fusion does not train."""
        yield from ()

    def head_parameters(self) -> Iterator[nn.Parameter]:
        """None: a fusion does not train."""
        yield from ()
