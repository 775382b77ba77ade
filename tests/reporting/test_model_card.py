"""The model card: every number is the results', every gap is named, and it reads well at any size."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from markdown_it import MarkdownIt
from support.synthetic_cases import SyntheticCohort, SyntheticStudy, synthetic_run

from polypda.errors import DataError
from polypda.evaluation.aggregation.cross_centre import CrossCentreResults, cross_centre_results
from polypda.evaluation.cases.evaluation_file import Evaluation
from polypda.evaluation.cases.run_metadata import ONE_SEED, PHANTOM_BANNER
from polypda.reporting.documents.checklist import checklist_markdown, fill_checklist
from polypda.reporting.documents.model_card import model_card_markdown, write_model_card
from polypda.reporting.documents.study import NOT_REPORTED, CohortStudy, Study

SECTIONS = [
    "Model details",
    "Intended use",
    "Factors",
    "Metrics",
    "Evaluation data",
    "Training data",
    "Quantitative analyses",
    "Ethical considerations",
    "Caveats and recommendations",
]
CENTRES = ("cvc-clinicdb", "bkai-neopolyp", "polypgen-c4")


def with_settings(evaluation: Evaluation, **settings: Any) -> Evaluation:
    """The evaluation, its statement holding other settings."""
    run_metadata = evaluation.run_metadata
    told = {**run_metadata.settings, "method": run_metadata.method, "seed": run_metadata.seeds[0], **settings}
    return replace(evaluation, run_metadata=run_metadata.model_copy(update={"settings": told}))


def study_of(sentinel: str, cohorts: Sequence[str] = ()) -> Study:
    """A study file with something of its own in every entry."""
    sections: dict[str, Any] = {}
    for name in Study.model_fields:
        if name == "cohorts":
            continue
        fields = type(getattr(Study(), name)).model_fields
        sections[name] = {field: f"{sentinel} {name} {field}" for field in fields}
    sections["study"]["design"] = "retrospective"
    blocks = {
        cohort: {field: f"{sentinel} {cohort} {field}" for field in CohortStudy.model_fields} for cohort in cohorts
    }
    return Study.model_validate({**sections, "cohorts": blocks})


def table_rows(document: str, heading: str) -> list[dict[str, str]]:
    """The cells of the first table below a heading, as a reader of the rendered page sees them."""
    part = re.split(r"\n#{2,3} ", document.split(f"\n### {heading}\n", 1)[1])[0]
    lines = [line for line in part.splitlines() if line.startswith("|")]
    cells = [
        [cell.strip().replace("`", "").replace("\u00a0", " ") for cell in line.strip("|").split("|")] for line in lines
    ]
    return [dict(zip(cells[0], row, strict=True)) for row in cells[2:]]


@pytest.fixture(scope="module")
def matrix() -> CrossCentreResults:
    """Three real centres as source and target, four methods, two seeds."""
    cohorts = [
        SyntheticCohort(CENTRES[0], frames_per_patient=4),
        SyntheticCohort(CENTRES[1], patients=4, frames_per_patient=5, clusters="unknown", negatives=0),
        SyntheticCohort(CENTRES[2], patients=7, frames_per_patient=4, clusters="sequence"),
    ]
    methods = ("adabn", "adaptsegnet-feature", "minent", "adaptsegnet")
    runs = SyntheticStudy(cohorts, methods).evaluations()
    return cross_centre_results([with_settings(run, levels=2) for run in runs])


@pytest.fixture(scope="module")
def card(matrix: CrossCentreResults) -> str:
    return model_card_markdown(matrix)


def test_sections_in_order_and_written_whole(matrix: CrossCentreResults, card: str, tmp_path: Path) -> None:
    assert [line[3:] for line in card.splitlines() if line.startswith("## ")] == SECTIONS
    path = write_model_card(tmp_path, matrix)
    assert path.name == "model_card.md"
    assert path.read_text(encoding="utf-8") == card


def test_numbers_are_those_of_the_results(matrix: CrossCentreResults, card: str) -> None:
    rows = {(row["adaptation"], row["model"]): row for row in table_rows(card, "Frames with a polyp, target centres")}
    centres = matrix.centres[matrix.centres["cohort"] == matrix.centres["target"]]
    assert len(rows) == len(centres) == 6 * 6
    for _, row in centres.iterrows():
        shown = rows[f"{row['source']} → {row['target']}", row["model"]]
        dice = f"{row['dice_frame']:.3f} [{row['dice_low']:.3f}, {row['dice_high']:.3f}]"
        assert shown["Dice"] == (f"{dice}*" if row["dice_interval"] == "frames as independent" else dice)
        assert shown["n"] == str(row["n_dice"])
        if row["model"] != "source-only":
            assert shown["Δ Dice"].replace("*", "").split()[0].replace("−", "-") == f"{row['delta_dice_frame']:+.3f}"
    known = {shown["clusters"] for shown in rows.values()}
    assert known == {"12 patients", "unknown", "7 sequences"}


def test_hd95_and_nsd_are_on_the_card(matrix: CrossCentreResults, card: str) -> None:
    rows = {(row["adaptation"], row["model"]): row for row in table_rows(card, "Pixels and outlines, target centres")}
    for _, row in matrix.centres[matrix.centres["cohort"] == matrix.centres["target"]].iterrows():
        shown = rows[f"{row['source']} → {row['target']}", row["model"]]
        assert shown["HD95 mean (px)"] == f"{row['hd95_mean_px']:.1f}" and shown["NSD"] == f"{row['nsd_frame']:.3f}"


def test_worst_centre_and_strata_are_those_of_the_results(matrix: CrossCentreResults, card: str) -> None:
    shown = {(row["trained in"], row["model"]): row for row in table_rows(card, "Over the target centres")}
    for _, row in matrix.aggregates.iterrows():
        assert (
            shown[row["source"], row["model"]]["worst Dice"]
            == f"{row['dice_worst_center']:.3f} ({row['worst_center']})"
        )
    strata = {(row["adaptation"], row["model"]): row for row in table_rows(card, "By polyp size, target centres")}
    picked = matrix.strata[(matrix.strata["cohort"] == matrix.strata["target"]) & (matrix.strata["n"] > 0)]
    for _, row in picked.iterrows():
        cell = strata[f"{row['source']} → {row['target']}", row["model"]][row["stratum"]]
        assert cell.startswith(f"{row['dice']:.3f}") and cell.endswith(f" n={row['n']}")


def test_the_words_of_an_interval_stand_below_its_table(card: str) -> None:
    target = card.split("### Frames with a polyp, target centres")[1].split("###")[0]
    assert "bkai-neopolyp: frames as independent (frames treated as independent: likely too narrow" in target
    assert "8 comparisons rest on frames treated as independent" in summary(card)


def summary(card: str) -> str:
    """What stands above the first section."""
    return card.split("## Model details")[0].replace("\u00a0", " ")


def test_the_verdict_counts_the_declared_family(matrix: CrossCentreResults, card: str) -> None:
    family = matrix.comparisons[matrix.comparisons["in_family"]]
    over_clusters = family["interval"].str.startswith("cluster")
    excludes, holds = (family["low"] > 0) | (family["high"] < 0), family["p_holm"] < 0.05
    better = int((over_clusters & excludes & holds & (family["delta"] > 0)).sum())
    suggestive = int((over_clusters & (excludes ^ holds)).sum())
    assert len(family) == 6 * 4 and (~over_clusters & (family["p_holm"] < 0.05)).any(), "frames alone claim nothing"
    assert suggestive > 1 and f"Of these, {suggestive} are suggestive" in card
    assert f"Of {len(family)} comparisons" in card.replace("\u00a0", " ")
    assert f"{better} found a higher Dice" in card
    changes = family["delta_frame_specificity"].dropna()
    assert f"Of {len(changes)} with frames without a polyp, {int((changes < -0.05).sum())} left fewer" in card


def test_a_run_scored_again_elsewhere_is_one_run_and_false_alarms_are_in_the_summary() -> None:
    one, other, third = (SyntheticCohort(name, patients=5, frames_per_patient=4) for name in ("zju2", "haining", "sun"))
    run = synthetic_run(one, other, ("adabn",), run="first")
    again = synthetic_run(one, other, ("adabn",), run="first", on=[("target", third)])
    results = cross_centre_results([run, again])
    card = model_card_markdown(results).replace("\u00a0", " ")
    summary = card.split("## Model details")[0]
    assert "2 models on 3 cohorts, 1 run." in summary
    row = results.centres[(results.centres["model"] == "adabn") & (results.centres["cohort"] == "haining")].iloc[0]
    before = row["frame_specificity"] - row["delta_frame_specificity"]
    assert f"left clean: {100 * before:.0f} % → {100 * row['frame_specificity']:.0f} %" in summary
    assert {shown["centre"] for shown in table_rows(card, "In further centres")} == {"sun"}


def test_it_renders_as_tables_without_a_stray_tag(matrix: CrossCentreResults) -> None:
    study = Study.model_validate(
        {
            "study": {"title": "A <script>alert(1)</script> | title", "limitations": "back\\<b>slash"},
            "cohorts": {CENTRES[0]: {"ethics": "one\n\n- two | <img src=x>"}},
        }
    )
    for document in (model_card_markdown(matrix, study), checklist_markdown(fill_checklist(matrix, study))):
        tokens = MarkdownIt("commonmark").enable("table").parse(document)
        inside = [child.type for token in tokens for child in token.children or ()]
        assert "html_inline" not in inside
        assert not [token for token in tokens if token.type in ("html_block", "code_block")]
        tables = [token for token in tokens if token.type == "table_open"]
        in_source = sum(
            set(line) <= set("|-: ") and "-" in line and line.startswith("|") for line in document.splitlines()
        )
        assert len(tables) == in_source > 0


def test_nothing_of_a_study_file_is_lost(matrix: CrossCentreResults) -> None:
    study = study_of("said", CENTRES[:1])  # the other centres' facts are those said in general
    both = model_card_markdown(matrix, study) + checklist_markdown(fill_checklist(matrix, study))
    for section, block in study.model_dump().items():
        entries = block.items() if section != "cohorts" else ()
        lost = [name for name, text in entries if str(text if isinstance(text, str) else text[0]) not in both]
        assert not lost, (section, lost)
    for cohort, told in study.cohorts.items():
        # Where a manifest exists it tells the source
        lost = [name for name, text in told if name != "source" and str(text) not in both]
        assert not lost, (cohort, lost)
    assert NOT_REPORTED not in model_card_markdown(matrix, study).split("is marked **NOT REPORTED**", 1)[1].replace(
        "| not a method of this version | **NOT REPORTED**", ""
    ).replace("- batch normalisation: **NOT REPORTED**", "")


def test_settings_that_differ_are_explained_by_what_explains_them() -> None:
    runs = []
    for method, weight in (("adabn", None), ("adaptsegnet", 0.01)):
        for seed in (0, 1):
            one, other = SyntheticCohort("zju2"), SyntheticCohort("haining")
            run = synthetic_run(one, other, (method,), seed, run=f"{method}-{seed}")
            runs.append(with_settings(run, options={"weight": weight}, steps=40, learning_rate=seed / 10))
    card = model_card_markdown(cross_centre_results(runs))
    shared = {row["setting"]: row["value"] for row in table_rows(card, "Settings of every run")}
    differing = {row["setting"]: row["values"] for row in table_rows(card, "Settings that differ between runs")}
    assert shared["steps"] == "40"
    assert differing == {
        "options.weight": "by method: adabn: not set, adaptsegnet: 0.01",
        "learning_rate": "by seed: 0: 0.0, 1: 0.1",
    }


def test_phantoms_carry_the_banner_and_one_seed_is_said() -> None:
    one, other = SyntheticCohort("zju2", phantom=True), SyntheticCohort("haining", phantom=True)
    card = model_card_markdown(cross_centre_results([synthetic_run(one, other, ("adabn",))]))
    head, _ = card.split("## Model details")
    assert f"> **{PHANTOM_BANNER}.**" in head
    assert "no person is shown" in card
    assert ONE_SEED in card


def test_a_cohort_without_manifest_and_without_oracle() -> None:
    run = synthetic_run(SyntheticCohort("my-centre"), SyntheticCohort("her-centre", patients=3), ("adabn",))
    results = cross_centre_results([run])
    study = Study.model_validate({"cohorts": {"my-centre": {"source": "our own endoscopy unit"}}})
    card = model_card_markdown(results, study)
    assert "not in the catalogue" in card
    assert "our own endoscopy unit" in card
    assert not any("gap closed" in row for row in table_rows(card, "Frames with a polyp, target centres"))
    target = card.split("### Frames with a polyp, target centres")[1].split("###")[0]
    assert "fewer than 5 clusters: no interval" in target
    assert "patient means" in target, "without an interval the clusters' means are shown"


def test_boxes_get_no_dice() -> None:
    run = synthetic_run(SyntheticCohort("cvc-clinicdb"), SyntheticCohort("sun", annotation="box"), ("adabn",))
    card = model_card_markdown(cross_centre_results([run]))
    assert "boxes only" in card
    assert {row["Dice"] for row in table_rows(card, "Frames with a polyp, target centres")} == {"boxes only"}
    assert all(row["lesions"] != "–" for row in table_rows(card, "Lesions, target centres"))
    assert "no adapted model has a Dice" in card


def test_predictions_made_elsewhere_claim_no_training() -> None:
    run = synthetic_run(SyntheticCohort("zju2"), SyntheticCohort("haining"), ("their-model",))
    run_metadata = run.run_metadata.model_copy(update={"external": True, "settings": {}, "versions": {}})
    results = cross_centre_results([replace(run, run_metadata=run_metadata)])
    card = model_card_markdown(results)
    training = card.split("## Training data")[1].split("## ")[0]
    assert "nothing is known of their training" in training
    assert NOT_REPORTED in training
    assert "equal-budget" not in card
    assert card.startswith("# Model card: polyp segmentation by source-only, their-model, scored on zju2, haining\n")


def test_a_misspelt_cohort_in_the_study_file_is_refused(matrix: CrossCentreResults) -> None:
    study = Study.model_validate({"cohorts": {"bkai-neopolip": {"period": "2019"}}})
    with pytest.raises(DataError, match=r"E_STUDY_COHORT .*Did you mean 'bkai-neopolyp'"):
        model_card_markdown(matrix, study)


def test_a_cohort_of_the_study_file_that_was_not_scored_is_said(matrix: CrossCentreResults) -> None:
    study = Study.model_validate({"cohorts": {"kvasir": {"period": "2019"}}})
    assert "study.yaml also describes cohorts that this report does not hold: `kvasir`" in model_card_markdown(
        matrix, study
    )
