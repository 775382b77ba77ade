"""The profile `pranet2020` against a plain computation of its own, and against pysodmetrics, frame by frame."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from polypda.evaluation.scoring.pranet2020 import PranetTable, pranet_scores

sod = pytest.importorskip("py_sod_metrics", reason="the extra `legacy` is not installed")

TOLERANCE = 1e-6
SIZES = ((3, 4), (5, 2), (6, 9), (8, 5))
PLATEAUS = (0, 1, 51, 102, 127, 128, 129, 200, 254, 255)


@st.composite
def images(draw: st.DrawFn) -> tuple[np.ndarray, np.ndarray]:
    """A map as its PNG would hold it (uint8 H×W), and a reference (bool) that shows a polyp."""
    height, width = draw(st.sampled_from(SIZES))
    grey = st.one_of(st.integers(0, 255), st.sampled_from(PLATEAUS))
    greys = draw(st.lists(grey, min_size=height * width, max_size=height * width))
    bits = draw(st.integers(1, 2 ** (height * width) - 1))
    polyp = [bool(bits >> index & 1) for index in range(height * width)]
    return np.array(greys, np.uint8).reshape(height, width), np.array(polyp).reshape(height, width)


def stretched(image: np.ndarray) -> np.ndarray:
    """The map from its own minimum to its own maximum; a constant map stays."""
    share = image / 255
    low, high = share.min(), share.max()
    return share if low == high else (share - low) / (high - low)


def mean_over_thresholds(image: np.ndarray, polyp: np.ndarray) -> tuple[float, float]:
    """(mean Dice, mean IoU) over the thresholds 0…255 of the stretched map in 8 bits; polyp from a threshold on."""
    grey = (stretched(image) * 255).astype(np.uint8)
    dice, iou = [], []
    for threshold in range(256):
        marked = grey >= threshold
        shared = np.sum(marked & polyp)
        dice.append(2 * shared / (np.sum(marked) + np.sum(polyp)))
        iou.append(shared / np.sum(marked | polyp))
    return float(np.mean(dice)), float(np.mean(iou))


def library(measure: Any, image: np.ndarray, polyp: np.ndarray) -> dict[str, Any]:
    measure.step(pred=image, gt=polyp.astype(np.uint8) * 255)
    return measure.get_results()


def check(frame: tuple[np.ndarray, np.ndarray]) -> None:
    image, polyp = frame
    got = pranet_scores(image / 255, polyp)
    assert (got.dice.mean(), got.iou.mean()) == pytest.approx(mean_over_thresholds(image, polyp), abs=TOLERANCE)
    assert got.mae == pytest.approx(np.abs(stretched(image) - polyp).mean(), abs=TOLERANCE)
    # NaN in the library, and so here, where the polyp's centre lies in the last row or column: a quarter is empty then
    assert got.s_measure == pytest.approx(library(sod.Smeasure(), *frame)["sm"], abs=TOLERANCE, nan_ok=True)
    np.testing.assert_allclose(got.e_measure, library(sod.Emeasure(), *frame)["em"]["curve"], atol=TOLERANCE)
    assert got.weighted_f == pytest.approx(library(sod.WeightedFmeasure(), *frame)["wfm"], abs=TOLERANCE)


def try_many(examples: int) -> int:
    """Check frames, which raises where one scores otherwise; returns how many were checked."""
    checked = 0

    def counted(frame: tuple[np.ndarray, np.ndarray]) -> None:
        nonlocal checked
        check(frame)
        checked += 1

    settings(max_examples=examples, deadline=None, suppress_health_check=[HealthCheck.too_slow])(
        given(images())(counted)
    )()
    return checked


def test_frames_score_as_in_a_plain_computation_and_in_the_library() -> None:
    assert try_many(50) >= 50


@pytest.mark.slow
def test_10_000_frames_score_as_in_a_plain_computation_and_in_the_library() -> None:
    assert try_many(10_000) >= 10_000


def test_table_averages_curves_over_frames_and_leaves_negatives_out() -> None:
    painter = np.random.default_rng(3)
    frames = [(painter.integers(0, 256, (9, 14), np.uint8), painter.random((9, 14)) < 0.3) for _ in range(6)]
    nothing = np.zeros((9, 14), bool)
    table = PranetTable()
    for image, polyp in frames:
        table.add("painted", "source-only", image / 255, polyp)
    table.add("painted", "source-only", frames[0][0] / 255, nothing)
    row = table.table().iloc[0]
    each = [mean_over_thresholds(image, polyp) for image, polyp in frames]
    assert (row["n"], row["n_without_polyp"]) == (6, 1)
    assert (row["meanDice"], row["meanIoU"]) == pytest.approx(tuple(np.mean(each, axis=0)), abs=TOLERANCE)
    together = sod.Emeasure()
    for image, polyp in frames:
        together.step(pred=image, gt=polyp.astype(np.uint8) * 255)
    curve = together.get_results()["em"]["curve"]
    assert (row["meanEm"], row["maxEm"]) == pytest.approx((curve.mean(), curve.max()), abs=TOLERANCE)


def test_a_map_too_faint_for_any_polyp_scores_as_if_it_were_sure() -> None:
    """Why the profile stands apart: the same map has Dice 0 at threshold 0.5."""
    polyp = np.zeros((9, 14), bool)
    polyp[2:6, 3:9] = True
    assert pranet_scores(polyp * 0.4, polyp).dice.mean() == pytest.approx((255 + 2 * 24 / (24 + 126)) / 256)
