"""`polypda.metrics`: the figures of the protocol on arrays, tensors and batches."""

import math

import numpy as np
import pytest
import torch

from polypda import metrics
from polypda.errors import PolypdaError
from polypda.evaluation.scoring.metrics import frame_metrics

SIDE = 48


def square(left, top, side=16):
    mask = np.zeros((SIDE, SIDE), bool)
    mask[top : top + side, left : left + side] = True
    return mask


REFERENCE, MOVED, EMPTY = square(8, 8), square(12, 8), np.zeros((SIDE, SIDE), bool)


def test_known_answers():
    assert metrics.dice(MOVED, REFERENCE) == pytest.approx(2 * 12 / 32)
    assert metrics.iou(MOVED, REFERENCE) == pytest.approx(12 / 20)
    assert metrics.hd95(MOVED, REFERENCE) == 4.0
    assert metrics.nsd(REFERENCE, REFERENCE) == 1.0
    assert metrics.dice(EMPTY, REFERENCE) == 0.0 and metrics.hd95(EMPTY, REFERENCE) == math.hypot(SIDE, SIDE)
    assert all(math.isnan(score(MOVED, EMPTY)) for score in (metrics.dice, metrics.iou, metrics.hd95, metrics.nsd))


def test_a_batch_is_its_frames_whatever_holds_it():
    predictions, references = np.stack([MOVED, REFERENCE, EMPTY]), np.stack([REFERENCE] * 3)
    alone = [metrics.dice(one, REFERENCE) for one in predictions]
    for held in (
        predictions,
        predictions.astype(np.float64),
        predictions[:, None].astype(int),
        torch.from_numpy(predictions.astype(np.float32)),
        torch.from_numpy(predictions)[:, None].to(torch.bfloat16),
    ):
        truth = torch.from_numpy(references.astype(np.float32)) if torch.is_tensor(held) else references
        if held.ndim == 4:
            truth = truth[:, None]
        found = metrics.dice(held, truth)
        assert found.dtype == np.float64 and found.tolist() == alone
    assert len(metrics.frame_metrics(predictions, references)) == 3


def test_only_valid_pixels_and_the_threshold_count():
    valid = np.ones((SIDE, SIDE), bool)
    valid[:, 24:] = False  # what was marked beside the reference lies beyond
    assert metrics.dice(MOVED, REFERENCE, valid) == pytest.approx(2 * 12 / (16 + 12))
    both = metrics.dice(np.stack([MOVED, MOVED]), np.stack([REFERENCE, REFERENCE]), valid)
    each = metrics.dice(np.stack([MOVED, MOVED]), np.stack([REFERENCE] * 2), np.stack([valid, np.ones_like(valid)]))
    assert both[0] == both[1] == each[0] != each[1]
    probability = np.where(REFERENCE, 0.6, 0.2)
    assert metrics.dice(probability, REFERENCE) == 1.0 and metrics.dice(probability, REFERENCE, threshold=0.7) == 0.0
    assert metrics.frame_metrics(probability, REFERENCE) == frame_metrics(probability, REFERENCE, np.ones_like(valid))


@pytest.mark.parametrize(
    ("arguments", "code"),
    [
        ((MOVED, REFERENCE[:40]), "E_METRIC_SIZE"),
        ((MOVED[0], REFERENCE[0]), "E_METRIC_SIZE"),
        ((np.zeros((0, 4, 4)), np.zeros((0, 4, 4))), "E_METRIC_SIZE"),
        ((MOVED, REFERENCE, REFERENCE[:40]), "E_METRIC_SIZE"),
        ((MOVED * np.uint8(255), REFERENCE), "E_PROBABILITY_RANGE"),
        ((np.full((SIDE, SIDE), np.nan), REFERENCE), "E_PROBABILITY_NAN"),
        ((MOVED, REFERENCE * 0.5), "E_REFERENCE_NOT_BINARY"),
        ((MOVED, REFERENCE * np.uint8(255)), "E_REFERENCE_NOT_BINARY"),
        ((MOVED, REFERENCE, EMPTY), "E_VALID_AREA_EMPTY"),
    ],
)
def test_what_cannot_be_scored_is_refused(arguments, code):
    with pytest.raises(PolypdaError, match=code):
        metrics.dice(*arguments)
