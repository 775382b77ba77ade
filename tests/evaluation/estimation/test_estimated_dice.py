"""Estimated Dice where the answer is known: probabilities that mean what they say, and some that do not."""

import numpy as np
import pytest
from scipy import stats
from scipy.special import expit, logit

from polypda.errors import DataError
from polypda.evaluation.estimation.confidence import (
    BINS,
    LOGITS,
    ConfidenceCounts,
    confidence_counts,
    fit_temperatures,
    fit_thresholds,
)
from polypda.evaluation.estimation.estimated_dice import (
    PairCounts,
    PseudoTarget,
    Spread,
    error_limits,
    estimate_dice,
    known_spread,
    mean_estimates,
    set_means,
    true_means,
)

SIZE = (48, 64)


def frames(count, seed=0, *, temperature=1.0, shift=0.0):
    """Frames whose pixels are polyp with exactly their true probability; told is that probability made too sure.

    temperature: below 1 the told probabilities are surer than the true ones. shift: of the true logits.
    """
    rng = np.random.default_rng(seed)
    y, x = np.mgrid[: SIZE[0], : SIZE[1]]
    found = []
    for _ in range(count):
        centre = rng.uniform(16, 32), rng.uniform(20, 44)
        distance = np.hypot(y - centre[0], x - centre[1])
        true = (rng.uniform(6, 12) - distance) * rng.uniform(0.3, 0.9) + rng.normal(0, 0.7, SIZE)
        reference = (rng.random(SIZE) < expit(true + shift)).astype(np.uint8)
        found.append(confidence_counts(expit(true / temperature), np.ones(SIZE, bool), reference))
    return ConfidenceCounts.joined(found)


def test_counts_are_the_pixels_and_dice_is_the_metric():
    probability = np.array([[0.0, 0.5, 0.9], [1.0, 0.49999, 0.2]], np.float32)
    reference = np.array([[0, 1, 1], [0, 1, 0]], np.uint8)
    valid = np.array([[True, True, True], [True, True, False]])
    counts = confidence_counts(probability, valid, reference)
    assert counts.pixels.sum() == 5 and counts.labels.sum() == 3
    assert counts.dice[0] == pytest.approx(2 * 2 / (3 + 3))
    assert counts.foreground[0] == pytest.approx(3 / 5)
    assert counts.pixels[0, 0] == 1 and counts.pixels[0, -1] == 1, "certain pixels lie in the outermost bins"


def test_perfectly_calibrated_probabilities_give_an_unbiased_estimate():
    known, unseen = frames(60, seed=1), frames(200, seed=2)
    calibrator = fit_temperatures(known)
    assert np.allclose(calibrator.parameters, 1, atol=0.1)
    error = calibrator.expected_dice(unseen) - unseen.dice
    standard_error = error.std() / np.sqrt(len(error))
    assert abs(error.mean()) < 3 * standard_error + 0.005


@pytest.mark.parametrize("temperature", [0.5, 2.0])
def test_a_known_temperature_is_found_and_undone(temperature):
    known, unseen = frames(60, seed=3, temperature=temperature), frames(150, seed=4, temperature=temperature)
    calibrator = fit_temperatures(known)
    assert np.allclose(calibrator.parameters, 1 / temperature, rtol=0.15)
    plain = fit_temperatures(frames(60, seed=3))
    mine = abs((calibrator.expected_dice(unseen) - unseen.dice).mean())
    assert mine < 0.01 < abs((plain.expected_dice(unseen) - unseen.dice).mean())


def test_classes_are_calibrated_apart():
    """Marked pixels are as often polyp as said, the others hide more than said."""
    bins = np.searchsorted(LOGITS, np.array([-3.0, -1.0, 1.0, 3.0]))
    pixels, polyp = np.zeros((4, BINS)), np.zeros((4, BINS))
    pixels[:, bins] = [4000, 1000, 1000, 4000]
    polyp[:, bins] = pixels[:, bins] * expit(LOGITS[bins])
    polyp[:, bins[:2]] = pixels[:, bins[:2]] * expit(LOGITS[bins[:2]] / 3)
    calibrator = fit_temperatures(ConfidenceCounts(pixels, polyp))
    assert calibrator.parameters == pytest.approx((1, 3), rel=1e-6)


@pytest.mark.parametrize("fit", [fit_temperatures, fit_thresholds])
def test_mean_dice_is_met_exactly_on_the_frames_that_were_fitted(fit):
    """Also where some frames are missed altogether, which no confidence tells."""
    counts = frames(20, seed=5, temperature=0.6)
    missed = frames(6, seed=9, shift=-30).pixels  # certain and wrong: everything marked is background
    polyp = np.zeros_like(missed)
    polyp[:, 200] = missed[:, 200]
    both = ConfidenceCounts.joined([counts, ConfidenceCounts(missed, np.maximum(polyp, 0) + 1e-9)])
    calibrator = fit(both)
    assert calibrator.expected_dice(both).mean() == pytest.approx(both.dice.mean(), abs=1e-6)


def test_a_threshold_takes_the_most_confident_pixels():
    bins = np.searchsorted(LOGITS, logit([0.3, 0.6, 0.9]))
    pixels, polyp = np.zeros((2, BINS)), np.zeros((2, BINS))
    pixels[:, bins], polyp[:, bins] = [100, 100, 100], [10, 50, 70]
    calibrator = fit_thresholds(ConfidenceCounts(pixels, polyp))
    assert calibrator.polyp[bins[1:]] == pytest.approx([0.2, 1.0], abs=1e-6), "120 of 200 marked pixels are polyp"
    assert calibrator.expected_dice(ConfidenceCounts(pixels)).mean() == pytest.approx(2 * 120 / (200 + 130), abs=1e-6)


def test_a_frame_on_which_nothing_is_marked_is_expected_to_be_missed():
    counts = confidence_counts(np.full(SIZE, 0.2), np.ones(SIZE, bool))
    assert fit_temperatures(frames(4)).expected_dice(counts).tolist() == [0.0]


def test_too_few_labels_are_refused():
    with pytest.raises(DataError, match="E_ESTIMATION_FRAMES"):
        fit_temperatures(frames(1))
    with pytest.raises(DataError, match="E_NO_LABEL"):
        fit_temperatures(ConfidenceCounts(frames(3).pixels))


def test_the_interval_is_that_of_one_error_more_turned_round():
    errors = [0.1, -0.05, 0.0]
    low, high = stats.ttest_1samp(errors, 0).confidence_interval(0.9)  # of their mean: √(1/3) of the spread
    middle, half = np.mean(errors), high - low  # of one more: √(4/3), twice as wide
    assert error_limits(0.7, errors) == pytest.approx((0.7 - middle - half, 0.7 - middle + half))
    assert np.isnan(error_limits(0.7, [0.1])).all()
    assert error_limits(0.1, [0.3, 0.2, -1.2]) == (0.0, 1.0)
    assert error_limits(-0.9, [0.5, 0.4, 0.6], -1.0)[0] == -1.0


@pytest.mark.parametrize("degrees", [0, 4])
@pytest.mark.parametrize("sets", [2, 6])
def test_the_interval_holds_as_often_as_it_is_made_to(sets, degrees):
    """Errors of sets and of the target that are alike: normal, of variance 0.01 about 0.02, as is what is known."""
    rng = np.random.default_rng(1)
    draws = rng.normal(0.02, 0.1, (1500, sets + 1))
    variances = 0.01 * rng.chisquare(4, len(draws)) / 4
    known = [Spread(variance, degrees) for variance in variances]
    limits = np.array([error_limits(0.5, row[:-1], -1e9, one) for row, one in zip(draws, known, strict=True)])
    truth = 0.5 - draws[:, -1]
    held = (limits[:, 0] <= truth) & ((truth <= limits[:, 1]) | (limits[:, 1] == 1))
    assert 0.88 < held.mean() < 0.925


def test_styles_of_the_same_frames_count_as_one():
    assert set_means(["a", "b", "a", "c"], [0.1, 0.5, 0.3, -0.1]) == pytest.approx([0.2, 0.5, -0.1])


def test_what_is_known_of_other_pairs_is_worth_so_many_sets():
    """Two sets that happen to agree do not make a narrow interval; many sets decide by themselves."""
    few, many = [0.01, 0.011], list(np.linspace(-0.1, 0.1, 50))
    alone, helped = (error_limits(0.5, few, 0.0, known) for known in (Spread(), Spread(0.005, 4)))
    assert alone[1] - alone[0] < 0.02 < 0.3 < helped[1] - helped[0]
    alone, helped = (error_limits(0.5, many, 0.0, known) for known in (Spread(), Spread(0.005, 4)))
    assert helped == pytest.approx(alone, abs=0.01)
    assert known_spread("temperature", "after").degrees >= 2 and 0 < known_spread("threshold", "change").variance < 0.01


def test_what_pseudo_targets_are_off_by_is_told_and_covers_a_like_target():
    """The target is too surely told in the same way as the pseudo-targets: the interval moves by what they tell."""
    source = frames(60, seed=6)
    shifted = [frames(40, seed=10 + number, shift=-1.8) for number in range(5)]
    pseudo = [PseudoTarget(f"p{n}", "restyled", PairCounts(one, one), source) for n, one in enumerate(shifted)]
    target = frames(80, seed=30, shift=-1.8)
    blind = ConfidenceCounts(target.pixels)
    told = estimate_dice(PairCounts(blind, blind), source, pseudo, lambda rule, quantity: Spread())
    found = {(one.rule, one.quantity): one for one in told}
    for rule in ("temperature", "threshold"):
        one = found[rule, "after"]
        truth = float(np.nanmean(target.dice))
        assert one.uncorrected - truth > 0.03, "a shift that confidence does not show makes the estimate too high"
        assert min(one.errors.values()) > 0.03
        assert one.low - 0.02 <= truth <= one.high + 0.02 and one.high < one.uncorrected
        assert one.low <= one.value <= one.high and abs(one.value - truth) < 0.02, "corrected by what they are off"
        assert one.sets == 5 and one.variance == pytest.approx(np.var(list(one.errors.values()), ddof=1))
        assert found[rule, "change"].value == 0


def test_the_change_is_the_difference_of_both_models():
    before, after = frames(30, seed=7), frames(30, seed=8)
    calibrator = fit_temperatures(before)
    told = mean_estimates(PairCounts(before, after), calibrator)
    assert told["change"] == pytest.approx(told["after"] - told["before"])
    truth = true_means(PairCounts(before, after))
    assert truth["change"] == pytest.approx(np.nanmean(after.dice) - np.nanmean(before.dice))
