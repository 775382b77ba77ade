"""The table of how far estimates were off, from rows whose answer is known by hand."""

import pandas as pd
import pytest

from polypda.evaluation.estimation.known_errors import known_errors, summary_table


def test_errors_are_counted_by_run_and_pair():
    rows = [
        {"run": "a", "source": "x", "target": "y", "truth": 0.7, "estimate": 0.8, "low": 0.6, "high": 0.9},
        {"run": "b", "source": "x", "target": "y", "truth": 0.7, "estimate": 0.5, "low": 0.4, "high": 0.6},
        {"run": "c", "source": "z", "target": "y", "truth": 0.5, "estimate": 0.5, "low": None, "high": None},
    ]
    table = pd.DataFrame([{**row, "rule": "temperature", "calibrator": "source", "quantity": "after"} for row in rows])
    (row,) = summary_table(table).to_dict("records")
    assert (row["runs"], row["pairs"]) == (3, 2)
    assert row["mean_error"] == pytest.approx(-0.1 / 3) and row["mean_absolute_error"] == pytest.approx(0.1)
    assert row["largest_error"] == pytest.approx(0.2) and row["too_high"] == pytest.approx(1 / 3)
    assert row["within"] == pytest.approx(0.5) and row["width"] == pytest.approx(0.25)


def test_what_comes_with_the_package_is_such_a_table():
    table = known_errors()
    assert {"rule", "calibrator", "quantity", "runs", "pairs", "mean_error", "within"} <= set(table)
    assert {"before", "after", "change"} <= set(table["quantity"]) and (table["runs"] >= 5).all()
    assert (table["largest_error"] >= table["mean_absolute_error"]).all()
