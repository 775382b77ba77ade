"""The cards of the first screen: bad news first, and what a card's findings and bounds are worth."""

from support.synthetic_cases import SyntheticCohort, SyntheticStudy, synthetic_run

from polypda.evaluation.aggregation.cross_centre import cross_centre_results
from polypda.reporting.pages.centre_cards import MOST_LINES, centre_cards

ADA, BEA = SyntheticCohort("ada", phantom=True), SyntheticCohort("bea", phantom=True)


def test_the_card_names_adaptations_with_one_seed() -> None:
    runs = [synthetic_run(SyntheticCohort(name), BEA, ("adabn",), seed) for name in ("ada", "cid") for seed in (0, 1)]
    [all_two], [one_single] = (centre_cards(cross_centre_results(given)) for given in (runs, runs[:-1]))
    assert "chance in training" not in all_two.not_assessed
    assert "chance in training (one seed for adabn from cid)" in one_single.not_assessed


CLAIM = ["delta", "low", "high", "interval", "p_holm"]


def test_bad_news_is_never_cut_off() -> None:
    targets = SyntheticCohort("bea", patients=12, frames_per_patient=3)
    methods = [f"method-{number}" for number in range(10)]
    results = cross_centre_results(SyntheticStudy([SyntheticCohort("ada"), targets], methods, (0,), False,
                                                  [("ada", "bea")]).evaluations())  # fmt: skip
    rows = results.comparisons
    own = rows["target"] == rows["cohort"]
    rows.loc[own, CLAIM] = [0.2, 0.1, 0.3, "cluster bootstrap", 0.01]
    rows.loc[own & (rows["model"] == "method-4"), "delta"] = 0.25
    for model, p_holm in (("method-9", 0.02), ("method-8", 0.02), ("method-2", 0.2)):
        rows.loc[own & (rows["model"] == model), CLAIM] = [-0.2, -0.3, -0.1, "cluster bootstrap", p_holm]
    results.centres["delta_frame_specificity"] = 0.0
    results.centres.loc[results.centres["model"] == "method-5", "delta_frame_specificity"] = -0.5
    [card] = centre_cards(results)
    assert card.lines[0].name == "method-4" and len(card.lines) == MOST_LINES
    assert [line.tone for line in card.lines[3:]] == ["worse suggestive", "worse", "worse"]
    assert card.more == 10 - MOST_LINES and card.tone == "mixed"
    assert card.headline == "7 of 10 adaptations help, 2 harm and 1 is suggestive."
    assert card.harmful == (
        "Harm: method-8 (−0.20) and method-9 (−0.20). Suggestive of harm: method-2 (−0.20). Beware of false alarms, "
        "nothing marked or a forgotten source: method-5."
    )


def test_too_few_clusters_for_any_finding_to_hold_are_said() -> None:
    """7 sequences: no p below 2/2^7; counted 12 times it stays above 0.05, whatever the data."""
    methods = [f"method-{number}" for number in range(12)]
    told = {}
    for patients in (7, 12):
        target = SyntheticCohort("bea", patients=patients, clusters="sequence")
        results = cross_centre_results([synthetic_run(ADA, target, methods)])
        results.comparisons.loc[:, CLAIM] = [0.2, 0.1, 0.3, "cluster t", 0.2]
        told[patients] = centre_cards(results)[0].power.replace("\u00a0", " ")
    assert told[7] == "With 7 sequences and 12 comparisons none could be more than suggestive."
    assert told[12] == ""


def test_other_centres_findings_count_in_what_could_hold() -> None:
    """Holm's step down: once the comparisons of the larger centre are passed, 7 clusters suffice for one more."""
    large, small = SyntheticCohort("bea", patients=14), SyntheticCohort("cid", patients=7)
    runs = [synthetic_run(ADA, target, methods) for target, methods in
            ((large, [f"method-{number}" for number in range(11)]), (small, ["adabn"]))]  # fmt: skip
    results = cross_centre_results(runs)
    results.comparisons.loc[:, CLAIM] = [0.2, 0.1, 0.3, "cluster t", 0.2]
    assert [card.power for card in centre_cards(results)] == ["", ""]


def test_an_oracle_below_the_best_source_only_is_called_no_bound() -> None:
    runs = [synthetic_run(SyntheticCohort(name), BEA, ("adabn",), oracle=True) for name in ("ada", "cid")]
    results = cross_centre_results(runs)
    assert "upper bound" not in centre_cards(results)[0].start
    oracle = results.centres["model"] == "oracle"
    control = (results.centres["model"] == "source-only") & (results.centres["cohort"] == "bea")
    low, high = results.centres.loc[control, "dice_frame"].agg(["min", "max"])
    results.centres.loc[oracle, "dice_frame"] = (low + high) / 2
    assert low < high and "own labels: 0." in centre_cards(results)[0].start
    assert centre_cards(results)[0].start.endswith(" (lower: no upper bound here).")
