"""The source × cohort matrix of painted masks, cell by cell."""

from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from support.scored_blocks import block_run, block_study

from polypda.evaluation.aggregation.comparisons import comparison_table
from polypda.evaluation.aggregation.matrix_table import aggregate_table, matrix_table, models_in_order, target_cells
from polypda.evaluation.aggregation.panels import panels
from polypda.evaluation.cases.evaluation_file import Evaluation
from polypda.evaluation.cases.joined_cases import joined_cases

CONTROL, ADAPTED = np.mean([0, 1, 3 / 4, 2 / 3]), np.mean([2 / 3, 8 / 9, 3 / 4, 1])


@pytest.fixture(scope="module")
def matrix() -> pd.DataFrame:
    cases = joined_cases([Evaluation(block_study(), block_run(), Path("run"))])
    return matrix_table(cases, comparison_table(panels(cases)))


def test_each_model_has_a_cell_per_centre_under_the_centre_whose_labels_trained_it(matrix: pd.DataFrame) -> None:
    cells = {(row.source, row.adapted_to, row.cohort, row.model): row for row in matrix.itertuples()}
    expected = {
        ("haining", "", "haining", "oracle"): (1.0, True),
        ("haining", "", "zju2", "oracle"): (1.0, False),
        ("zju2", "", "haining", "source-only"): (CONTROL, False),
        ("zju2", "", "zju2", "source-only"): (2 * 18 / 38, True),
        ("zju2", "haining", "haining", "adaptsegnet"): (ADAPTED, False),
        ("zju2", "haining", "zju2", "adaptsegnet"): (2 * 18 / 38, False),
    }
    found = {key: (row.dice, row.own_centre) for key, row in cells.items() if key[3] != "oracle" or key[2] == "haining"}
    assert found == {key: (pytest.approx(dice), own) for key, (dice, own) in expected.items() if key in found}
    assert set(cells) == set(expected), "the oracle belongs to the centre it adapted to"
    assert cells[("zju2", "", "haining", "source-only")].n == 4


def test_differences_stand_with_the_adapted_model_only(matrix: pd.DataFrame) -> None:
    delta = matrix.set_index(["model", "cohort"])["delta"]
    assert delta[("adaptsegnet", "haining")] == pytest.approx(ADAPTED - CONTROL)
    assert delta[["source-only", "oracle"]].isna().all(), "the oracle's depends on the source it is compared with"


def test_the_wide_table_shows_models_where_they_belong(matrix: pd.DataFrame) -> None:
    shown = target_cells(matrix)
    assert set(zip(shown["model"], shown["cohort"], strict=True)) == {
        ("source-only", "zju2"), ("source-only", "haining"), ("adaptsegnet", "haining"), ("oracle", "haining")
    }  # fmt: skip


def test_means_over_centres_name_the_worst(matrix: pd.DataFrame) -> None:
    other = matrix.assign(
        cohort=matrix["cohort"] + "-2", adapted_to=matrix["adapted_to"].replace("haining", "haining-2")
    )
    other = other[other["cohort"] == "haining-2"].assign(dice=0.5, delta=-0.1, source=other["source"])
    both = pd.concat([matrix, other], ignore_index=True)
    row = aggregate_table(both).set_index("model").loc["adaptsegnet"]
    assert row["n_centers"] == 2 and row["centers"] == "haining, haining-2"
    assert row["dice_center"] == pytest.approx((ADAPTED + 0.5) / 2)
    assert (row["dice_worst_center"], row["worst_center"]) == (0.5, "haining-2")
    assert row["delta_center"] == pytest.approx((ADAPTED - CONTROL - 0.1) / 2)
    assert (row["delta_worst_center"], row["worst_delta_center"]) == (pytest.approx(-0.1), "haining-2")
    empty = aggregate_table(matrix.assign(adapted_to=""))
    assert len(empty) == 0 and list(empty.columns) == list(aggregate_table(matrix).columns)


def test_source_only_is_first_and_the_oracle_last() -> None:
    assert models_in_order(["oracle", "b", "source-only", "a", "b"]) == ["source-only", "b", "a", "oracle"]
