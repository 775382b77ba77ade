"""What a method sees before its first step: every labelled frame with its mask, target frames without."""

import numpy as np
import pytest
import torch
from support.painted import write_frames

from polypda.data.augmentation import AugmentationKind
from polypda.data.batches import IGNORED, LabelledBatch
from polypda.data.cache import FrameCache, NetworkGrid
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
