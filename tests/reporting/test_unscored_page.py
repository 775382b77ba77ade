"""What the page of a target without labels says: alarms first, estimates as estimates, and what they were off by."""

import math

import pandas as pd
import pytest

from polypda.evaluation.estimation.estimated_dice import DiceEstimate
from polypda.evaluation.estimation.evidence import LabelFreeEvidence, ModelEvidence
from polypda.reporting.pages import unscored_page
from polypda.reporting.pages.unscored_page import (
    cautions,
    drift_table,
    estimate_table,
    evidence_table,
    figures,
    headline,
)


def evidence(change=(-0.02, 0.03, 0.08), **more):
    low, value, high = change
    estimates = (
        DiceEstimate("temperature", "before", 0.7, 0.72, 0.6, 0.8, {"a": 0.1, "b": -0.1, "c": 0.06}),
        DiceEstimate("temperature", "after", 0.73, 0.75, 0.63, 0.83, {"a": 0.1, "b": -0.1, "c": 0.06}),
        DiceEstimate("temperature", "change", value, value, low, high, {"a": 0.0, "b": 0.05, "c": -0.05}),
    )
    values = {
        "frames": 50, "source_foreground": 0.1, "before": ModelEvidence(0.08, 0.1, 0.8, {"target_entropy": 0.2}, 0.85),
        "after": ModelEvidence(0.09, 0.05, 0.82, {"target_entropy": 0.1}, 0.84), "agreement": 0.8, "changed": 0.06,
        "scales": (1.0, 2.0), "source_frames": 48, "estimates": estimates, "pseudo_targets": {"restyled": 3},
    }  # fmt: skip
    return LabelFreeEvidence(**(values | more))


def test_alarms_stand_in_the_headline():
    assert headline(evidence()) == "Adapted; not scored (no labels)."
    assert headline(evidence(), set_aside=True).endswith("Keep the source model.")
    assert "Not to be used" in headline(evidence(findings=("it marks nothing on 90% of the frames",)))


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ((-0.02, 0.03, 0.08), "a change of either sign is possible"),
        ((0.01, 0.03, 0.08), "only labels can show it"),
        ((-0.08, -0.03, -0.01), "hints at harm"),
        ((math.nan, 0.03, math.nan), "no interval"),
    ],
)
def test_an_estimated_change_is_never_called_help(change, words):
    notes = {label: note for label, _, note in figures(evidence(change))}
    assert words in notes["Estimated change of Dice"]
    assert not any("Yes" in note or "helps" in note for note in notes.values())


def test_what_was_not_estimated_is_said():
    without = evidence(estimates=(), source_frames=0)
    assert not any("Estimated" in label for label, _, _ in figures(without)) and estimate_table(without) is None
    assert any("not estimated" in caution for caution in cautions(without))


def test_measured_errors_stand_beside_estimates(monkeypatch):
    row = {
        "rule": "temperature", "calibrator": "source", "quantity": "after", "runs": 8, "pairs": 4, "mean_error": 0.02,
        "mean_absolute_error": 0.069, "largest_error": 0.101, "too_high": 0.5, "within": 0.75, "width": 0.2,
    }  # fmt: skip
    monkeypatch.setattr(unscored_page, "known_errors", lambda: pd.DataFrame([row]))
    (told,) = [caution for caution in cautions(evidence()) if "truth is known" in caution]
    assert "8\u00a0runs of 4\u00a0pairs" in told and "off by 0.069 on average and 0.101 at most" in told
    assert "held the truth in 6 of 8" in told


def test_every_measure_is_a_row_with_its_reading():
    rows = {row[0]: row[1:] for row in evidence_table(evidence()).rows}
    assert rows["entropy on the target (bit)"] == ["0.200", "0.100", "lower speaks for a model"]
    assert rows["Dice on the source's held-out frames"][:2] == ["0.850", "0.840"]
    drifting = drift_table(evidence(drift=((-1, 0.1, 1.0, 0.8), (100, 0.12, 0.7, 0.9))))
    assert drifting is not None and drifting.rows[0][0] == "source-only"
    assert drifting.rows[1] == ["step 100", "12.0\u00a0%", "0.70", "0.90"] and drift_table(evidence()) is None
    assert rows["agreement between input sizes 1 and 2"][:2] == ["0.80", "0.82"]
