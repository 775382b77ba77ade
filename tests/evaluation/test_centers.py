"""The per-centre table, from cases whose aggregates are known by hand."""

import json
import math
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from support.synthetic_cases import centres_of

from polypda.errors import DataError
from polypda.evaluation.aggregation.cross_centre import CrossCentreResults, cross_centre_results
from polypda.evaluation.cases.case_table import CaseKey, case_row, cases_table
from polypda.evaluation.cases.evaluation_file import Evaluation
from polypda.evaluation.cases.run_metadata import RunMetadata
from polypda.evaluation.scoring.metrics import frame_metrics
from polypda.reporting.tables.table_files import centres_markdown, write_tables

HEIGHT, WIDTH = 20, 50
REFERENCE_PX = 100


def case(model: str, frame: str, found: int, *, seed: int = 0, false_px: int = 0, polyp: bool = True, **key) -> dict:
    """A 20×50 frame whose reference fills two rows, of which ``found`` pixels are marked; Dice = 2f/(100+f+false)."""
    reference, marked = np.zeros((HEIGHT, WIDTH), np.uint8), np.zeros((HEIGHT, WIDTH))
    if polyp:
        reference.ravel()[:REFERENCE_PX] = 1
    marked.ravel()[:found] = 1
    marked.ravel()[500 : 500 + false_px] = 1
    role = key.pop("role", "target")
    cohort = "haining" if role == "target" else "zju2"
    identity = CaseKey(
        "run", "zju2", "haining", model, seed, role, cohort, "test", frame, True, training=f"{model} {seed}", **key
    )
    return case_row(identity, frame_metrics(marked, reference, np.ones((HEIGHT, WIDTH), bool)))


def small_study() -> pd.DataFrame:
    before = [
        case("source-only", "a", 0, sequence="s1"),
        case("source-only", "b", 25, sequence="s1"),  # Dice 0.4
        case("source-only", "c", 100, sequence="s2"),
        case("source-only", "n1", 0, polyp=False, false_px=30, sequence="s2"),
        case("source-only", "n2", 0, polyp=False, false_px=5, sequence="s3"),  # a speck
    ]
    after = [
        case("adabn", "a", 0, sequence="s1"),
        case("adabn", "b", 100, sequence="s1"),
        case("adabn", "c", 60, sequence="s2"),  # Dice 0.75
        case("adabn", "n1", 0, polyp=False, sequence="s2"),
        case("adabn", "n2", 0, polyp=False, sequence="s3"),
    ]
    return cases_table([*after, *before])


def run_metadata(**changes) -> RunMetadata:
    facts = {
        "run": "run",
        "source": "zju2",
        "target": "haining",
        "method": "adabn",
        "selector": "last step",
        "selected_step": 40,
        "seeds": (0,),
        "input_size": (96, 128),
        "phantom": True,
    }
    return RunMetadata(**(facts | changes))


def test_aggregates_of_positive_and_negative_frames() -> None:
    table = centres_of(small_study()).set_index("model")
    assert list(table.index) == ["source-only", "adabn"]
    start = table.loc["source-only"]
    assert (start["n_positive"], start["n_negative"], start["clusters"], start["clusters_negative"]) == (3, 2, 2, 2)
    assert start["cluster_unit"] == "sequence"
    assert start["dice_frame"] == pytest.approx(1.4 / 3)
    assert start["dice_sequence"] == pytest.approx((0.2 + 1.0) / 2)
    assert start["dice_p10"] == pytest.approx(np.percentile([0, 0.4, 1], 10))
    assert start["fail_rate"] == pytest.approx(2 / 3) and start["zero_rate"] == pytest.approx(1 / 3)
    assert start["missed"] == 1 and start["ppv_undefined"] == 1 and start["ppv_frame"] == 1.0
    assert start["frame_specificity"] == 0.5 and start["fp_components_per_frame"] == 0.5
    assert start["specks_per_frame"] == 0.5
    assert start["fp_area_fraction"] == pytest.approx(35 / 2000) and start["share_fp_over_1pct"] == 0.5


def test_differences_are_paired_over_the_same_frames() -> None:
    table = centres_of(small_study()).set_index("model")
    change = table.loc["adabn"]
    assert change["delta_dice_frame"] == pytest.approx((0 + 0.6 - 0.25) / 3)
    assert change["share_better"] == pytest.approx(1 / 3) and change["share_worse"] == pytest.approx(1 / 3)
    assert change["delta_frame_specificity"] == 0.5
    assert change["delta_fp_area_fraction"] == pytest.approx(-35 / 2000)
    assert math.isnan(table.loc["source-only", "delta_dice_frame"]) and table.loc["source-only", "delta_words"] == ""


def with_dice(model: str, *values: float) -> list[dict]:
    """Frames whose Dice is set by hand."""
    return [case(model, f"f{index}", 50, sequence=f"s{index}") | {"dice": dice} for index, dice in enumerate(values)]


def test_a_change_of_exactly_five_hundredths_is_neither_better_nor_worse() -> None:
    # 0.55 − 0.5 exceeds 0.05 by rounding alone
    rows = [*with_dice("source-only", 0.5, 0.55, 0.1, 0.3), *with_dice("adabn", 0.55, 0.5, 0.1501, 0.2499)]
    change = centres_of(cases_table(rows)).set_index("model").loc["adabn"]
    assert change["share_better"] == 0.25 and change["share_worse"] == 0.25


def test_seeds_are_averaged_and_their_spread_is_reported_apart() -> None:
    found = {("source-only", 0): 0, ("source-only", 1): 100, ("adabn", 0): 100, ("adabn", 1): 60}
    cases = cases_table([case(model, "a", px, seed=seed) for (model, seed), px in found.items()])
    table = centres_of(cases).set_index("model")
    start, change = table.loc["source-only"], table.loc["adabn"]
    assert (start["n_positive"], start["n_seeds"], start["dice_frame"]) == (1, 2, 0.5)
    assert start["dice_frame_seed_sd"] == pytest.approx(math.sqrt(0.5))
    assert change["delta_dice_frame"] == pytest.approx((1.0 - 0.25) / 2)
    assert change["share_better"] == 1.0, "a frame's Dice is averaged over the trainings before it is judged"
    assert change["delta_seed_sd"] == pytest.approx(1.25 / math.sqrt(2))


def test_unknown_clusters_and_absent_negatives_are_said_not_guessed() -> None:
    table = centres_of(cases_table([case("source-only", "a", 10), case("source-only", "b", 20, sequence="s")]))
    only = table.iloc[0]
    assert only["clusters"] is pd.NA and only["cluster_unit"] == "unknown"
    assert math.isnan(only["dice_sequence"]) and math.isnan(only["frame_specificity"])


def test_a_reference_outside_the_field_of_view_enters_neither_block() -> None:
    reference = np.zeros((HEIGHT, WIDTH), np.uint8)
    reference[0, 0] = 1
    valid = reference == 0
    key = CaseKey(
        "run",
        "zju2",
        "haining",
        "source-only",
        0,
        "target",
        "haining",
        "test",
        "outside",
        True,
        training="source-only 0",
    )
    outside = case_row(key, frame_metrics(np.ones((HEIGHT, WIDTH)), reference, valid))
    table = centres_of(cases_table([case("source-only", "a", 100), outside])).iloc[0]
    assert (table["n_frames"], table["n_positive"], table["n_negative"], table["n_unscored"]) == (2, 1, 0, 1)
    assert table["dice_frame"] == 1.0
    text = centres_markdown(results_of(cases_table([case("source-only", "a", 100), outside])))
    assert "enter no mean, their whole reference outside the valid area: 1" in text


@pytest.mark.parametrize(
    ("code", "rows"),
    [
        ("E_CASES_FRAMES_DIFFER", [case("source-only", "a", 1), case("source-only", "b", 1), case("adabn", "a", 1)]),
        (
            "E_CASES_FRAMES_DIFFER",
            [case("source-only", "a", 1), case("source-only", "b", 1), case("source-only", "a", 1, seed=1)],
        ),
        ("E_REFERENCE_DIFFERS", [case("source-only", "a", 1), case("adabn", "a", 0, polyp=False)]),
    ],
)
def test_a_silently_smaller_n_is_refused(code: str, rows: list[dict]) -> None:
    with pytest.raises(DataError) as caught:
        centres_of(cases_table(rows))
    assert caught.value.code == code


def test_the_target_comes_first_and_the_oracle_last() -> None:
    rows = [
        case(model, "a", 50, role=role) for role in ("source", "target") for model in ("oracle", "adabn", "source-only")
    ]
    table = centres_of(cases_table(rows))
    assert list(table["role"]) == ["target"] * 3 + ["source"] * 3
    assert list(table["model"]) == ["source-only", "adabn", "oracle"] * 2


def results_of(cases: pd.DataFrame, **facts) -> CrossCentreResults:
    return cross_centre_results([Evaluation(cases, run_metadata(**facts), Path("run"))])


def test_every_file_states_how_its_numbers_came_about(tmp_path: Path) -> None:
    for path in write_tables(results_of(small_study()), tmp_path):
        text = path.read_text(encoding="utf-8").replace(r"\_", "_")
        for fact in ("polypda-metrics v1", "last step (step 40)", "training variability not assessed", "native"):
            assert fact in text, (path.name, fact)
        assert "Rendered phantom frames: not clinical evidence" in text
        assert "no label of haining was used" in text
    document = json.loads((tmp_path / "centers.json").read_text(encoding="utf-8"))
    assert document["rows"][0]["delta_dice_frame"] is None
    assert document["rows"][1]["delta_dice_frame"] == pytest.approx(0.35 / 3)
    table = pd.read_csv(tmp_path / "centers.csv")
    assert table["n_positive"].tolist() == [3, 3] and table["dice_frame"][0] == pytest.approx(1.4 / 3)


def test_markdown_reads_well() -> None:
    text = centres_markdown(results_of(small_study())).replace("\u00a0", " ")
    tables = [line for line in text.splitlines() if line.startswith("|")]
    assert len({len(line) for line in tables[:4]}) == 1, "the columns of a table are aligned"
    assert "+0.117" in text and "33 % / 33 %" in text and "+50 pp" in text
    real = centres_markdown(
        results_of(small_study().assign(phantom=False), phantom=False, seeds=(0, 1), target_labels_used=True)
    )
    assert "Rendered phantom" not in real and "2 seeds (0, 1)" in real and "trained the oracle only" in real


def test_a_run_metadata_refuses_unknown_facts_and_no_seed() -> None:
    with pytest.raises(ValueError, match="selektor"):
        run_metadata(selektor="last")
    with pytest.raises(ValueError, match="seeds"):
        run_metadata(seeds=())


def test_sequences_count_within_their_patient() -> None:
    """Both patients have a sequence 1: the mean of two sequences, not of one."""
    cases = small_study()
    cases.loc[:, "patient"] = np.where(cases["sequence"] == cases["sequence"].iloc[0], "a", "b")
    by_name = centres_of(cases).set_index("model")["dice_sequence"]
    cases.loc[:, "sequence"] = "1"
    assert centres_of(cases).set_index("model")["dice_sequence"].tolist() == pytest.approx(by_name.tolist())
