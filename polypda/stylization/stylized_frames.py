"""A source cohort stylized to a target, as cached frames: computed once, in small files, resumable.

Files lie under a name made of the settings, the encoder's weights and the target's frames; within it one file per small
group of source frames, named after their pixels. A group is always computed whole and alike: an interrupted and an
uninterrupted run give the same bytes.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from polypda.cache import Store, trim
from polypda.data.batches import UnlabelledBatch
from polypda.data.cache import CachedArray, CachedFrames, ImageFile, write_images
from polypda.data.loading import frame_batches
from polypda.errors import DataError, UsageError
from polypda.files import whole_file, write_json
from polypda.networks.segmenter import Segmenter
from polypda.networks.weights import training_identity
from polypda.stylization.appearance import (
    Start,
    StylizationSettings,
    Stylized,
    mean_gram,
    stylization_settings,
    stylize,
)

VERSION = 2
GROUP = 8
"""Source frames that are optimised together, and kept in one file."""
KEY_HEX = 24
RECORD = "stylization.json"


class CachedGroups(CachedArray):
    """Images N×h×w×3 in files of :data:`GROUP` each."""

    def __init__(self, paths: tuple[Path, ...]) -> None:
        super().__init__(paths[0])
        self.paths = paths

    def __getitem__(self, index: int) -> NDArray[np.uint8]:
        # Mapped anew each time: long cohorts have more groups than a process may hold open.
        return ImageFile(self.paths[index // GROUP])[index % GROUP]

    def __getstate__(self) -> dict:
        return super().__getstate__() | {"paths": self.paths}


class EncoderMaps:
    """A segmenter's encoder as features of the style: evaluation mode, nothing of it learns.

    The segmenter given is changed so; hand over one that is used for nothing else meanwhile.
    Raises: UsageError E_FEATURE_TAP where the network shows no encoder maps.
    """

    def __init__(self, segmenter: Segmenter) -> None:
        self.segmenter = segmenter.eval().requires_grad_(False)

    def __call__(self, images: Tensor) -> tuple[Tensor, ...]:
        maps = self.segmenter(images).encoder
        if not maps:
            raise UsageError(
                "E_FEATURE_TAP",
                "this segmenter shows no encoder maps to take a style from.",
                fix="choose an architecture of segmentation-models-pytorch, or deeplab-v2.",
            )
        return maps

    def identity(self) -> str:
        """What the encoder holds: of the decoder nothing enters, whose start differs from seed to seed."""
        parts = self.segmenter.encoder_modules()
        encoder = nn.ModuleList([*parts, *_normalisations(self.segmenter)]) if parts else self.segmenter
        return training_identity(encoder)


@dataclass(frozen=True)
class Stylization:
    """One stylization of a source to a target: what decides it, and where it is kept.

    source, target: cached at one network size; no mask of either is read. folder: of the cache.
    """

    source: CachedFrames
    target: CachedFrames
    features: EncoderMaps
    settings: StylizationSettings
    folder: Path
    device: torch.device

    @cached_property
    def key(self) -> str:
        """The name of what is decided by settings, encoder and target."""
        return hashlib.sha256(json.dumps(self.record, sort_keys=True).encode()).hexdigest()[:KEY_HEX]

    @cached_property
    def record(self) -> dict:
        """What decides a stylized frame beside its own pixels; nothing of this machine."""
        return {
            "version": VERSION,
            "settings": stylization_settings(self.settings).model_dump(mode="json"),
            "encoder": self.features.identity(),
            "target": _digest(self.target, self._style_indices()),
            "target_frames": len(self._style_indices()),
        }

    @cached_property
    def style(self) -> tuple[Tensor, ...]:
        """The target's mean Gram per encoder map, in one pass. Raises: DataError E_STYLE_EMPTY."""
        mean = mean_gram(self.settings)
        with torch.no_grad():
            for batch in frame_batches(self.target, GROUP, self._style_indices()):
                moved = batch.to(self.device)
                mean.add(self.features(moved.images), moved.valid)
        return mean.value(torch.float32)

    def frames(self, advance: Callable[[int, int], None] | None = None) -> CachedFrames:
        """The source with stylized images and its own masks; what is missing is computed.

        advance: called with (frames done, frames in all) after each group.
        Raises: DataError E_STYLISATION_CACHE where the folder holds something else, E_STYLE_EMPTY.
        """
        home = self._home()
        paths = []
        for start in range(0, len(self.source), GROUP):
            indices = list(range(start, min(start + GROUP, len(self.source))))
            path = home / f"{_digest(self.source, indices)}.npy"
            if path.exists():
                with suppress(DataError):  # a damaged one is gone now, and made again
                    ImageFile(path)
            if not path.exists():
                pixels = _pixels(self.stylized(indices).images)
                with whole_file(path) as temporary:
                    write_images(temporary, pixels.shape, pixels)
            paths.append(path)
            if advance:
                advance(indices[-1] + 1, len(self.source))
        trim(self.folder.parent)
        return replace(self.source, images=CachedGroups(tuple(paths)))

    def stylized(self, indices: list[int]) -> Stylized:
        """Stylize the frames at these indices together; nothing is cached."""
        (batch,) = frame_batches(self.source, len(indices), indices)
        moved = batch.to(self.device)
        start = self._noise(batch, indices).to(self.device) if self.settings.aan_start is Start.NOISE else None
        return stylize(moved.images, moved.valid, self.style, self.features, self.settings, start)

    def _noise(self, batch: UnlabelledBatch, indices: list[int]) -> Tensor:
        """White noise of each frame's own seed, drawn on the CPU so that it is the same on every device."""
        seeds = [int(_digest(self.source, [index])[:15], 16) for index in indices]
        drawn = [torch.rand(batch.images.shape[1:], generator=torch.Generator().manual_seed(seed)) for seed in seeds]
        return torch.stack(drawn)

    def _style_indices(self) -> list[int]:
        count = min(self.settings.aan_target_frames or len(self.target), len(self.target))
        return np.unique(np.linspace(0, len(self.target) - 1, count).round().astype(int)).tolist()

    def _home(self) -> Path:
        home = Store(self.folder).folder_of(self.key)
        record = home / RECORD
        if record.exists():
            try:
                found = json.loads(record.read_text(encoding="utf-8"))
            except (OSError, ValueError):
                found = None
            if found != self.record:
                raise DataError(
                    "E_STYLISATION_CACHE",
                    "was not made with these settings, weights and target.",
                    where=f"{self.folder.name}/{self.key}",
                    fix="remove this folder; it is computed anew.",
                )
            return home
        write_json(record, self.record)
        return home


def _normalisations(segmenter: Segmenter) -> list[nn.Module]:
    found = getattr(segmenter, "normalisation", None)
    return [found] if isinstance(found, nn.Module) else []


def _digest(cached: CachedFrames, indices: list[int]) -> str:
    digest = hashlib.sha256()
    for index in indices:
        for pixels in (cached.images[index], cached.valid[index]):
            digest.update(f"{pixels.shape}".encode())
            digest.update(pixels.tobytes())
    return digest.hexdigest()[:KEY_HEX]


def _pixels(images: Tensor) -> NDArray[np.uint8]:
    return images.mul(255).round().clamp(0, 255).to(torch.uint8).permute(0, 2, 3, 1).contiguous().cpu().numpy()
