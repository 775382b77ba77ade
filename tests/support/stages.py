"""What a stage trains on, small: frames of two painted cohorts in a cache, and a segmenter before any training."""

from pathlib import Path

import torch
from support.painted import write_frames

from polypda.data.cache import CachedFrames, FrameCache, NetworkGrid
from polypda.networks.registry import SegmenterSpec, build_segmenter
from polypda.networks.weights import save_module


def stage_material(
    folder: Path, spec: SegmenterSpec, *, source: int, target: int
) -> tuple[CachedFrames, CachedFrames, Path]:
    """So many labelled source frames and unlabelled target frames at 64 px, and the segmenter's weights."""
    cache = FrameCache(folder / "cache", NetworkGrid(64))
    labelled = write_frames(folder / "source", source, cohort="source")
    unlabelled = write_frames(folder / "target", target, cohort="target", tint=(150, 130, 60))
    torch.manual_seed(0)
    save_module(build_segmenter(spec), folder / "initial.safetensors")
    return cache.labelled(labelled), cache.unlabelled(unlabelled), folder / "initial.safetensors"
