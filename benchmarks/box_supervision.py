"""How far boxes carry a source-only training, beside masks: on phantoms, whose masks are exact.

    python benchmarks/box_supervision.py --out runs/boxes --frames 120 --steps 200

Trains the same network on the same frames four times (masks; boxes filled with an ignore band; the box projection;
boxes filled as a whole, which the product does not offer) and scores held-out frames by their masks at network size.
"""

from __future__ import annotations

import argparse
from dataclasses import replace
from pathlib import Path

import cv2
import numpy as np
import torch

from polypda.cohorts.catalogue import manifest
from polypda.cohorts.frames import Frame, LabelState, PolypBox, Split
from polypda.cohorts.images import read_mask
from polypda.cohorts.opening import open_cohort
from polypda.data.augmentation import AugmentationKind
from polypda.data.cache import CachedFrames, FrameCache, NetworkGrid
from polypda.data.labels import BoxSupervision
from polypda.data.loading import Fraction, LabelledFrames, frame_batches
from polypda.data.sampling import Stream, UniformSampler, seed_of
from polypda.methods.segmentation import (
    OptimizerKind,
    SegmentationLoss,
    SupervisedOptions,
    image_size_logits,
    segmenter_optimizer,
    supervised_loss,
)
from polypda.networks.registry import SegmenterSpec, build_segmenter
from polypda.networks.segmenter import POLYP, Segmenter
from polypda.phantom import render_cohort

BATCH = 4
LEAST_LESION_PX = 30
OPTIONS = SupervisedOptions(
    seg_loss=SegmentationLoss.CE_DICE, optimizer=OptimizerKind.ADAMW, learning_rate=1e-3, head_factor=1
)


def as_boxes(frame: Frame) -> Frame:
    """A frame that knows the tight box of each of its mask's components, and no mask."""
    assert frame.mask is not None
    _, _, stats, _ = cv2.connectedComponentsWithStats(read_mask(frame.mask))
    boxes = tuple(PolypBox(x, y, x + w, y + h) for x, y, w, h, area in stats[1:].tolist() if area >= LEAST_LESION_PX)
    state = LabelState.BOX if boxes else LabelState.NEGATIVE
    return replace(frame, mask=None, boxes=boxes, label_state=state)


class WholeBoxes:
    """Masks whose ignored band is polyp: what filling a box as a whole would teach."""

    def __init__(self, filled: CachedFrames) -> None:
        self.filled = filled

    def __getitem__(self, index: int) -> np.ndarray:
        assert self.filled.masks is not None
        return (self.filled.masks[index] > 0).astype(np.uint8)


def train(cached: CachedFrames, steps: int, seed: int, spec: SegmenterSpec) -> Segmenter:
    """Source-only, from random weights."""
    torch.manual_seed(seed_of(seed, Stream.STEP))
    segmenter = build_segmenter(spec).train()
    sampler = UniformSampler(len(cached), BATCH, seed, Stream.SOURCE_POSITIVE)
    frames = LabelledFrames(cached, sampler, AugmentationKind.LIGHT, seed)
    optimizer = segmenter_optimizer(segmenter, OPTIONS)
    for step in range(steps):
        batch = frames.batch(step, Fraction())
        optimizer.zero_grad()
        supervised_loss(image_size_logits(segmenter(batch.images), batch)["main"], batch, OPTIONS.seg_loss).backward()
        optimizer.step()
    return segmenter


@torch.no_grad()
def mean_dice(segmenter: Segmenter, cached: CachedFrames) -> float:
    """Mean Dice over frames with a polyp, at network size, inside the field of view."""
    assert cached.masks is not None
    segmenter.eval()
    values, index = [], 0
    for batch in frame_batches(cached, 8):
        marked = image_size_logits(segmenter(batch.images), batch)["main"].argmax(dim=1) == POLYP
        for predicted in (marked & batch.valid[:, 0]).numpy():
            mask = (cached.masks[index] > 0) & (cached.valid[index] > 0)
            index += 1
            if mask.any():
                values.append(2 * np.count_nonzero(predicted & mask) / (predicted.sum() + mask.sum()))
    return float(np.mean(values))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--cohort", default="zju2")
    parser.add_argument("--frames", type=int, default=120)
    parser.add_argument("--steps", type=int, default=200)
    parser.add_argument("--size", type=int, default=96)
    parser.add_argument("--seeds", type=int, default=2)
    given = parser.parse_args()
    torch.set_num_threads(1)
    described = manifest(given.cohort)
    assert described.phantom is not None
    look = described.phantom.model_copy(update={"frames_per_sequence": 2})
    render_cohort(described.model_copy(update={"phantom": look}), frames=given.frames, out=given.out)
    opened = open_cohort(given.cohort, given.out)
    learnt = opened.split(Split.TRAIN)
    cache = FrameCache(given.out / "cache", NetworkGrid(given.size))
    held_out = cache.labelled((*opened.split(Split.VALIDATION), *opened.split(Split.TEST)))
    boxed = [as_boxes(frame) for frame in learnt]
    filled = cache.labelled(boxed, BoxSupervision.FILLED)
    kinds = {
        "masks": cache.labelled(learnt),
        "boxes, filled with ignore band": filled,
        "boxes, projection loss": cache.labelled(boxed, BoxSupervision.PROJECTION),
        "boxes filled as a whole": replace(filled, masks=WholeBoxes(filled)),
    }
    spec = SegmenterSpec(architecture="deeplabv3plus", encoder="tu-mobilenetv3_small_050")
    torch.manual_seed(0)
    print(
        f"{given.cohort} phantom: {len(learnt)} frames learnt, {len(held_out)} held out, {given.steps} steps",
        flush=True,
    )
    print(f"| trained on | Dice, {given.seeds} seeds |\n|---|---|")
    print(f"| nothing | {mean_dice(build_segmenter(spec), held_out):.3f} |", flush=True)
    for name, cached in kinds.items():
        dice = [mean_dice(train(cached, given.steps, seed, spec), held_out) for seed in range(given.seeds)]
        print(f"| {name} | {', '.join(f'{value:.3f}' for value in dice)} |", flush=True)


if __name__ == "__main__":
    main()
