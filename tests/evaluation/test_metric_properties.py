"""Laws that the metrics obey for every pair of masks; each is tried on a few frames, and on 10,000 in the slow run."""

import math
from collections.abc import Callable
from dataclasses import asdict, replace
from fractions import Fraction
from functools import wraps
from typing import Any

import numpy as np
import pytest
from conformance_case import METRICS
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st
from metric_definitions import HIT_RULES, Drawn, Pixel, answers, components, hit_counts, parted, reliability_answers
from random_frames import MOST_PIXELS, Masks, digits, from_bits, lesion_frames, masks

from polypda.evaluation.scoring.mask_geometry import hd95_and_nsd
from polypda.evaluation.scoring.metrics import FrameMetrics, frame_metrics

ABOUT_SIZE = {"width_px", "height_px"}


LAWS: dict[str, tuple[Callable[..., None], tuple[Any, ...]]] = {}


def law(*drawn: st.SearchStrategy) -> Callable[[Callable[..., None]], Callable[..., None]]:
    """Register a check, with the strategies of its arguments."""

    def register(check: Callable[..., None]) -> Callable[..., None]:
        LAWS[check.__name__] = check, drawn
        return check

    return register


def try_law(name: str, examples: int, **options: Any) -> int:
    """Check a law, which raises where it is broken; returns on how many frames it was checked."""
    check, drawn = LAWS[name]
    checked = 0

    @wraps(check)  # what is drawn goes by the law's own signature
    def counted(*frame: Any, **named: Any) -> None:
        nonlocal checked
        check(*frame, **named)
        checked += 1

    unhurried = settings(max_examples=examples, deadline=None, suppress_health_check=[HealthCheck.too_slow], **options)
    unhurried(given(*drawn)(counted))()
    return checked


def same(one: float | None, other: float | None) -> bool:
    if one is None or other is None:
        return one is other
    return math.isclose(one, other, rel_tol=1e-12, abs_tol=1e-12) or (math.isnan(one) and math.isnan(other))


def flat(scores: FrameMetrics) -> dict[str, Any]:
    """Every figure by its name; the tenths of the reliability one by one."""
    values = asdict(scores)
    tenths = values.pop("reliability")
    return values | {f"{name}_{tenth}": v for name, counts in tenths.items() for tenth, v in enumerate(counts)}


def differing(one: FrameMetrics, other: FrameMetrics, besides: set[str]) -> dict[str, tuple]:
    first, second = flat(one), flat(other)
    names = first.keys() - besides
    return {name: (first[name], second[name]) for name in names if not same(first[name], second[name])}


@law(masks(), st.integers(0, 9**MOST_PIXELS - 1))
def metrics_follow_the_definitions(frame: Masks, number: int) -> None:
    soft = np.reshape(digits(number, (9,) * frame.valid.size), frame.valid.shape) / 8
    probability = np.where(frame.prediction, np.maximum(soft, 0.5), np.minimum(soft, 0.375))
    assert not unlike_definition(frame, probability)


@law(lesion_frames())
def lesions_follow_the_definitions(frame: Masks) -> None:
    assert not unlike_definition(frame, frame.prediction.astype(float))


def unlike_definition(frame: Masks, probability: np.ndarray) -> dict[str, tuple]:
    got = flat(frame_metrics(probability, frame.reference, frame.valid))
    reference, valid, touched = (pixels_of(mask) for mask in (frame.reference, frame.valid, probability > 0))
    pixels = {pixel: Fraction(float(probability[pixel])) for pixel in touched}
    height, width = frame.valid.shape
    drawn = Drawn(height, width, reference, valid, pixels)
    defined = answers(drawn) | reliability_answers(drawn)
    expected = {metric: answer if answer is None else float(answer) for metric, answer in defined.items()}
    expected |= {metric: got[metric] for metric in HIT_RULES if got[metric] in possible_hits(drawn)[metric]}
    nan_or_none = (None, math.nan)
    return {
        metric: (got[metric], answer)
        for metric, answer in expected.items()
        if not (same(got[metric], answer) or any(same(got[metric], n) for n in nan_or_none if answer is None))
    }


def pixels_of(mask: np.ndarray) -> frozenset[Pixel]:
    rows, columns = np.nonzero(mask)
    return frozenset(zip(rows.tolist(), columns.tolist(), strict=True))


def possible_hits(drawn: Drawn) -> dict[str, set[int]]:
    """Where matchings of equal weight hold unequal numbers of hits, the definition allows each of them."""
    least_px = max(Fraction(20), Fraction(len(drawn.valid), 5000))
    polyps, _ = parted(components(drawn.reference & drawn.valid), least_px)
    marks, _ = parted(components(drawn.predicted & drawn.valid), least_px)
    return {metric: hit_counts(polyps, marks, rule) for metric, rule in HIT_RULES.items()}


@law(masks(both_marked=True))
def swapping_the_masks_swaps_sensitivity_and_ppv_only(frame: Masks) -> None:
    there, back = frame.scores, Masks(frame.prediction, frame.reference, frame.valid).scores
    for name in ("dice", "iou", "mae", "hd95_px", "nsd", "lesions_hit_10", "lesions_hit_50"):
        assert same(getattr(there, name), getattr(back, name)), name
    assert (there.sensitivity, there.ppv) == (back.ppv, back.sensitivity)
    assert (there.lesions_reference, there.lesions_predicted) == (back.lesions_predicted, back.lesions_reference)


@law(masks())
def iou_follows_from_dice(frame: Masks) -> None:
    got = frame.scores
    assert same(got.iou, got.dice / (2 - got.dice))
    assert math.isnan(got.dice) is not got.positive
    assert math.isnan(got.dice) or 0 <= got.iou <= got.dice <= 1


TURNS = (np.fliplr, np.flipud, np.rot90, np.transpose, lambda mask: np.rot90(mask, 2), lambda mask: np.rot90(mask, 3))


@law(st.one_of(masks(), lesion_frames()), st.sampled_from(TURNS))
def turning_the_frame_changes_nothing(frame: Masks, turn: Callable[[np.ndarray], np.ndarray]) -> None:
    assert not differing(frame.scores, Masks(*map(turn, frame)).scores, ABOUT_SIZE)


@law(masks(), st.tuples(*[st.integers(0, 3)] * 4), st.booleans())
def padding_outside_the_valid_area_changes_nothing(frame: Masks, sides: tuple[int, ...], marked: bool) -> None:
    around = sides[:2], sides[2:]
    reference, valid = np.pad(frame.reference, around), np.pad(frame.valid, around)
    padded = Masks(reference, np.pad(frame.prediction, around, constant_values=marked), valid)
    assert not differing(frame.scores, padded.scores, ABOUT_SIZE)


@law(masks(both_marked=True), st.integers(0, 2**MOST_PIXELS - 1))
def what_lies_outside_the_valid_area_is_not_seen(frame: Masks, bits: int) -> None:
    outside = from_bits(bits, frame.valid.shape) & ~frame.valid
    other = Masks(frame.reference ^ outside, frame.prediction ^ np.flipud(outside) & ~frame.valid, frame.valid)
    assert not differing(frame.scores, other.scores, {"reference_outside_share"})


def with_and_without(frame: Masks, at: int) -> tuple[FrameMetrics, FrameMetrics]:
    with_it, without_it = frame.prediction.copy(), frame.prediction.copy()
    with_it.flat[at], without_it.flat[at] = True, False
    return frame._replace(prediction=with_it).scores, frame._replace(prediction=without_it).scores


@law(masks(both_marked=True), st.integers(0, 2**16))
def one_more_true_positive_raises_the_overlap(frame: Masks, index: int) -> None:
    polyp = np.flatnonzero(frame.reference & frame.valid)
    found, left_out = with_and_without(frame, int(polyp[index % polyp.size]))
    for name in ("dice", "iou", "sensitivity", "f2"):
        assert getattr(found, name) > getattr(left_out, name), name
    assert found.mae < left_out.mae and same(found.specificity, left_out.specificity)


@law(masks(both_marked=True), st.integers(0, 2**16))
def one_false_positive_less_never_lowers_the_overlap(frame: Masks, index: int) -> None:
    mucosa = np.flatnonzero(frame.valid & ~frame.reference)
    if mucosa.size:
        marked, cleared = with_and_without(frame, int(mucosa[index % mucosa.size]))
        for name in ("dice", "iou", "f2"):
            better, worse = getattr(cleared, name), getattr(marked, name)
            assert better > worse or better == worse == 0, name
        assert cleared.specificity > marked.specificity and cleared.mae < marked.mae


@law(masks(both_marked=True), st.lists(st.sampled_from([0.0, 1.0, 1.5, 2.0, 2.5, 4.0, 9.0]), min_size=2, max_size=2))
def a_larger_tolerance_never_lowers_nsd(frame: Masks, tolerances_px: list[float]) -> None:
    reference, prediction = frame.reference & frame.valid, frame.prediction & frame.valid
    (hd95, narrow), (again, wide) = (hd95_and_nsd(reference, prediction, px) for px in sorted(tolerances_px))
    assert 0 <= narrow <= wide <= 1 and hd95 == again
    assert hd95_and_nsd(reference, prediction, float(sum(frame.valid.shape)))[1] == 1


@law(masks(both_marked=True))
def surface_distances_stay_in_their_ranges(frame: Masks) -> None:
    got = frame.scores
    assert 0 <= got.nsd <= 1
    rows, columns = np.nonzero(frame.valid)
    assert 0 <= got.hd95_px <= math.hypot(np.ptp(rows), np.ptp(columns))
    if got.dice == 1:
        assert got.hd95_px == 0 and got.nsd == 1
    if got.hd95_px <= got.nsd_tolerance_px:  # at most one pixel in twenty (and the one the percentile cuts) is farther
        assert got.nsd > 0


@law(lesion_frames())
def lesions_are_matched_one_to_one(frame: Masks) -> None:
    got = frame.scores
    assert 0 <= got.lesions_hit_50 <= got.lesions_hit_10 <= min(got.lesions_reference, got.lesions_predicted)
    everything = Masks(frame.reference, np.ones_like(frame.valid), np.ones_like(frame.valid)).scores
    assert everything.lesions_hit_10 <= 1
    perfect = Masks(frame.reference, frame.reference, frame.valid).scores
    assert perfect.lesions_hit_50 == perfect.lesions_hit_10 == perfect.lesions_reference


@pytest.mark.parametrize("name", LAWS)
def test_law(name: str) -> None:
    assert try_law(name, examples=50) >= 50


@pytest.mark.slow
@pytest.mark.parametrize("name", LAWS)
def test_law_on_10_000_frames(name: str) -> None:
    assert try_law(name, examples=10_000) >= 10_000


@pytest.mark.parametrize("metric", METRICS)
def test_a_wrong_metric_breaks_a_law(metric: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """The definitions see each figure of the product: were it off, a law would fail."""
    right = frame_metrics

    def wrong(*arguments: Any, **named: Any) -> FrameMetrics:
        got = right(*arguments, **named)
        value = getattr(got, metric)
        changed: Any = not value if isinstance(value, bool) else value and value * 1.01
        return replace(got, **{metric: changed})

    monkeypatch.setitem(globals(), "frame_metrics", wrong)
    about_lesions = metric.startswith("lesions_") or metric == "fp_components"
    law_of_it = "lesions_follow_the_definitions" if about_lesions else "metrics_follow_the_definitions"
    with pytest.raises((AssertionError, ExceptionGroup)):
        try_law(law_of_it, examples=50, phases=[Phase.generate], derandomize=True)
