"""What checkpoint rules cost: the best snapshot's Dice minus that of the rule's."""

from __future__ import annotations

import pandas as pd
import pytest

from polypda.errors import DataError
from polypda.evaluation.cases.evaluation_file import joined_selectors, read_selectors, regret_by_rule, regret_rows

DICE = {30: 0.50, 60: 0.62, 90: 0.62, 120: 0.40}


def rows(run="a", seed=0, **choices):
    facts = {"run": run, "source": "zju2", "target": "haining", "model": "adda", "seed": seed}
    return regret_rows(facts, choices or {"last": 120, "im": 90, "entropy": 30}, DICE, used="last", n=17)


def test_regret_is_measured_against_the_best_snapshot_and_the_earliest_of_equals_is_best():
    found = rows().set_index("selector")
    assert found["regret"].to_dict() == pytest.approx({"last": 0.22, "im": 0.0, "entropy": 0.12})
    assert set(found["best_step"]) == {60} and set(found["n"]) == {17} and set(found["snapshots"]) == {4}
    assert found["used"].to_dict() == {"last": True, "im": False, "entropy": False}
    assert (found["regret"] >= 0).all()


def test_means_and_worst_over_runs():
    table = joined_selectors([rows("a"), rows("b", 1, last=60), rows("a")])  # a run that is named twice counts once
    summary = regret_by_rule(table).set_index("selector")
    assert summary.loc["last", ["runs", "regret", "worst_regret"]].tolist() == pytest.approx([2, 0.11, 0.22])
    assert summary.loc["im", "runs"] == 1


def test_the_file_is_read_back_and_a_external_one_refused(tmp_path):
    rows().to_csv(tmp_path / "selectors.csv", index=False)
    pd.testing.assert_frame_equal(read_selectors(tmp_path), rows())
    assert read_selectors(tmp_path / "none").empty and joined_selectors([]).empty
    (tmp_path / "selectors.csv").write_text("a,b\n1,2\n")
    with pytest.raises(DataError, match="E_SELECTORS_FILE"):
        read_selectors(tmp_path)
