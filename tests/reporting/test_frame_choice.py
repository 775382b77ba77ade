"""Which frames are shown, and why."""

import pandas as pd
import pytest

from polypda.errors import DataError, UsageError
from polypda.reporting.overlays.frame_choice import choose_frames


def choose(study: pd.DataFrame, count) -> list[tuple[str, str]]:
    return [tuple(pick) for pick in choose_frames(study, "source-only", "adaptsegnet", "haining", count)]


def test_the_worst_comes_first_and_each_reason_has_its_turn(study: pd.DataFrame) -> None:
    # Dice before → after: a 0 → 2/3, b 1 → 8/9, c 3/4 → 3/4, d 2/3 → 1
    assert choose(study, 4) == [
        ("a", "worst after adaptation; most improved"),
        ("b", "most harmed; nearest the median after adaptation"),
        ("n2", "largest false positive on a frame without a polyp"),
        ("c", "worst after adaptation, number 2"),
    ]


def test_all_shows_every_frame_once(study: pd.DataFrame) -> None:
    chosen = choose(study, "all")
    assert sorted(frame for frame, _ in chosen) == ["a", "b", "c", "d", "n1", "n2", "n3"]
    assert chosen[-1] == ("n3", "frame without a polyp, nothing marked")
    assert choose(study, 100) == chosen and choose(study, 0) == []


def test_the_order_of_rows_does_not_matter(study: pd.DataFrame) -> None:
    shuffled = study.sample(frac=1, random_state=5)
    assert all(choose(study, count) == choose(shuffled, count) for count in (1, 3, "all"))


def test_unknown_cohorts_models_and_counts_are_refused(study: pd.DataFrame) -> None:
    with pytest.raises(DataError, match=r"E_CASES_COHORT.*Did you mean 'haining'"):
        choose_frames(study, "source-only", "adaptsegnet", "hainin", 3)
    with pytest.raises(DataError, match=r"E_CASES_MODEL.*Did you mean 'adaptsegnet'"):
        choose_frames(study, "source-only", "adaptsegnt", "haining", 3)
    with pytest.raises(UsageError, match="E_OVERLAY_COUNT"):
        choose_frames(study, "source-only", "adaptsegnet", "haining", -1)
