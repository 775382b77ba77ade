"""The table of how far estimates were off, from rows whose answer is known by hand."""

import pandas as pd
import pytest

from polypda.evaluation.estimation.known_errors import known_errors, summary_table


def test_errors_are_counted_by_run_and_pair():
    columns = ["run", "source", "target", "truth", "estimate", "low", "high", "variance"]
    rows = [
        ("a", "x", "y", 0.7, 0.8, 0.6, 0.9, 0.02),
        ("b", "x", "y", 0.7, 0.5, 0.4, 0.6, 0.04),
        ("c", "z", "y", 0.5, 0.5, None, None, 0.01),
    ]
    table = pd.DataFrame(rows, columns=columns).assign(rule="temperature", calibrator="source", quantity="after")
    (row,) = summary_table(table).to_dict("records")
    assert (row["runs"], row["pairs"]) == (3, 2)
    assert row["mean_error"] == pytest.approx(-0.1 / 3) and row["mean_absolute_error"] == pytest.approx(0.1)
    assert row["largest_error"] == pytest.approx(0.2) and row["too_high"] == pytest.approx(1 / 3)
    assert row["variance"] == pytest.approx(((0.02 + 0.04) / 2 + 0.01) / 2), "of runs, then of pairs"
    assert row["within"] == pytest.approx(0.5) and row["width"] == pytest.approx(0.25)


def test_what_comes_with_the_package_is_such_a_table():
    table = known_errors()
    assert {"rule", "calibrator", "quantity", "runs", "pairs", "mean_error", "within"} <= set(table)
    assert {"before", "after", "change"} <= set(table["quantity"]) and (table["runs"] >= 5).all()
    assert (table["largest_error"] >= table["mean_absolute_error"]).all()
