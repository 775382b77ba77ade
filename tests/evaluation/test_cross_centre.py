"""Cross-centre results against plain pandas over the same cases, and what is refused or said when cases do not fit."""

from collections.abc import Callable
from dataclasses import replace

import numpy as np
import pandas as pd
import pytest
from support.synthetic_cases import SyntheticCohort, SyntheticStudy, synthetic_run, training_of

from polypda.errors import DataError, UsageError
from polypda.evaluation.aggregation.aggregates import NO_STRATUM, size_stratum
from polypda.evaluation.aggregation.cross_centre import CrossCentreResults, cross_centre_results
from polypda.evaluation.cases.evaluation_file import Evaluation
from polypda.evaluation.statistics.clusters import clusters_of
from polypda.evaluation.statistics.comparison import paired_comparisons
from polypda.reporting.tables.table_files import table_contents

ADA, BEA, CID = (SyntheticCohort(name, patients=11, frames_per_patient=5) for name in ("ada", "bea", "cid"))


@pytest.fixture(scope="module")
def evaluations() -> list[Evaluation]:
    return SyntheticStudy(cohorts=[ADA, BEA, CID]).evaluations()


@pytest.fixture(scope="module")
def results(evaluations: list[Evaluation]) -> CrossCentreResults:
    return cross_centre_results(evaluations)


def changed(evaluation: Evaluation, change: Callable[[pd.DataFrame], pd.DataFrame]) -> Evaluation:
    return replace(evaluation, cases=change(evaluation.cases).reset_index(drop=True))


def one(table: pd.DataFrame, **wanted) -> pd.Series:
    found = table[np.logical_and.reduce([table[name] == value for name, value in wanted.items()])]
    assert len(found) == 1, f"{len(found)} rows for {wanted}"
    return found.iloc[0]


def all_cases(evaluations: list[Evaluation]) -> pd.DataFrame:
    return pd.concat([evaluation.cases for evaluation in evaluations])


def test_a_control_that_runs_share_counts_once(evaluations, results) -> None:
    cell = one(results.matrix, source="ada", cohort="ada", model="source-only")
    raw = all_cases(evaluations).query("source == 'ada' and cohort == 'ada' and model == 'source-only' and positive")
    assert raw["run"].nunique() == 4 and raw["training"].nunique() == 2
    assert (cell["n"], cell["n_trainings"], cell["n_seeds"], cell["own_centre"]) == (raw["frame"].nunique(), 2, 2, True)
    assert cell["dice"] == pytest.approx(raw.drop_duplicates(["training", "frame"])["dice"].mean())
    per_seed = raw.drop_duplicates(["training", "frame"]).groupby("seed")["dice"].mean()
    assert cell["seed_sd"] == pytest.approx(per_seed.std(ddof=1))


def test_neither_the_order_of_runs_nor_a_run_given_twice_changes_a_number() -> None:
    runs = SyntheticStudy(cohorts=[ADA, BEA], methods=("adabn",)).evaluations()
    once, again, turned = (cross_centre_results(given) for given in (runs, [*runs, runs[1]], runs[::-1]))
    for name in ("centres", "matrix", "comparisons", "strata"):
        pd.testing.assert_frame_equal(getattr(again, name), getattr(once, name))
    pd.testing.assert_frame_equal(turned.matrix, once.matrix)


def test_differences_are_paired_with_seeds_averaged_first(evaluations, results) -> None:
    own = all_cases(evaluations).query("source == 'ada' and target == 'bea' and cohort == 'bea' and positive")
    before, after = (
        own[own["model"] == model].groupby("frame")["dice"].mean() for model in ("source-only", "adaptsegnet")
    )
    row = one(results.comparisons, source="ada", target="bea", cohort="bea", model="adaptsegnet")
    change = after - before
    assert row["delta"] == pytest.approx(change.mean()) and row["n"] == len(change)
    assert row["share_better"] == pytest.approx((change > 0.05).mean())
    assert row["share_worse"] == pytest.approx((change < -0.05).mean())
    pivot = own.pivot_table(index="seed", columns="model", values="dice")
    assert row["seed_sd"] == pytest.approx((pivot["adaptsegnet"] - pivot["source-only"]).std(ddof=1))
    negative = all_cases(evaluations).query("source == 'ada' and target == 'bea' and cohort == 'bea' and negative")
    clean = (negative["fp_components"] == 0).groupby(negative["model"]).mean()
    assert row["delta_frame_specificity"] == pytest.approx(clean["adaptsegnet"] - clean["source-only"])


def test_found_and_lost_polyps_are_counted_per_training_pair(evaluations, results) -> None:
    own = all_cases(evaluations).query("source == 'bea' and target == 'cid' and cohort == 'cid' and positive")
    found = own.assign(found=own["lesions_hit_10"] > 0).pivot_table(
        index=["seed", "frame"], columns="model", values="found", aggfunc="first"
    )
    before, after = found["source-only"].astype(bool), found["adabn"].astype(bool)
    row = one(results.comparisons, source="bea", target="cid", cohort="cid", model="adabn")
    assert row["polyps_gained"] == (after & ~before).groupby("seed").sum().mean()
    assert row["polyps_lost"] == (before & ~after).groupby("seed").sum().mean()
    assert row["polyps_gained"] + row["polyps_lost"] > 0, "the cases must show something"


def test_gap_closed_uses_the_oracle_of_the_target(evaluations, results) -> None:
    means = all_cases(evaluations).query("source == 'ada' and target == 'cid' and cohort == 'cid' and positive")
    dice = means.groupby("model")["dice"].mean()
    row = one(results.comparisons, source="ada", target="cid", cohort="cid", model="adabn")
    share = (dice["adabn"] - dice["source-only"]) / (dice["oracle"] - dice["source-only"])
    assert row["gap_closed"] == pytest.approx(share) and row["gap_estimable"]
    assert one(results.comparisons, source="ada", target="cid", cohort="ada", model="adabn")["gap_words"] == (
        "not estimable: not the target of the adaptation"
    )
    alone = cross_centre_results(SyntheticStudy(cohorts=[ADA, BEA], oracle=False, seeds=(0,)).evaluations())
    assert not alone.comparisons["gap_estimable"].any()
    assert one(alone.comparisons, source="ada", target="bea", cohort="bea", model="adabn")["gap_words"] == (
        "not estimable: no oracle of this target was scored"
    )


def test_the_family_is_every_adapted_model_on_its_target(results) -> None:
    family = results.comparisons[results.comparisons["in_family"]]
    assert len(family) == 6 * 2 and set(family["model"]) == {"adabn", "adaptsegnet"}
    assert (family["cohort"] == family["target"]).all() and (results.comparisons["family_size"] == 12).all()
    outside = results.comparisons[~results.comparisons["in_family"]]
    assert outside["p_holm"].isna().all() and outside["p_value"].notna().all()
    ordered = np.sort(family["p_value"].to_numpy())
    expected = np.minimum(np.maximum.accumulate(ordered * np.arange(12, 0, -1)), 1)
    np.testing.assert_allclose(np.sort(family["p_holm"].to_numpy()), expected)


def test_aggregates_over_centres(results) -> None:
    cells = results.matrix.query("source == 'ada' and model == 'adabn' and adapted_to == cohort").set_index("cohort")
    row = one(results.aggregates, source="ada", model="adabn")
    assert row["dice_center"] == pytest.approx(cells["dice"].mean()) and row["n_centers"] == 2
    assert row["dice_worst_center"] == cells["dice"].min() and row["worst_center"] == cells["dice"].idxmin()
    assert row["delta_worst_center"] == cells["delta"].min()
    start = one(results.aggregates, source="ada", model="source-only")
    assert start["centers"] == row["centers"] and start["dice_center"] < row["dice_center"]


def test_each_method_is_compared_with_the_control_of_its_own_run() -> None:
    own = synthetic_run(ADA, BEA, ("adabn",), run="one")
    other = synthetic_run(ADA, BEA, ("adaptsegnet",), run="two")
    start = other.cases["model"] == "source-only"
    cases = other.cases.assign(training=other.cases["training"].where(~start, "another"))
    cases.loc[start & cases["positive"], "dice"] *= 0.5
    results = cross_centre_results([own, replace(other, cases=cases)])
    first, second = (
        one(results.comparisons, cohort="bea", model=model)["dice_before"] for model in ("adabn", "adaptsegnet")
    )
    assert second == pytest.approx(first / 2)
    control = one(results.centres, cohort="bea", model="source-only")
    assert control["n_trainings"] == 2 and control["dice_frame"] == pytest.approx((first + second) / 2)
    assert any("each method is compared with that of its own run" in note for note in results.notes)


def test_pairing_survives_the_written_cases() -> None:
    """The joined cases name their controls, so that they give the same comparisons again."""
    runs = [synthetic_run(ADA, BEA, ("adabn",), run="a"), synthetic_run(ADA, BEA, ("adaptsegnet",), run="b")]
    results = cross_centre_results(runs)
    assert len(results.cases) < sum(len(run.cases) for run in runs), "the shared control is there once"
    again = cross_centre_results([replace(runs[0], cases=results.cases)])
    pd.testing.assert_frame_equal(again.comparisons, results.comparisons)


def test_a_third_cohort_fills_its_cell_once_and_stays_out_of_the_family() -> None:
    report = synthetic_run(ADA, BEA, ("adabn",), run="r")
    later = synthetic_run(ADA, BEA, ("adabn",), run="r", on=[("other", CID)])
    further = synthetic_run(ADA, CID, ("adabn",), run="s")
    results = cross_centre_results([report, later, further])
    assert one(results.matrix, source="ada", cohort="cid", model="source-only")["n_trainings"] == 1
    assert set(results.matrix.query("cohort == 'cid' and model == 'adabn'")["adapted_to"]) == {"bea", "cid"}
    assert results.comparisons.query("target == 'bea' and cohort == 'cid'")["in_family"].sum() == 0
    assert results.comparisons["family_size"].iloc[0] == 2


def test_box_cohorts_have_lesions_and_never_a_dice() -> None:
    sun = SyntheticCohort("sun", patients=11, frames_per_patient=5, annotation="box")
    results = cross_centre_results([synthetic_run(ADA, sun, ("adabn",), oracle=True), synthetic_run(ADA, BEA)])
    centre = one(results.centres, cohort="sun", model="adabn")
    assert centre["n_dice"] == 0 and np.isnan(centre["dice_frame"]) and np.isnan(centre["hd95_mean_px"])
    assert centre["n_positive"] > 0 and centre["lesion_sensitivity_10"] > 0.5 and centre["frame_specificity"] >= 0
    row = one(results.comparisons, cohort="sun", model="adabn")
    assert row["words"] == "annotated with boxes only: no Dice" and not row["in_family"] and row["interval"] == "none"
    assert results.comparisons["family_size"].iloc[0] == 1, "a Dice that cannot exist was never a comparison"
    assert "sun" not in set(results.aggregates["centers"])
    assert any(note.startswith("sun: annotated with boxes only") for note in results.notes)


@pytest.mark.parametrize(
    ("cohort", "note"),
    [
        (SyntheticCohort("x", patients=1, frames_per_patient=30), "with a polyp (n = 24) comes from one patient"),
        (SyntheticCohort("x", patients=3), "only 3 patients with a polyp: no interval"),
        (SyntheticCohort("x", patients=3, clusters="sequence"), "only 3 sequences with a polyp"),
        (SyntheticCohort("x", clusters="unknown"), "frames treated as independent: likely too narrow"),
        (SyntheticCohort("x", negatives=1.0), "no frame with a polyp was scored"),
        (SyntheticCohort("x", negatives=0.0), "no frame without a polyp was scored"),
        (SyntheticCohort("x", phantom=True), "Rendered phantom frames: not clinical evidence (x; ada: real frames)."),
    ],
)
def test_what_a_cohort_cannot_show_is_said(cohort: SyntheticCohort, note: str) -> None:
    results = cross_centre_results([synthetic_run(ADA, cohort, ("adabn",))])
    assert any(note in line for line in results.notes), results.notes
    assert any("One seed: training variability not assessed" in line for line in results.notes)
    assert results.phantom == cohort.phantom
    row = one(results.comparisons, cohort="x", model="adabn")
    if cohort.patients < 5:
        assert np.isnan(row["low"]) and "no interval" in row["words"] and "means" in row["cluster_means"]
        assert row["cluster_means"].count(",") == cohort.patients - 1


def test_differing_runs_are_said() -> None:
    first, second = synthetic_run(ADA, BEA, ("adabn",)), synthetic_run(ADA, BEA, ("adaptsegnet",), seed=1)
    second = replace(second, run_metadata=second.run_metadata.model_copy(update={"selector": "entropy"}))
    missing = synthetic_run(ADA, CID, ("adabn",), run="m")
    lost = (missing.cases["model"] == "adabn") & missing.cases["frame"].isin(["00003", "00004"])
    missing = replace(missing, cases=missing.cases.assign(prediction_missing=lost & (missing.cases["cohort"] == "cid")))
    notes = "\n".join(cross_centre_results([first, second, missing]).notes)
    assert "The runs have different checkpoint rules: last; entropy." in notes
    assert "ada → bea: the models have different numbers of seeds (source-only 2, adabn 1, adaptsegnet 1)." in notes
    assert "cid, adabn: 2 of 55 frames had no prediction and were scored as empty" in notes


def test_adaptations_with_one_seed_are_named_where_others_have_more() -> None:
    runs = [synthetic_run(ADA, target, ("adabn", "adaptsegnet"), seed) for target in (BEA, CID) for seed in (0, 1)]
    assert not any("one seed" in line.lower() for line in cross_centre_results(runs).notes)
    fewer = [line for line in cross_centre_results(runs[:-1]).notes if "one seed" in line.lower()]
    assert fewer == ["ada → cid, adabn, adaptsegnet: one seed: training variability not assessed there."]
    # two seeds of source-only make none of an adaptation
    each_one = [synthetic_run(ADA, BEA, ("adabn",), 0), synthetic_run(ADA, CID, ("adabn",), 1)]
    assert "One seed: training variability not assessed." in cross_centre_results(each_one).notes


def test_the_oracle_is_spoken_of_only_where_it_was_scored() -> None:
    told = "The oracle was trained on target labels: an upper bound, not a method."
    run = synthetic_run(ADA, BEA, ("adabn",), oracle=True)
    assert told in cross_centre_results([run]).notes
    without = changed(run, lambda cases: cases[cases["model"] != "oracle"])
    assert without.run_metadata.target_labels_used and told not in cross_centre_results([without]).notes


def test_models_without_their_control_are_named_not_dropped() -> None:
    alone = changed(synthetic_run(ADA, BEA, ("adabn",)), lambda cases: cases[cases["model"] == "adabn"])
    results = cross_centre_results([alone])
    assert results.comparisons.empty and len(results.centres) == 2
    assert {"delta", "p_holm", "gap_closed", "n_negative"} <= set(results.comparisons.columns)
    assert table_contents(results)["comparisons.csv"].startswith("source,target,role")
    assert any("adabn (ada → bea) on bea: not compared" in note for note in results.notes)


def test_means_over_different_centres_are_said() -> None:
    runs = [synthetic_run(ADA, BEA, ("adabn", "adaptsegnet"), run="a"), synthetic_run(ADA, CID, ("adabn",), run="b")]
    results = cross_centre_results(runs)
    assert one(results.aggregates, source="ada", model="adaptsegnet")["n_centers"] == 1
    assert any("adabn: bea, cid; adaptsegnet: bea)" in note for note in results.notes)


def test_strata_partition_the_positive_frames(results) -> None:
    limits = np.array([0.0, 0.0099, 0.01, 0.0499, 0.05, 0.15, 0.1501, 1.0])
    assert size_stratum(limits).tolist() == [NO_STRATUM, 0, 1, 1, 2, 2, 3, 3]
    sums = results.strata.groupby(["source", "target", "cohort", "model"])["n"].sum()
    assert (sums == one(results.matrix, source="ada", cohort="ada", model="source-only")["n"]).all()
    own = results.frames.query("source == 'ada' and target == 'bea' and cohort == 'bea' and model == 'adabn'")
    small = own[own["positive"] & (own["relative_polyp_area"] < 0.01)]
    row = one(results.strata, source="ada", target="bea", cohort="bea", model="adabn", stratum="<1 %")
    assert row["n"] == len(small) > 0 and row["dice"] == pytest.approx(small["dice"].mean())


def test_frames_hold_each_model_beside_its_control(results) -> None:
    own = results.frames.query("source == 'cid' and target == 'ada' and cohort == 'ada' and positive")
    start = own[own["model"] == "source-only"].set_index("frame")
    after = own[own["model"] == "adaptsegnet"].set_index("frame")
    assert start["dice_before"].isna().all()
    pd.testing.assert_series_equal(after["dice_before"], start["dice"], check_names=False)
    row = one(results.comparisons, source="cid", target="ada", cohort="ada", model="adaptsegnet")
    assert (after["dice"] - after["dice_before"]).mean() == pytest.approx(row["delta"])


def test_intervals_are_those_of_the_statistics(results) -> None:
    own = results.frames.query(
        "source == 'ada' and target == 'bea' and cohort == 'bea' and positive and model == 'adabn'"
    )
    expected = paired_comparisons(own["dice_before"], own["dice"], clusters_of(own))[0]
    row = one(results.comparisons, source="ada", target="bea", cohort="bea", model="adabn")
    assert (row["low"], row["high"]) == pytest.approx((expected.delta.low, expected.delta.high))
    assert row["p_value"] == pytest.approx(expected.p_value) and row["clusters"] == 11


def without_frames(cases: pd.DataFrame) -> pd.DataFrame:
    return cases[~((cases["cohort"] == "bea") & cases["frame"].isin(["00003", "00007"]))]


def of_bea(column: str, value) -> Callable[[pd.DataFrame], pd.DataFrame]:
    return lambda cases: cases.assign(**{column: cases[column].where(cases["cohort"] != "bea", value)})


@pytest.mark.parametrize(
    ("code", "change", "named"),
    [
        ("E_CASES_FRAMES_DIFFER", without_frames, ["cohort bea", "00003, 00007", "seed 1"]),
        ("E_MIXED_SPLITS", of_bea("split", "train"), ["bea", "train in run", "test in run"]),
        ("E_MIXED_PROTOCOL", lambda cases: cases.assign(threshold=0.4), ["0.4", "0.5"]),
        ("E_MIXED_PHANTOM", of_bea("phantom", True), ["bea", "rendered frames", "real frames"]),
        ("E_REFERENCE_DIFFERS", of_bea("width_px", 640), ["bea", "width_px: 320", "640"]),
        ("E_REFERENCE_DIFFERS", of_bea("lesions_reference", 4), ["bea", "lesions_reference"]),
        ("E_REFERENCE_DIFFERS", of_bea("cluster", ""), ["cluster", "unknown"]),
        ("E_CASES_VERSION", lambda cases: cases.assign(schema_version=1), ["written as"]),
    ],
)
def test_cases_that_do_not_fit_are_refused_by_name(code: str, change, named: list[str]) -> None:
    first = synthetic_run(ADA, BEA, ("adabn",))
    second = changed(synthetic_run(ADA, BEA, ("adabn",), seed=1), change)
    with pytest.raises(DataError) as caught:
        cross_centre_results([first, second])
    assert caught.value.code == code and all(text in str(caught.value) for text in named), str(caught.value)


def test_one_name_for_two_trainings_is_refused() -> None:
    first = synthetic_run(ADA, BEA, ("adabn",), run="a")
    anew = changed(first, lambda cases: cases.assign(training=cases["training"] + "x"))
    with pytest.raises(DataError, match=r"E_CASES_CONFLICT.*run a\)"):
        cross_centre_results([first, anew])
    # the model that two runs are about, under one name and seed: other settings are not another seed
    other = changed(
        synthetic_run(ADA, BEA, ("adabn",), run="b"),
        lambda cases: cases.assign(training=cases["training"].where(cases["model"] != "adabn", "lambda 2")),
    )
    with pytest.raises(DataError, match=r"E_CASES_CONFLICT.*adabn of ada → bea with seed 0.*run a, b"):
        cross_centre_results([first, other])


def test_one_training_with_two_scores_is_refused() -> None:
    first = synthetic_run(ADA, BEA, ("adabn",), run="a")
    again = synthetic_run(ADA, BEA, ("adaptsegnet",), run="b")
    start = (again.cases["model"] == "source-only") & again.cases["positive"]
    with pytest.raises(DataError, match=r"E_CASES_CONFLICT.*different scores"):
        cross_centre_results(
            [first, replace(again, cases=again.cases.assign(dice=again.cases["dice"].where(~start, 0.123)))]
        )
    assert training_of("source-only", "ada", "bea", 0) in set(first.cases["training"])


def test_nothing_given_is_a_usage_error() -> None:
    with pytest.raises(UsageError, match="E_REPORT_EMPTY"):
        cross_centre_results([])


def test_an_oracle_below_source_only_is_not_passed_off_as_a_bound() -> None:
    evaluations = SyntheticStudy(seeds=(0,)).evaluations()
    assert not any("no upper bound there" in note for note in cross_centre_results(evaluations).notes)
    weak = []
    for evaluation in evaluations:
        cases = evaluation.cases.copy()
        poor = (cases["model"] == "oracle") & (cases["cohort"] == "bea")
        cases.loc[poor, "dice"] *= 0.1
        weak.append(replace(evaluation, cases=cases))
    told = [note for note in cross_centre_results(weak).notes if "no upper bound there" in note]
    assert len(told) == 1 and told[0].startswith("bea: ") and "from ada, cid" in told[0]
