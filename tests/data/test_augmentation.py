"""Strong changes: seeded, within their ranges, labels moved with the pixels."""

import numpy as np
import pytest
import torch

from polypda.data.augmentation import (
    STRONG_SCALE,
    Augmentation,
    AugmentationKind,
    BatchChanges,
    BatchedAugmentation,
    Colours,
)
from polypda.data.batches import IGNORED, LabelledBatch, PseudoLabelledBatch
from polypda.data.sampling import Stream

SIDE = 96


def painted(radius: int = 14):
    rows, columns = np.mgrid[:SIDE, :SIDE]
    disc = ((rows - SIDE / 2) ** 2 + (columns - SIDE / 2) ** 2 <= radius**2).astype(np.uint8)
    image = np.full((SIDE, SIDE, 3), 90, np.uint8)
    image[disc > 0] = 200
    return image, np.ones((SIDE, SIDE), np.uint8), disc


@pytest.mark.parametrize("kind", list(AugmentationKind))
def test_the_same_seed_gives_the_same_change(kind):
    image, valid, mask = painted()
    one, other = (Augmentation(kind)(image, [valid, mask], 5) for _ in range(2))
    assert np.array_equal(one[0], other[0])
    assert all(np.array_equal(a, b) for a, b in zip(one[1], other[1], strict=True))


def test_strong_changes_move_labels_with_pixels_and_keep_their_values():
    image, valid, mask = painted()
    labels = np.where(mask > 0, 1, 0).astype(np.uint8)
    labels[:4] = 255
    augmentation = Augmentation(AugmentationKind.STRONG)
    agreeing = []
    for seed in range(30):
        changed, (inside, moved) = augmentation(image, [valid, labels], seed)
        assert set(np.unique(moved)) <= {0, 1, 255} and set(np.unique(inside)) <= {0, 1}
        assert not moved[inside == 0].any(), "nothing is labelled where the frame does not reach"
        bright = changed.mean(axis=2)
        if (moved == 1).sum() > 30 and ((moved == 0) & (inside > 0)).sum() > 30:
            agreeing.append(bright[moved == 1].mean() > bright[(moved == 0) & (inside > 0)].mean() + 20)
    assert len(agreeing) > 20 and all(agreeing)


def test_strong_scales_shrink_as_often_as_they_enlarge():
    image, valid, mask = painted(radius=8)
    augmentation = Augmentation(AugmentationKind.STRONG)
    areas = np.array([augmentation(image, [valid, mask], seed)[1][1].sum() for seed in range(300)]) / mask.sum()
    seen = areas[areas > 0]
    assert seen.min() > 0.8 * STRONG_SCALE[0] ** 2 and seen.max() < 1.25 * STRONG_SCALE[1] ** 2
    middle = (STRONG_SCALE[0] * STRONG_SCALE[1]) ** 0.5  # of log-uniform scales
    assert np.median(seen) ** 0.5 == pytest.approx(middle, abs=0.09)


def test_upright_frames_are_not_turned():
    image, valid, _ = painted()
    bar = np.zeros((SIDE, SIDE), np.uint8)
    bar[46:50, 20:76] = 1
    for seed in range(20):
        _, (_, moved) = Augmentation(AugmentationKind.STRONG, upright=True)(image, [valid, bar], seed)
        rows, columns = np.nonzero(moved)
        if len(rows):
            assert np.ptp(rows) < np.ptp(columns) and moved[rows.min() : rows.max() + 1, columns].all()


SMALL_SIDE, SEEDS = 64, list(range(6))
UNCHANGED = Colours(jitter=0, balance=0, gammas=0, blur=0, sharpen=0, noise=0)


@pytest.fixture
def batch():
    generator = np.random.default_rng(0)
    rows, columns = np.mgrid[:SMALL_SIDE, :SMALL_SIDE]
    images, masks = [], []
    for _ in SEEDS:
        at = generator.uniform(20, 44, 2)
        disc = (rows - at[0]) ** 2 + (columns - at[1]) ** 2 <= 81
        image = np.full((SMALL_SIDE, SMALL_SIDE, 3), generator.integers(60, 120, 3), np.uint8) + (rows // 2)[
            ..., None
        ].astype("u1")
        image[disc] = (230, 200, 190)
        images.append(image)
        masks.append(np.where(disc, 1, 0).astype(np.uint8))
    masks[0][:5] = 255
    return np.stack(images), np.stack(masks)


def tensors(images, masks):
    valid = torch.ones(len(images), SMALL_SIDE, SMALL_SIDE, dtype=torch.bool)
    return torch.from_numpy(images).permute(0, 3, 1, 2).float() / 255, [valid, torch.from_numpy(masks.astype("i8"))]


def test_frames_move_as_the_processor_moves_them(batch):
    images, masks = batch
    moved, (valid, labels) = BatchedAugmentation(colours=UNCHANGED)(*tensors(images, masks), SEEDS)
    for index, seed in enumerate(SEEDS):
        plain = Augmentation(AugmentationKind.STRONG)
        plain._compose = lambda image: {"image": image}
        plain._compose.set_random_seed = lambda seed: None
        image, (inside, mask) = plain(images[index], [np.ones((SMALL_SIDE, SMALL_SIDE), np.uint8), masks[index]], seed)
        mine = moved[index].permute(1, 2, 0).numpy() * 255
        assert np.abs(mine - image)[4:-4, 4:-4].mean() < 1.5
        assert np.mean(labels[index].numpy() != mask) < 0.02 and np.mean(valid[index].numpy() != (inside > 0)) < 0.03


def test_a_frame_changes_alike_whatever_shares_its_batch(batch):
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
