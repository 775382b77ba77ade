"""A network that learns from boxes alone finds the polyps' pixels: both ways, beside masks and no training."""

import dataclasses

import cv2
import numpy as np
import pytest
import torch
from support.painted import paint, write_frames
from support.tiny_segmenter import TinySegmenter

from polypda.cohorts.frames import LabelState, PolypBox
from polypda.data.augmentation import AugmentationKind
from polypda.data.cache import FrameCache, NetworkGrid
from polypda.data.labels import BoxSupervision
from polypda.data.loading import Fraction, LabelledFrames, frame_batches
from polypda.data.sampling import Stream, UniformSampler
from polypda.methods.segmentation import SegmentationLoss, image_size_logits, supervised_loss
from polypda.networks.segmenter import POLYP
from polypda.training.selectors import foreground_fraction

LEARNT, STEPS = 24, 80


@pytest.fixture(scope="module")
def material(tmp_path_factory):
    """Name → cached training frames; the held-out ones have masks."""
    folder = tmp_path_factory.mktemp("painted")
    frames = write_frames(folder / "cohort", LEARNT + 12)
    boxed = [_boxed(number, frame) for number, frame in enumerate(frames[:LEARNT])]
    cache = FrameCache(folder / "cache", NetworkGrid(64))
    return {
        "masks": cache.labelled(frames[:LEARNT]),
        "filled": cache.labelled(boxed, BoxSupervision.FILLED),
        "projection": cache.labelled(boxed, BoxSupervision.PROJECTION),
    }, cache.labelled(frames[LEARNT:])


def _boxed(number, frame):
    x, y, width, height = cv2.boundingRect(paint(number)[1])
    box = PolypBox(x, y, x + width, y + height)
    return dataclasses.replace(frame, mask=None, label_state=LabelState.BOX, boxes=(box,))


@torch.no_grad()
def mean_dice(segmenter, held_out) -> float:
    (batch,) = frame_batches(held_out, len(held_out))
    segmenter.eval()
    marked = image_size_logits(segmenter(batch.images), batch)["main"].argmax(dim=1) == POLYP
    values = []
    for index, predicted in enumerate((marked & batch.valid[:, 0]).numpy()):
        mask = (held_out.masks[index] > 0) & (held_out.valid[index] > 0)
        values.append(2 * np.count_nonzero(predicted & mask) / (predicted.sum() + mask.sum()))
    return float(np.mean(values))


def trained(cached, steps=STEPS):
    torch.manual_seed(0)
    segmenter = TinySegmenter().train()
    frames = LabelledFrames(cached, UniformSampler(LEARNT, 4, 0, Stream.SOURCE_POSITIVE), AugmentationKind.LIGHT, 0)
    optimizer = torch.optim.Adam(segmenter.parameters(), 1e-2)
    for step in range(steps):
        batch = frames.batch(step, Fraction())
        optimizer.zero_grad()
        logits = image_size_logits(segmenter(batch.images), batch)["main"]
        supervised_loss(logits, batch, SegmentationLoss.CE).backward()
        optimizer.step()
    return segmenter


@pytest.mark.parametrize("kind", ["filled", "projection"])
def test_boxes_teach_where_the_polyp_is(material, kind):
    learnt, held_out = material
    nothing, dice = mean_dice(trained(learnt[kind], steps=0), held_out), mean_dice(trained(learnt[kind]), held_out)
    masks = mean_dice(trained(learnt["masks"]), held_out)
    print(f"untrained {nothing:.3f}, {kind} {dice:.3f}, masks {masks:.3f}")
    assert nothing < 0.3 and masks > 0.85
    assert dice > 0.8 and dice > nothing + 0.4


def test_the_fraction_of_polyp_is_estimated_from_boxes(material):
    """Half of the band counts, so that the guard on areas holds for sources with boxes: discs fill 79 % of a box."""
    learnt, _ = material
    assert foreground_fraction(learnt["filled"]) == pytest.approx(foreground_fraction(learnt["masks"]), rel=0.12)
