"""What is said in words, from effects that are known."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

from polypda.quality.frame_table import FEATURES
from polypda.reporting.cohort_statistics import CLAUSES, pair_words, times


def _effects(*rows: tuple[str, float, float, float, float]) -> pd.DataFrame:
    """Feature, value of the first and second cohort, delta, Holm's p."""
    return pd.DataFrame(
        [
            {
                "cohort": "old", "other": "new", "feature": feature, "value": value, "other_value": other,
                "delta": delta, "p_holm": p, "p_value": p,
            }
            for feature, value, other, delta, p in rows
        ]
    )  # fmt: skip


def test_the_largest_effect_comes_first_and_numbers_stand_below():
    told = pair_words(
        _effects(
            ("polyp_area_percent", 10.5, 3.5, -0.55, 1e-4),
            ("laplacian_sd", 8.0, 28.8, 1.0, 1e-9),
            ("lightness", 41.0, 46.0, 0.9, 1e-4),
        )
    )
    assert told.sentence == "Beside old, new is 3.6× as sharp; it is lighter; its polyps cover a third of the area."
    assert told.lines[0] == "sharpness: 28.8 against 8.0\u00a0grey levels (δ +1.00)" and len(told.lines) == 3


def test_small_and_unsupported_effects_are_not_told():
    told = pair_words(
        _effects(("a", 15, 20, 0.30, 1e-9), ("b", 20, 30, 0.9, 0.06), ("noise_sd", 1, 2, 0.5, 0.001))
    )  # fmt: skip
    assert told.sentence == "Beside old, new is 2.0× as noisy." and len(told.lines) == 1
    assert pair_words(_effects(("a", 15, 20, 0.30, 1e-9))).sentence.startswith("No single measure shows a difference")
    unknown = pair_words(_effects(("a", 15, 20, 1.0, np.nan)))
    assert unknown.sentence.startswith("No difference") and "Too few" in unknown.sentence and not unknown.lines


def test_the_outline_is_told_last_and_once():
    told = pair_words(
        _effects(
            ("field_share", 70, 90, 1.0, 1e-9),
            ("longer_side_px", 384, 512, 1.0, 1e-9),
            ("contrast_a", 8, 4, -0.4, 1e-3),
        )
    )
    assert told.sentence == (
        "Beside old, new’s polyps stand out less by redness; its field of view fills more of the frame."
    )
    assert len(told.lines) == 3


@pytest.mark.parametrize(
    ("ratio", "words"),
    [
        (3.62, "3.6×"),
        (12.4, "12×"),
        (1.083, "1.08×"),
        (0.33, "a third"),
        (0.51, "half"),
        (0.7, "0.70×"),
        (0.1, "a tenth"),
    ],
)
def test_ratios(ratio, words):
    assert times(ratio) == words


def test_every_feature_has_its_clause_for_both_directions_and_zero():
    assert set(CLAUSES) == {feature.name for feature in FEATURES}
    for clause in CLAUSES.values():
        assert clause.words(2.0, True) != clause.words(0.5, False)
        assert all(
            "nan" not in clause.words(ratio, True) and "inf" not in clause.words(ratio, True) for ratio in (0.4, 3)
        )
    # a median of 0 has no ratio
    assert CLAUSES["specular_percent"].words(float("inf"), True) == "shows more glare"
    assert CLAUSES["specular_percent"].words(0.0, False) == "shows less glare"
