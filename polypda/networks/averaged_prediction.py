"""How segmenters are asked for one frame: at several input sizes, mirrored, several as one; the answers averaged."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import cv2
import numpy as np
import torch
from numpy.typing import NDArray
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
    inside = probability >= THRESHOLD
    count, labels = cv2.connectedComponents(inside.view(np.uint8), connectivity=8)
    # few pixels of a frame: the rest is not looked at again
    values, regions = probability[inside], labels[inside].astype(np.intp)
    peaks = np.full(count, THRESHOLD, np.float32)
    np.maximum.at(peaks, regions, values)
    factors = np.where(peaks < peak, BELOW_THRESHOLD / peaks, 1).astype(np.float32)
    if (factors == 1).all():
        return probability
    counting = probability.copy()
    counting[inside] = values * factors[regions]
    return counting


def polyp_probability(segmenter: Segmenter, images: Tensor) -> Tensor:
    """P(polyp) of B×3×H×W images in [0, 1]: B×H×W, without a graph where the caller has none."""
    logits = to_image_size(segmenter(images).logits["main"], *images.shape[-2:])
    return logits.softmax(dim=1)[:, POLYP]


class FusedSegmenter(Segmenter):
    """Several segmenters as one, for prediction: its main logits are the logarithm of the members' mean softmax.

    Late fusion, as in FCAN's headline figure. Report it as an ensemble, beside its members: part of its gain would come
    to any ensemble. Logits are at image size; their softmax gives the mean probabilities back.
    """

    def __init__(self, members: Sequence[Segmenter]) -> None:
        """Raises: UsageError E_FUSION without a member."""
        super().__init__()
        if not members:
            raise UsageError("E_FUSION", "no model to fuse", fix="give the models of at least one direction.")
        self.members = nn.ModuleList(members)
        self.feature_channels = {}
        self.stride = max(member.stride for member in members)

    def forward(self, images: Tensor) -> Prediction:
        size = images.shape[-2:]
        maps = [to_image_size(member(images).logits["main"], *size).softmax(dim=1) for member in self.members]
        total = sum((found.double() for found in maps[1:]), maps[0].double())
        fused = (total / len(maps)).to(maps[0].dtype)
        return Prediction({"main": fused.clamp_min(torch.finfo(fused.dtype).tiny).log()}, {})

    def backbone_parameters(self) -> Iterator[nn.Parameter]:
        yield from ()

    def head_parameters(self) -> Iterator[nn.Parameter]:
        yield from ()
