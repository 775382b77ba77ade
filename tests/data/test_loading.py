import numpy as np
import pytest
import torch
from support.painted import write_frames

from polypda.data.augmentation import AugmentationKind
from polypda.data.batches import IGNORED, LabelledBatch, UnlabelledBatch
from polypda.data.cache import FrameCache, NetworkGrid
from polypda.data.loading import Fraction, LabelledFrames, StepDataset, UnlabelledFrames, frame_batches, step_batches
from polypda.data.sampling import Stream, UniformSampler
from polypda.errors import DataError
from polypda.training.checkpoints import LOADER_GONE
from polypda.training.stage_batches import labelled_batches


@pytest.fixture
def dataset(tmp_path):
    frames = write_frames(tmp_path / "cohort", 9)
    cache = FrameCache(tmp_path / "cache", NetworkGrid(64))

    def build(share=Fraction(), kind=AugmentationKind.STANDARD):
        source = LabelledFrames(cache.labelled(frames), UniformSampler(9, 4, 0, Stream.SOURCE_POSITIVE), kind, seed=0)
        target = UnlabelledFrames(cache.unlabelled(frames), UniformSampler(9, 4, 0, Stream.TARGET), kind, seed=0)
        return StepDataset(source, target, share)

    return build


def test_shapes_ranges_and_types(dataset):
    source, target = dataset()[0]
    assert isinstance(source, LabelledBatch) and isinstance(target, UnlabelledBatch)
    assert source.images.shape == (4, 3, 64, 64) and source.images.dtype == torch.float32
    assert source.images.min() >= 0 and source.images.max() <= 1
    assert source.masks.shape == (4, 64, 64) and set(source.masks.unique().tolist()) <= {0, 1, IGNORED}
    assert source.valid.shape == (4, 1, 64, 64) and source.valid.dtype == torch.bool
    assert (source.masks[~source.valid[:, 0]] == IGNORED).all()
    assert not hasattr(target, "masks")
    assert all(batch.images.is_contiguous(memory_format=torch.channels_last) for batch in (source, target))


def test_a_step_is_the_same_whatever_came_before_and_whoever_loads_it(dataset):
    alone = dataset()[5][0].images
    for workers in (0, 2):
        later = list(step_batches(dataset(), 4, 7, workers=workers))[1][0].images
        assert torch.equal(alone, later)
    assert not torch.equal(alone, dataset()[6][0].images)


def test_processes_share_the_joint_batch(dataset):
    joint = dataset()[2][0]
    parts = [dataset(Fraction(rank, 2))[2][0] for rank in range(2)]
    assert torch.equal(parts[0].images, joint.images[0::2])
    assert torch.equal(parts[1].masks, joint.masks[1::2])


def test_image_and_mask_are_changed_alike(dataset):
    """The polyp is the brightest region: wherever augmentation puts it, the mask must lie on it."""
    differences = []
    for step in range(6):
        source, _ = dataset()[step]
        brightness = source.images.mean(dim=1)
        for row in range(4):
            polyp, background = source.masks[row] == 1, source.masks[row] == 0
            differences.append(float(brightness[row][polyp].mean() - brightness[row][background].mean()))
    assert np.min(differences) > 0.08


def test_no_augmentation_changes_nothing(dataset):
    first = dataset(kind=AugmentationKind.NONE)
    again = dataset(kind=AugmentationKind.NONE)[0][0]
    assert torch.equal(first[0][0].images, again.images)
    index = first.source.sampler.batch(0)[0]
    raw = torch.from_numpy(first.source.cached.images[index]).permute(2, 0, 1).float() / 255
    assert torch.equal(again.images[0], raw)


def test_a_frame_has_one_name_before_the_first_step_and_in_every_step(dataset, tmp_path):
    steps = dataset()
    in_steps = {name for step in range(6) for batch in steps[step] for name in batch.frames}
    cached = steps.source.cached
    before = {name for batch in frame_batches(cached, 4) for name in batch.frames}
    prepared = {name for batch in labelled_batches(cached) for name in batch.frames}
    assert before == prepared == {f"painted/{number:03d}" for number in range(9)}
    assert in_steps == before


class Broken:
    """A frame that cannot be read."""

    def __getitem__(self, step):
        raise DataError("E_CACHE_DAMAGED", "a frame is damaged.", where="painted/000", fix="remove it.")


@pytest.mark.parametrize("workers", [0, 1])
def test_an_error_keeps_its_code_on_the_way_out_of_a_worker(workers):
    with pytest.raises(DataError, match=r"E_CACHE_DAMAGED painted/000: a frame is damaged") as caught:
        list(step_batches(Broken(), 0, 2, workers=workers))
    assert caught.value.fix == "remove it."


def test_only_a_worker_that_died_is_called_ended_from_outside():
    told = (
        "DataLoader worker (pid(s) 17) exited unexpectedly",
        "DataLoader worker (pid 17) is killed by signal: Killed.",
    )
    assert all(LOADER_GONE in words for words in told)
    assert LOADER_GONE not in "Caught ValueError in DataLoader worker process 0."
