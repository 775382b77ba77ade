"""The checklist: 44 items in their order, honest totals, and no gap that is hidden."""

from __future__ import annotations

import re
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from support.studies import told_everything
from support.synthetic_cases import SyntheticCohort, synthetic_run

from polypda.evaluation.aggregation.cross_centre import CrossCentreResults, cross_centre_results
from polypda.evaluation.cases.run_metadata import PHANTOM_BANNER
from polypda.reporting.documents.checklist import (
    FilledItem,
    Origin,
    checklist_items,
    checklist_markdown,
    fill_checklist,
    write_checklist,
)
from polypda.reporting.documents.study import NOT_REPORTED, CohortStudy, Study

SETTINGS: dict[str, Any] = {
    "network": {"architecture": "deeplabv3plus", "encoder": "mobilenet_v2", "levels": 2},
    "encoder_weights": "mobilenet_v2.safetensors (sha256 0123456789ab)",
    "data": {"size": 128, "fit": "resize", "crop_to_field_of_view": True, "batch_size": 4, "augmentation": "standard"},
    "compute": {"precision": "32-true"},
    "start_steps": 500,
    "adapt_steps": 200,
    "clip_norm": None,
    "supervised": {"learning_rate": 1e-4},
    "options": {"lambda_adv_main": 0.005},
}


def results_of(
    source: SyntheticCohort, target: SyntheticCohort, settings: dict[str, Any] | None = None, **facts: Any
) -> CrossCentreResults:
    run = synthetic_run(source, target, ("adabn", "adaptsegnet"))
    told = {"settings": SETTINGS if settings is None else settings, "batch_norm": "policy frozen", **facts}
    return cross_centre_results([replace(run, run_metadata=run.run_metadata.model_copy(update=told))])


@pytest.fixture(scope="module")
def real() -> CrossCentreResults:
    return results_of(
        SyntheticCohort("cvc-clinicdb", patients=6, frames_per_patient=4, clusters="sequence"),
        SyntheticCohort("polypgen-c4", patients=5, frames_per_patient=4, clusters="unknown"),
    )


def item(items: list[FilledItem], number: int) -> FilledItem:
    return next(filled for filled in items if filled.item.number == number)


def texts(items: list[FilledItem], number: int) -> str:
    return "\n".join(part.text or NOT_REPORTED for part in item(items, number).parts)


def test_forty_four_items_in_the_sections_of_the_checklist() -> None:
    assert [filled.number for filled in checklist_items()] == list(range(1, 45))
    assert len({filled.topic for filled in checklist_items()}) == 44
    last_of_section = {filled.section: filled.number for filled in checklist_items()}
    assert list(last_of_section.values()) == [2, 4, 6, 13, 18, 20, 21, 24, 27, 34, 36, 39, 41, 44]


def test_totals_are_those_of_the_rows(real: CrossCentreResults, tmp_path: Path) -> None:
    path = write_checklist(tmp_path, real)
    document = path.read_text(encoding="utf-8")
    assert path.name == "checklist.md"
    rows = re.findall(r"^\| +(\d+) \| .+? \| .+? \| (filled|in part|\*\*NOT REPORTED\*\*) +\|", document, re.MULTILINE)
    states = [state for _, state in rows]
    assert [int(number) for number, _ in rows] == list(range(1, 45))
    blank, partly = states.count("**NOT REPORTED**"), states.count("in part")
    assert f"**{44 - blank} of 44 items filled** ({partly} of them in part), **{blank} NOT REPORTED**" in document
    assert 0 < blank < 44
    gaps = int(re.search(r"In all, (\d+) single answers", document).group(1))  # type: ignore[union-attr]
    assert gaps >= document.split("## Title and abstract")[1].count(f"**{NOT_REPORTED}**") > blank


def test_without_a_study_file_only_people_can_fill_what_only_they_know(real: CrossCentreResults) -> None:
    items = fill_checklist(real)
    empty = {filled.item.number for filled in items if filled.state == NOT_REPORTED}
    assert {2, 3, 4, 5, 11, 15, 16, 17, 18, 34, 41, 44} <= empty
    assert all(item(items, number).origins == "author" for number in empty)
    from_software = {7, 19, 20, 22, 23, 24, 25, 26, 27, 28, 29, 30, 31, 32, 33, 37, 38, 39}
    assert not from_software & empty
    assert {number for number in from_software if item(items, number).state != "filled"} == set()


def test_a_full_study_file_leaves_no_gap(real: CrossCentreResults) -> None:
    items = fill_checklist(real, told_everything("cvc-clinicdb", "polypgen-c4"))
    assert [filled.item.number for filled in items if filled.state != "filled"] == []
    document = checklist_markdown(items)
    assert "**44 of 44 items filled** (0 of them in part), **0 NOT REPORTED**. In all, 0 single" in document
    assert "ethics deidentification as told" not in document, "a cohort's own word goes before the general one"
    assert "deidentification as told" in texts(items, 11)


def test_every_hint_names_a_key_that_exists(real: CrossCentreResults) -> None:
    document = checklist_markdown(fill_checklist(real))
    keys = set(re.findall(r"study\.yaml: `([^`]+)`", document))
    assert len(keys) > 25
    for key in keys:
        section, *rest = key.split(".")
        fields = CohortStudy if section == "cohorts" else type(getattr(Study(), section))
        assert rest[-1] in fields.model_fields, key


def test_runs_and_manifests_answer_what_they_can(real: CrossCentreResults) -> None:
    items = fill_checklist(real)
    assert "Hospital Clínic, Barcelona, Spain" in texts(items, 7)
    assert Origin.MANIFEST in {part.origin for part in item(items, 7).parts}
    assert "128×128 px" in texts(items, 9)
    assert "Evis Exera III" in texts(items, 13)
    assert "70%" in texts(items, 19)
    assert "20%" in texts(items, 19)
    level = {part.cohort: part.text for part in item(items, 20).parts if part.aspect == "level"}
    assert level["cvc-clinicdb"] == "sequence (the patient is not known)"
    assert (level["polypgen-c4"] or "").startswith("single frame")
    assert "deeplabv3plus" in texts(items, 22)
    assert "sha256 0123456789ab" in texts(items, 24)
    assert "lambda_adv_main = 0.005" in texts(items, 25)
    assert "500" in texts(items, 25)
    assert "likely too narrow" in texts(items, 37)


def test_results_in_sentences_are_the_results(real: CrossCentreResults) -> None:
    items = fill_checklist(real)
    row = real.centres[(real.centres["model"] == "adaptsegnet") & (real.centres["cohort"] == "polypgen-c4")].iloc[0]
    said = texts(items, 37).replace("−", "-")
    assert f"Dice {row['dice_frame']:.3f} [{row['dice_low']:.3f}, {row['dice_high']:.3f}]" in said
    assert f"Δ {row['delta_dice_frame']:+.3f}" in said
    assert f"PPV {100 * row['lesion_ppv_10']:.0f} %" in texts(items, 38).replace("\u00a0", " ")
    own = real.matrix[real.matrix["own_centre"] & (real.matrix["model"] == "source-only")].iloc[0]
    assert f"{own['dice']:.3f}" in texts(items, 32)
    cases = real.cases[(real.cases["cohort"] == "polypgen-c4") & real.cases["model"].isin(["adabn", "adaptsegnet"])]
    lowest = cases[cases["positive"]].groupby("frame")["dice"].mean().idxmin()
    assert f"`{lowest}`" in texts(items, 39)


def test_many_adaptations_are_told_as_ranges() -> None:
    cohorts = [SyntheticCohort(name, patients=5, frames_per_patient=4) for name in ("ada", "bea", "cid")]
    pairs = [(one, other) for one in cohorts for other in cohorts if one.id != other.id]
    results = cross_centre_results([synthetic_run(one, other, ("adabn", "adaptsegnet")) for one, other in pairs])
    items = fill_checklist(results)
    assert len(item(items, 38).parts) < 6
    found = results.centres[
        (results.centres["model"] == "adabn") & (results.centres["cohort"] == results.centres["target"])
    ]
    low, high = (100 * found["lesion_ppv_10"].agg(["min", "max"])).round().astype(int)
    assert f"PPV {low} %" in texts(items, 38).replace("\u00a0", " ")
    assert f"{high} %" in texts(items, 38).replace("\u00a0", " ")
    assert "Of 12 comparisons" in texts(items, 37).replace("\u00a0", " ")


def test_rendered_frames_have_no_patients_and_no_annotators() -> None:
    one, other = (SyntheticCohort(name, patients=5, frames_per_patient=4, phantom=True) for name in ("zju2", "haining"))
    results = results_of(one, other)
    items = fill_checklist(results)
    assert PHANTOM_BANNER in checklist_markdown(items, phantom=results.phantom).split("## Overview")[0]
    for number in (7, 11, 16, 17, 18, 36):
        assert item(items, number).state == "filled"
        assert "rendered" in texts(items, number)
    assert item(items, 44).state == NOT_REPORTED, "funding is not a matter of frames"


def test_boxes_are_named_as_what_they_are() -> None:
    source = SyntheticCohort("cvc-clinicdb", patients=5, frames_per_patient=4)
    items = fill_checklist(results_of(source, SyntheticCohort("sun", patients=5, annotation="box")))
    assert "boxes only" in texts(items, 14)
    assert [part.text for part in item(items, 28).parts if "boxes only" in part.aspect] == ["`sun`"]
    assert "no adapted model has a Dice" in texts(items, 37)
    assert "lesion sensitivity" in texts(items, 38)


def test_predictions_made_elsewhere_leave_training_to_their_authors() -> None:
    one, other = SyntheticCohort("my-centre", patients=5), SyntheticCohort("her-centre", patients=5)
    items = fill_checklist(results_of(one, other, {}, external=True))
    for number in (19, 20, 22, 23, 24, 25, 27):
        assert item(items, number).state != "filled", number
        assert "author" in item(items, number).origins
    assert "70%" not in texts(items, 19), "how others divided their frames is not known"
    assert texts(items, 7) == "\n".join([NOT_REPORTED] * 2), "no manifest, no study file: no source"
