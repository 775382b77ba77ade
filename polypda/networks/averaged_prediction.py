"""How segmenters are asked for one frame: at several input sizes, mirrored, several as one; the answers averaged."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import cv2
import numpy as np
import torch
from numpy.typing import NDArray
from pydantic import BaseModel, ConfigDict, Field, field_validator, model_validator
from scipy import ndimage
from torch import Tensor, nn

from polypda.data.cache import NativeFrame, NetworkGrid
from polypda.data.geometry import Geometry
from polypda.data.loading import image_tensor
from polypda.errors import UsageError, nearest
from polypda.networks.segmenter import POLYP, Prediction, Segmenter, to_image_size

THRESHOLD = 0.5
"""From this probability on a pixel is polyp."""


class Inference(BaseModel):
    """The protocol of asking, the same for every model of a table.

    scales: input sizes relative to the training's; a larger one shows small polyps. flips: ask for the mirrored frame
    as well, at every scale. peak: a region above the threshold (0.5) counts where a pixel of it exceeds this
    (hysteresis thresholding, Canny, PAMI 1986); at 0.5 every region does.

    A text is read as well: ``"scales=1,1.5,2,flips=yes,peak=0.9"``, any part may be left out. Raises: UsageError
    E_INFERENCE.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    scales: tuple[float, ...] = Field(default=(1.0,), description="input sizes relative to the training size")
    flips: bool = Field(default=False, description="average with the answer to the mirrored frame")
    peak: float = Field(
        default=THRESHOLD, ge=THRESHOLD, lt=1, description="a region counts where a pixel of it exceeds this"
    )

    @model_validator(mode="before")
    @classmethod
    def _read(cls, given: Any) -> Any:
        if not isinstance(given, str):
            return given
        values = _parsed(given)
        try:
            cls.model_validate(values)
        except ValueError as error:
            raise _refused(f"'{given}' cannot be understood") from error
        return values

    @field_validator("scales")
    @classmethod
    def _sorted_scales(cls, scales: tuple[float, ...]) -> tuple[float, ...]:
        if not scales or not all(0.25 <= scale <= 4 for scale in scales):
            raise ValueError("give one or more scales between 0.25 and 4")
        return tuple(sorted(set(scales)))

    def sizes(self, size: int, stride: int) -> tuple[int, ...]:
        """Input sides in px for a training size, each divisible by the network's stride, smallest first."""
        return tuple(dict.fromkeys(max(stride, round(scale * size / stride) * stride) for scale in self.scales))

    @property
    def words(self) -> str:
        """For tables: ``one scale``, ``mean of scales 1, 2, each mirrored as well; regions with a peak above 0.9``."""
        peak = f"; regions with a peak above {self.peak:g}" if self.peak > THRESHOLD else ""
        if len(self.scales) == 1 and self.scales[0] == 1:
            return ("one scale, mirrored as well" if self.flips else "one scale") + peak
        scales = ", ".join(f"{scale:g}" for scale in self.scales)
        return f"mean of scales {scales}{', each mirrored as well' if self.flips else ''}{peak}"

    def key(self) -> str:
        """For names of what was computed with it."""
        peak = f"p{self.peak:g}" if self.peak > THRESHOLD else ""
        return "x".join(f"{scale:g}" for scale in self.scales) + ("f" if self.flips else "") + peak


def _parsed(text: str) -> dict[str, object]:
    values: dict[str, object] = {}
    for part in re.split(r",(?=\s*[a-z]+=)", text):
        name, equals, value = part.strip().partition("=")
        if not equals or name not in Inference.model_fields:
            raise _refused(f"'{part}' is not scales=…, flips=… or peak=….{nearest(name, Inference.model_fields)}")
        values[name] = value.split(",") if name == "scales" else value
    return values


def _refused(what: str) -> UsageError:
    fix = "e.g. --inference scales=1,1.5,2,flips=yes,peak=0.9 (scales from 0.25 to 4, peak from 0.5 to below 1)."
    return UsageError("E_INFERENCE", what, fix=fix)


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
