"""A batch changed at once: as each frame alone, labels with their pixels, and moved as the processor moves it."""

import numpy as np
import pytest
import torch

from polypda.data.augmentation import Augmentation, AugmentationKind, BatchChanges, BatchedAugmentation, Colours
from polypda.data.batches import IGNORED, LabelledBatch, PseudoLabelledBatch
from polypda.data.sampling import Stream

SIDE, SEEDS = 64, list(range(6))
UNCHANGED = Colours(jitter=0, balance=0, gammas=0, blur=0, sharpen=0, noise=0)


@pytest.fixture
def batch():
    generator = np.random.default_rng(0)
    rows, columns = np.mgrid[:SIDE, :SIDE]
    images, masks = [], []
    for _ in SEEDS:
        at = generator.uniform(20, 44, 2)
        disc = (rows - at[0]) ** 2 + (columns - at[1]) ** 2 <= 81
        image = np.full((SIDE, SIDE, 3), generator.integers(60, 120, 3), np.uint8) + (rows // 2)[..., None].astype("u1")
        image[disc] = (230, 200, 190)
        images.append(image)
        masks.append(np.where(disc, 1, 0).astype(np.uint8))
    masks[0][:5] = 255
    return np.stack(images), np.stack(masks)


def tensors(images, masks):
    valid = torch.ones(len(images), SIDE, SIDE, dtype=torch.bool)
    return torch.from_numpy(images).permute(0, 3, 1, 2).float() / 255, [valid, torch.from_numpy(masks.astype("i8"))]


def test_frames_move_as_the_processor_moves_them(batch):
    images, masks = batch
    moved, (valid, labels) = BatchedAugmentation(colours=UNCHANGED)(*tensors(images, masks), SEEDS)
    for index, seed in enumerate(SEEDS):
        plain = Augmentation(AugmentationKind.STRONG)
        plain._compose = lambda image: {"image": image}
        plain._compose.set_random_seed = lambda seed: None
        image, (inside, mask) = plain(images[index], [np.ones((SIDE, SIDE), np.uint8), masks[index]], seed)
        mine = moved[index].permute(1, 2, 0).numpy() * 255
        assert np.abs(mine - image)[4:-4, 4:-4].mean() < 1.5
        assert np.mean(labels[index].numpy() != mask) < 0.02 and np.mean(valid[index].numpy() != (inside > 0)) < 0.03


def test_a_frame_changes_alike_whatever_fractions_its_batch(batch):
    images, (valid, masks) = tensors(*batch)
    together = BatchedAugmentation()(images, [valid, masks], SEEDS)
    for index in (0, 3):
        one = slice(index, index + 1)
        alone = BatchedAugmentation()(images[one], [valid[one], masks[one]], SEEDS[one])
        torch.testing.assert_close(alone[0], together[0][one])
        assert torch.equal(alone[1][1], together[1][1][one])


def test_values_types_and_ranges_are_kept(batch):
    images, (valid, masks) = tensors(*batch)
    changed, (inside, labels) = BatchedAugmentation()(images, [valid, masks], SEEDS)
    assert changed.shape == images.shape and changed.min() >= 0 and changed.max() <= 1
    assert inside.dtype == torch.bool and labels.dtype == torch.int64 and set(labels.unique().tolist()) <= {0, 1, 255}
    assert not labels[~inside].any() and not changed.isnan().any()


@pytest.mark.parametrize("name", ["jitter", "balance", "gammas", "blur", "sharpen", "noise"])
def test_every_change_is_seen_and_only_where_it_is_asked_for(batch, name):
    one = {"jitter": 0, "balance": 0, "gammas": 0, "blur": 0, "sharpen": 0, "noise": 0}
    still, _ = BatchedAugmentation(colours=UNCHANGED)(*tensors(*batch), SEEDS)
    changed, _ = BatchedAugmentation(colours=Colours(**one | {name: 1.0}))(*tensors(*batch), SEEDS)
    differences = (changed - still).abs().flatten(1).mean(dim=1)
    assert (differences > 1e-4).all()


def test_a_blur_keeps_the_mean_and_lowers_the_contrast_of_neighbours(batch):
    images, maps = tensors(*batch)
    only = {"jitter": 0, "balance": 0, "gammas": 0, "sharpen": 0, "noise": 0}
    plain, _ = BatchedAugmentation(colours=UNCHANGED)(images, maps, SEEDS)
    soft, _ = BatchedAugmentation(colours=Colours(**only, blur=1.0, sigma=(1.5, 1.6)))(images, maps, SEEDS)
    torch.testing.assert_close(soft.mean(dim=(1, 2, 3)), plain.mean(dim=(1, 2, 3)), atol=0.01, rtol=0)
    assert soft.diff(dim=-1).square().mean() < 0.5 * plain.diff(dim=-1).square().mean()


def test_a_batch_keeps_its_kind_and_nothing_is_labelled_beyond_the_frame(batch):
    images, (valid, masks) = tensors(*batch)
    names = tuple(f"c/{seed}" for seed in SEEDS)
    changes = BatchChanges(BatchedAugmentation(), seed=3, slots=tuple(SEEDS))
    labelled = changes.of(LabelledBatch(images, valid[:, None], names, masks), 0, Stream.SOURCE_AUGMENTATION)
    pseudo = changes.of(PseudoLabelledBatch(images, valid[:, None], names, masks), 0, Stream.TARGET_AUGMENTATION)
    assert isinstance(labelled, LabelledBatch) and isinstance(pseudo, PseudoLabelledBatch)
    for changed, labels in ((labelled, labelled.masks), (pseudo, pseudo.pseudo)):
        outside = ~changed.valid[:, 0]
        assert outside.any() and (labels[outside] == IGNORED).all() and (labels == 1).any()
    assert not torch.equal(labelled.images, pseudo.images), "source and target draw numbers of their own"
    half = BatchChanges(BatchedAugmentation(), seed=3, slots=(1, 3, 5))
    part = half.of(
        LabelledBatch(images[1::2], valid[1::2, None], names[1::2], masks[1::2]), 0, Stream.SOURCE_AUGMENTATION
    )
    torch.testing.assert_close(part.images, labelled.images[1::2])  # as the joint batch's, whoever shares it
