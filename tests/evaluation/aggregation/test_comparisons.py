"""Comparisons of painted masks whose Dice, false alarms and lesions are known by counting."""

from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from support.scored_blocks import block_run, block_study

from polypda.evaluation.aggregation.comparisons import (
    NO_ORACLE,
    NOT_THE_TARGET,
    THE_ORACLE,
    comparison_table,
    control_of,
    uncompared,
)
from polypda.evaluation.aggregation.panels import Panel, panels
from polypda.evaluation.cases.evaluation_file import Evaluation
from polypda.evaluation.cases.joined_cases import joined_cases

# Of 20 columns 0, 20, 12 and 10 were found before, of them 10, 16, 12 and 20 after adaptation
BEFORE, AFTER = np.array([0, 1, 3 / 4, 2 / 3]), np.array([2 / 3, 8 / 9, 3 / 4, 1])


def groups(cases: pd.DataFrame) -> list[Panel]:
    return panels(joined_cases([Evaluation(cases, block_run(), Path("run"))]))


@pytest.fixture(scope="module")
def table() -> pd.DataFrame:
    return comparison_table(groups(block_study())).set_index(["model", "cohort"])


def test_differences_are_those_of_the_frames(table: pd.DataFrame) -> None:
    row = table.loc[("adaptsegnet", "haining")]
    assert row["dice_before"] == pytest.approx(BEFORE.mean()) and row["dice_after"] == pytest.approx(AFTER.mean())
    assert row["delta"] == pytest.approx((AFTER - BEFORE).mean()) and row["n"] == 4 and row["clusters"] == 2
    assert (row["share_better"], row["share_worse"]) == (0.5, 0.25), "0.75 that stays 0.75 has not moved"
    assert (row["polyps_gained"], row["polyps_lost"]) == (1, 0)
    # before, each of the three frames without a polyp held a false region; after, two of them
    assert row["n_negative"] == 3 and row["delta_frame_specificity"] == pytest.approx(1 / 3)
    assert row["delta_fp_components_per_frame"] == pytest.approx(-1 / 3)
    assert row["interval"] == "none" and np.isnan(row["low"]), "two sequences carry no interval"
    assert np.isnan(row["seed_sd"]) and row["n_seeds"] == 1


def test_every_model_but_the_control_has_a_row_where_the_control_was_scored(table: pd.DataFrame) -> None:
    assert set(table.index) == {
        (model, cohort) for model in ("adaptsegnet", "oracle") for cohort in ("haining", "zju2")
    }
    assert table.loc[("oracle", "haining"), "delta"] == pytest.approx(1 - BEFORE.mean())
    assert table.loc[("adaptsegnet", "zju2"), "delta"] == 0, "the same mask in the source centre"


def test_only_the_adaptation_in_its_target_is_in_the_family(table: pd.DataFrame) -> None:
    assert list(table.index[table["in_family"]]) == [("adaptsegnet", "haining")]
    assert (table["family_size"] == 1).all() and table.loc[~table["in_family"], "p_holm"].isna().all()


def test_a_gap_is_closed_only_where_an_oracle_of_the_target_was_scored(table: pd.DataFrame) -> None:
    assert table.loc[("adaptsegnet", "haining"), "gap"] == pytest.approx(1 - BEFORE.mean())
    assert not table["gap_estimable"].any(), "two sequences do not say that there is a gap"
    assert table.loc[("oracle", "haining"), "gap_words"] == THE_ORACLE
    assert table.loc[("adaptsegnet", "zju2"), "gap_words"] == NOT_THE_TARGET
    cases = block_study()
    without = comparison_table(groups(cases[cases["model"] != "oracle"].reset_index(drop=True)))
    assert without.loc[without["cohort"] == "haining", "gap_words"].tolist() == [NO_ORACLE]


def test_models_without_their_control_are_named() -> None:
    cases = block_study()
    lacking = (cases["model"] == "source-only") & (cases["cohort"] == "haining")
    left = groups(cases[~lacking].reset_index(drop=True))
    assert {(key.model, key.cohort) for key in uncompared(left)} == {("adaptsegnet", "haining"), ("oracle", "haining")}
    assert set(comparison_table(left)["cohort"]) == {"zju2"}
    whole = groups(cases)
    adapted = next(panel for panel in whole if panel.key.model == "adaptsegnet" and panel.key.cohort == "haining")
    control = control_of(adapted, {panel.key: panel for panel in whole})
    assert control is not None and control.trainings == ("source-only 0",)
    assert control_of(adapted, {panel.key: panel for panel in left}) is None
