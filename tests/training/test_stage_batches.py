"""What a stage sees before and in its steps: labels where they may be seen, and boxes that teach."""

import dataclasses

import cv2
import numpy as np
import pytest
import torch
from support.painted import paint, write_frames
from support.tiny_segmenter import TinySegmenter

from polypda.cohorts.frames import LabelState, PolypBox
from polypda.data.augmentation import AugmentationKind
from polypda.data.batches import IGNORED, LabelledBatch
from polypda.data.cache import FrameCache, NetworkGrid
from polypda.data.labels import BoxSupervision
from polypda.data.loading import Fraction, LabelledFrames, frame_batches
from polypda.data.sampling import Stream, UniformSampler
from polypda.methods.segmentation import SegmentationLoss, image_size_logits, supervised_loss
from polypda.networks.segmenter import POLYP
from polypda.training.selectors import foreground_fraction
from polypda.training.stage_batches import StagePreparation


@pytest.fixture(scope="module")
def cached(tmp_path_factory):
    folder = tmp_path_factory.mktemp("prepared")
    cache = FrameCache(folder / "cache", NetworkGrid(32, crop_to_field_of_view=False))
    source, target = (write_frames(folder / name, 19, cohort=name) for name in ("source", "target"))
    return cache.labelled(source), cache.unlabelled(target)


def test_every_labelled_frame_comes_once_with_its_own_mask(cached):
    source, target = cached
    data = StagePreparation(source, target, torch.device("cpu"), torch.float64)
    seen = {}
    for batch in data.source():
        assert batch.images.dtype is torch.float64
        seen.update(zip(batch.frames, batch.masks, strict=True))
    assert list(seen) != sorted(seen) and len(seen) == 19
    for index in range(len(source)):
        valid = source.valid[index] > 0
        expected = np.where(valid, source.masks[index], IGNORED)
        assert np.array_equal(seen[source.name(index)].numpy(), expected)
        assert (expected == IGNORED).any() and (expected == 1).any()


def test_target_batches_are_of_one_size_and_hold_no_masks(cached):
    data = StagePreparation(*cached, torch.device("cpu"), torch.float32)
    for _ in range(2):  # as often as it likes
        batches = list(data.target())
        assert [len(batch.frames) for batch in batches] == [16]
        assert not any(isinstance(batch, LabelledBatch) for batch in batches)


def test_permitted_labels_come_with_the_target_in_batches_of_one_size(cached):
    source, target = cached
    data = StagePreparation(source, source, torch.device("cpu"), torch.float32)
    batches = list(data.target())
    assert [len(batch.frames) for batch in batches] == [16] and isinstance(batches[0], LabelledBatch)
    assert len(data.target_names()) == 19 and set(batches[0].frames) < set(data.target_names())
    without = StagePreparation(source, target, torch.device("cpu"), torch.float32)
    assert not any(isinstance(batch, LabelledBatch) for batch in without.target())


def test_statistics_see_frames_as_the_training_changes_them(cached):
    source, target = cached
    plain = StagePreparation(source, target, torch.device("cpu"), torch.float32)
    assert [batch.frames for batch in plain.statistics()] == [batch.frames for batch in plain.target()]
    changed = StagePreparation(source, target, torch.device("cpu"), torch.float32, AugmentationKind.STRONG)
    one, again = (list(changed.statistics()) for _ in range(2))
    assert [len(batch.frames) for batch in one] == [16, 16]  # two passes, since each frame differs each time
    assert all(torch.equal(a.images, b.images) for a, b in zip(one, again, strict=True))
    assert not one[0].valid.all() and not any(isinstance(batch, LabelledBatch) for batch in one)


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
