"""A few labelled frames for many: the estimate is unbiased, the interval holds what it promises, and N is honest."""

import numpy as np
import pytest

from polypda.errors import DataError
from polypda.evaluation.estimation.stratified import (
    allocate,
    draw,
    expected_half_width,
    make_strata,
    merged,
    stratified_mean,
)


def population(seed, count=200, *, negatives=0.0):
    """Dice of two models on the frames of a centre, skewed and with missed polyps; and what is known without labels."""
    rng = np.random.default_rng(seed)
    before = np.where(rng.random(count) < 0.12, 0.0, rng.beta(5, 1.5, count))
    differs = np.where(rng.random(count) < 0.35, rng.beta(1.2, 2, count), rng.beta(1, 12, count))
    after = np.clip(before + 0.6 * differs * rng.normal(0.3, 0.8, count), 0, 1)
    positive = rng.random(count) >= negatives
    agreement = np.clip(1 - differs + rng.normal(0, 0.05, count), 0, 1)
    return before, after, positive, 1 - agreement, rng.beta(1.5, 12, count)


def sampled(seed, frames, drawing, **kind):
    before, after, positive, difference, size = population(seed, **kind)
    codes = make_strata(difference, size, frames)
    sizes = np.bincount(codes)
    spread = [0.7 * np.sqrt((difference[codes == h] ** 2).mean()) for h in range(len(sizes))]
    indices = draw(codes, allocate(sizes, spread, frames), drawing)
    return before, after, positive, codes, sizes, indices


def test_strata_part_frames_by_difference_and_then_by_size():
    difference, size = np.repeat([0.9, 0.1], 20), np.tile([0.3, 0.01], 20)
    codes = make_strata(difference, size, 20)
    assert sorted(np.unique(codes)) == [0, 1, 2, 3] and (np.bincount(codes) == 10).all()
    assert set(codes[:20]) == {2, 3}, "those that differ most come last"
    assert set(codes[:20][::2]) == {3}, "the larger of them last of all"
    assert len(np.unique(make_strata(difference, size, 8))) == 1


@pytest.mark.parametrize("frames", [8, 20, 33, 40])
def test_allocation_is_whole_and_possible(frames):
    sizes = np.array([30, 3, 6, 1])
    drawn = allocate(sizes, [0.01, 0.5, 0.4, 0.3], frames)
    assert drawn.sum() == frames and (drawn <= sizes).all() and (drawn >= np.minimum(sizes, 2)).all()


def test_more_is_drawn_where_the_models_differ_more():
    even, steered = allocate([50, 50], [0.2, 0.2], 20), allocate([50, 50], [0.02, 0.4], 20)
    assert even.tolist() == [10, 10] and steered[1] > 11


def test_impossible_samples_are_refused():
    for frames in (3, 41):
        with pytest.raises(DataError, match="E_AUDIT_SIZE"):
            allocate([30, 10], [0.1, 0.1], frames)


def test_the_estimate_is_unbiased_over_many_drawings():
    values = []
    for drawing in range(1500):
        before, after, _, codes, sizes, indices = sampled(1, 20, drawing)
        values.append(stratified_mean((after - before)[indices], codes[indices], sizes).value)
    truth, error = (after - before).mean(), np.std(values) / np.sqrt(len(values))
    assert abs(np.mean(values) - truth) < 3 * error
    plain = [(after - before)[np.random.default_rng(d).choice(200, 20, replace=False)].mean() for d in range(1500)]
    assert np.std(values) < 0.95 * np.std(plain), "strata must pay, or they are not worth their words"


@pytest.mark.parametrize(("frames", "negatives"), [(20, 0.0), (40, 0.0), (20, 0.25), (40, 0.25)])
def test_intervals_hold_the_truth_about_as_often_as_they_say(frames, negatives):
    held = {"change": [], "dice": []}
    for number in range(800):
        before, after, positive, codes, sizes, indices = sampled(
            number % 20, frames, 1000 + number, negatives=negatives
        )
        for name, values in (("change", after - before), ("dice", after)):
            truth = values[positive].mean()
            one = stratified_mean(values[indices], codes[indices], sizes, counted=positive[indices])
            held[name].append(one.low <= truth <= one.high)
            assert one.n == positive[indices].sum()
    assert 0.90 < np.mean(held["change"]) < 0.99, held
    assert 0.90 < np.mean(held["dice"]) < 0.99, held


def test_the_textbook_case_by_hand():
    """Two strata of 100 and 300 frames; four values."""
    one = stratified_mean([1.0, 3.0, 10.0, 14.0], [0, 0, 1, 1], [100, 300])
    assert one.value == pytest.approx(0.25 * 2 + 0.75 * 12)
    variance = 0.25**2 * 0.98 * 2 / 2 + 0.75**2 * (1 - 2 / 300) * 8 / 2
    parts = np.array([0.25**2 * 0.98 * 1, 0.75**2 * (1 - 2 / 300) * 4])
    degrees = parts.sum() ** 2 / (parts**2).sum()
    assert one.degrees == pytest.approx(degrees)
    from scipy import stats

    assert one.half_width == pytest.approx(stats.t.ppf(0.975, degrees) * np.sqrt(variance))


def test_a_census_is_exact_and_values_without_spread_have_no_interval():
    whole = stratified_mean([0.2, 0.4, 0.9], [0, 0, 1], [2, 1])
    assert whole.value == whole.low == whole.high == pytest.approx(0.5)
    flat = stratified_mean([0.0] * 4, [0, 0, 1, 1], [50, 50])
    assert flat.value == 0 and np.isnan(flat.low) and "same value" in flat.words
    none = stratified_mean([0.5, 0.5], [0, 0], [9], counted=[False, False])
    assert np.isnan(none.value)
    with pytest.raises(DataError, match="E_AUDIT_STRATUM"):
        stratified_mean([0.5], [0], [9])


def test_strata_with_too_few_answers_join_a_neighbour():
    codes, sizes = merged([0, 0, 1, 3, 3], [10, 20, 30, 40])
    assert sizes.sum() == 100 and (np.bincount(codes) >= 2).all()
    assert merged([2], [5, 5, 5])[1].tolist() == [15]
    assert merged([0, 0, 1], [9, 1])[1].tolist() == [9, 1], "a stratum that is labelled throughout stays"


def test_what_is_expected_beforehand_is_what_comes():
    widths, told = [], []
    for number in range(100):
        before, after, _, codes, sizes, indices = sampled(number % 10, 30, number)
        change = after - before
        spread = [change[codes == h].std(ddof=1) for h in range(len(sizes))]
        told.append(expected_half_width(sizes, np.bincount(codes[indices]), spread))
        widths.append(stratified_mean(change[indices], codes[indices], sizes).half_width)
    assert np.mean(widths) == pytest.approx(np.mean(told), rel=0.1)
    assert expected_half_width([4, 4], [4, 4], [0.3, 0.3]) == 0
