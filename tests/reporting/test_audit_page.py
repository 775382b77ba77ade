"""What the page of an audit says first: help and harm only of an interval of frames drawn at random."""

import json
import math
from dataclasses import replace

import pytest

from polypda.evaluation.estimation.stratified import SampleEstimate
from polypda.reporting.pages.audit_page import AuditAnswer, cautions, figures, render_audit, verdict


def answer(low=0.03, value=0.11, high=0.19, **changes):
    estimates = {
        "before": SampleEstimate(0.72, 0.6, 0.83, 18, 12.6),
        "after": SampleEstimate(0.83, 0.77, 0.88, 18, 11.9),
        "change": SampleEstimate(value, low, high, 18, 13.5),
    }
    values = {
        "run": "r", "source": "a", "target": "b", "models": ("source-only", "minent"), "part": "all",
        "population": 256, "by_plan": True, "asked": 20, "labelled": 20, "positive": 18, "negative": 2,
        "false_alarms": (1, 2), "better_worse": (10, 3), "estimates": estimates, "expected": (0.06, 0.14),
        "labels_use": "no label of b was used in training",
    }  # fmt: skip
    return AuditAnswer(**(values | changes))


@pytest.mark.parametrize(
    ("limits", "tone", "words"),
    [
        ((0.03, 0.11, 0.19), "better", "Yes, on the 256 frames of b: Dice rises by 0.11"),
        ((-0.2, -0.1, -0.01), "worse", "No: on the 256 frames of b Dice falls by 0.10"),
        ((-0.02, 0.05, 0.12), "unchanged", "Not shown to help"),
        ((math.nan, 0.0, math.nan), "unchanged", "No change seen"),
        ((math.nan, 0.2, math.nan), "unknown", "without an interval"),
        ((math.nan, math.nan, math.nan), "unknown", "no labelled frame shows a polyp"),
    ],
)
def test_the_first_sentence_follows_the_interval(limits, tone, words):
    said = verdict(answer(*limits))
    assert said[0] == tone and words in said[1]


def test_frames_that_were_not_drawn_prove_nothing():
    tone, words = verdict(answer(by_plan=False))
    assert tone == "unknown" and "not drawn at random" in words
    assert any("chosen by eye" in caution for caution in cautions(answer(by_plan=False)))


def test_cautions_follow_what_came_back():
    plain = " ".join(cautions(answer()))
    assert "20 of 20 frames came back" in plain and "no label of b was used in training" in plain
    assert "prefilled" not in plain and "have no label" not in plain
    assert "Fewer than" not in " ".join(cautions(answer(asked=40, labelled=40)))
    assert "one and the same model" in " ".join(cautions(answer(same_models=True)))
    told = " ".join(
        cautions(answer(labelled=12, prefill="coco", as_prefilled=3, boxes_only=1, estimated_without_labels={
            "before": 0.7, "after": 0.75, "change": 0.05}))
    )  # fmt: skip
    for words in ("8 drawn frames have no label", "3 labels are exactly", "boxes alone", "Fewer than 40", "0.75 after"):
        assert words in told, words


def test_figures_and_file_hold_what_was_measured():
    shown = {label: value for label, value, _ in figures(answer())}
    assert shown["Mean Dice, frames with a polyp"] == "0.72 → 0.83"
    assert shown["False alarms on frames without a polyp"] == "1 → 2"
    unknown = answer(math.nan, math.nan, math.nan)
    assert json.loads(json.dumps(unknown.as_json(), allow_nan=False))["estimates"]["change"]["value"] is None
    page = render_audit(replace(answer(), target="<b>"), [])
    assert "<b>:" not in page and "&lt;b&gt;" in page
