"""Model cards, checklists and the empty study file, word for word as they were agreed on.

A wanted change of wording: run with POLYPDA_RENEW_GOLDEN=1 and read the difference in version control.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from support.studies import told_everything
from support.synthetic_cases import SyntheticCohort, SyntheticStudy, synthetic_run

from polypda.evaluation.aggregation.cross_centre import CrossCentreResults, cross_centre_results
from polypda.evaluation.cases.evaluation_file import Evaluation
from polypda.reporting.documents.checklist import checklist_markdown, fill_checklist
from polypda.reporting.documents.model_card import model_card_markdown
from polypda.reporting.documents.study import Study, parse_study, study_template
from polypda.reporting.tables.result_tables import sections

GOLDEN = Path(__file__).parents[1] / "fixtures" / "golden" / "documents"
RENEW = "POLYPDA_RENEW_GOLDEN"
SETTINGS: dict[str, Any] = {
    "preset": "quick",
    "network": {"architecture": "deeplabv3plus", "encoder": "mobilenet_v2", "levels": 2},
    "encoder_weights": "mobilenet_v2.safetensors (sha256 0123456789ab)",
    "data": {"size": 128, "fit": "resize", "crop_to_field_of_view": True, "batch_size": 4, "augmentation": "standard"},
    "compute": {"precision": "32-true"},
    "start_steps": 500,
    "adapt_steps": 200,
    "clip_norm": None,
    "supervised": {"learning_rate": 1e-4},
    "start": {"learning_rate": 1e-3},
    "options": {"lambda_adv_main": 0.005},
}
STUDY = """
study: {title: Nine | centres <b>, objectives: to see, design: Retrospective, limitations: "back\\\\<b>slash"}
use: {intended_use: research, hazards: [first, second], mitigations: one only}
ethics: {body: a board, number: 0123, deidentification: nobody can be known}
reference_standard: {definition: the visible polyp}
annotators: {number: two, tools: a tool}
responsibility: {authors: we, funding: none, citation: this one}
availability: {code: here}
cohorts:
  zju2: {ethics: "board 2 | a number", inclusion: adults, deidentification: its own way, annotators: three}
  kvasir: {period: "2019"}
"""


def stated(evaluation: Evaluation, **facts: Any) -> Evaluation:
    """The evaluation, its statement telling other facts."""
    told = {"settings": SETTINGS, "batch_norm": "policy frozen", **facts}
    return replace(evaluation, run_metadata=evaluation.run_metadata.model_copy(update=told))


def matrix() -> CrossCentreResults:
    """Three real centres, two seeds; patients, sequences and nothing known."""
    cohorts = [
        SyntheticCohort("cvc-clinicdb", frames_per_patient=4),
        SyntheticCohort("bkai-neopolyp", patients=4, frames_per_patient=5, clusters="unknown", negatives=0),
        SyntheticCohort("polypgen-c4", patients=7, frames_per_patient=4, clusters="sequence"),
    ]
    runs = SyntheticStudy(cohorts, ("adabn", "adaptsegnet")).evaluations()
    return cross_centre_results(
        [stated(run, settings={**SETTINGS, "start_steps": 500 + run.run_metadata.seeds[0]}) for run in runs]
    )


def pair() -> CrossCentreResults:
    """One adaptation between two hospitals, with the oracle."""
    one, other = SyntheticCohort("zju2", patients=6), SyntheticCohort("haining", patients=11, frames_per_patient=3)
    return cross_centre_results([stated(synthetic_run(one, other, ("adabn", "adaptsegnet"), oracle=True))])


def phantoms() -> CrossCentreResults:
    """Rendered frames beside real ones, boxes, and a cohort that no catalogue knows; leave was given for leaks."""
    one = SyntheticCohort("zju2", patients=5, phantom=True)
    real, boxes = SyntheticCohort("her-centre", patients=3), SyntheticCohort("sun", patients=5, annotation="box")
    leak = ("Patient p1 of `zju2` was seen <twice>.",)
    return cross_centre_results(
        [
            stated(synthetic_run(one, real, ("adabn",)), leakage=leak, supervision="trained on boxes (GrabCut)"),
            stated(synthetic_run(one, boxes, ("tent",)), selector="oracle", settings={}),
        ]
    )


def packed() -> CrossCentreResults:
    """Adaptation from a source package beside one with frames at hand, and one that target labels taught."""
    one, other = SyntheticCohort("zju2", patients=5), SyntheticCohort("haining", patients=5)
    package = {**SETTINGS, "source_package": "zju2.safetensors", "options": {"a": [1, 2]}}
    return cross_centre_results(
        [
            stated(synthetic_run(one, other, ("minent",), run="packed"), settings=package, method="minent"),
            stated(synthetic_run(one, other, ("adaptsegnet",), run="frames"), target_labels_trained_on=True),
            stated(synthetic_run(other, one, ("tent",), 1, run="free")),
        ]
    )


def elsewhere() -> CrossCentreResults:
    """Predictions that came as files, of two cohorts without a manifest."""
    one, other = SyntheticCohort("my-centre", patients=5), SyntheticCohort("her-centre", patients=5)
    run = synthetic_run(one, other, ("their-model",))
    return cross_centre_results([stated(run, external=True, settings={}, versions={}, batch_norm="")])


RUNS: Mapping[str, Callable[[], tuple[CrossCentreResults, Study | None]]] = {
    "matrix": lambda: (matrix(), None),
    "pair": lambda: (pair(), parse_study(STUDY)),
    "phantoms": lambda: (phantoms(), parse_study("cohorts: {her-centre: {source: our own unit}}")),
    "packed": lambda: (packed(), told_everything("zju2", "haining")),
    "elsewhere": lambda: (elsewhere(), None),
}


def check_golden(name: str, text: str) -> None:
    if os.environ.get(RENEW):
        (GOLDEN / name).write_text(text, encoding="utf-8", newline="\n")
    assert text == (GOLDEN / name).read_text(encoding="utf-8"), f"{name}: renew it with {RENEW}=1 if this is meant"


@pytest.mark.parametrize("run", RUNS)
def test_card_and_checklist_read_as_agreed(run: str) -> None:
    results, study = RUNS[run]()
    tables = "\n\n".join(sections(results))
    card = model_card_markdown(results, study)
    assert tables in card
    check_golden(f"{run}_model_card.md", card.replace(tables, "(tables)"))
    check_golden(f"{run}_checklist.md", checklist_markdown(fill_checklist(results, study), phantom=results.phantom))


@pytest.mark.parametrize(("name", "cohorts"), [("study.yaml", []), ("study_of_two_cohorts.yaml", ["zju2", "haining"])])
def test_the_empty_study_file_reads_as_agreed(name: str, cohorts: list[str]) -> None:
    check_golden(name, study_template(cohorts))
