"""Strong changes: seeded, within their ranges, labels moved with the pixels."""

import numpy as np
import pytest

from polypda.data.augmentation import STRONG_SCALE, Augmentation, AugmentationKind

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
