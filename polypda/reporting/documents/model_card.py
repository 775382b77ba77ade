"""model_card.md: what the models are, what they were tested on, how they did, and what must not be concluded.

Its words are in model_card.md.jinja. Numbers come from the cross-centre results alone; what only people can say comes
from the study file or is marked as not reported.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

from polypda.errors import UsageError
from polypda.evaluation.aggregation.cross_centre import CrossCentreResults
from polypda.evaluation.cases.run_metadata import ORACLE
from polypda.files import write_whole
from polypda.reporting.documents.cohort_facts import overlaps_between
from polypda.reporting.documents.report_facts import ReportFacts, facts_of_runs, gather_facts
from polypda.reporting.documents.result_sentences import result_sentences
from polypda.reporting.documents.study import Study
from polypda.reporting.documents.templates import render_document
from polypda.reporting.tables.result_tables import sections

if TYPE_CHECKING:
    from polypda.methods.contract import Method

FILE_NAME = "model_card.md"
MOST_SUMMARY_LINES = 4
SETTINGS_ELSEWHERE = frozenset(
    {
        "preset",
        "phantom",
        "phantom_frames",
        "phantom_test_frames",
        "phantom_seed",
        "oracle",
        "target_labels",
        "network.encoder_weights",
    }
)
"""Settings that the card tells in words, and the checkpoint's own weights (the encoder's origin is a setting)."""


def write_model_card(folder: Path, results: CrossCentreResults, study: Study | None = None) -> Path:
    """Write model_card.md into an existing folder.

    Args:
        study: what the study file says; None where there is none.

    Returns: the file. Raises: DataError E_STUDY_COHORT, E_WRITE_FAILED.
    """
    path = folder / FILE_NAME
    write_whole(path, model_card_markdown(results, study))
    return path


def model_card_markdown(results: CrossCentreResults, study: Study | None = None) -> str:
    """The card as text. Raises: DataError E_STUDY_COHORT."""
    facts = gather_facts(results, study)
    sentences = result_sentences(facts)
    performance = sentences["performance"][:-1]  # the last one points to this card's tables
    in_short = len(performance) <= MOST_SUMMARY_LINES
    return render_document(
        "model_card.md.jinja",
        facts=facts,
        cohorts=facts.cohorts,
        runs=facts_of_runs(facts),
        answer=performance if in_short else sentences["verdict"],
        in_short=in_short,
        models=list(_models(facts)),
        shared_settings=_described(facts.settings.shared),
        differing_settings=_described(facts.settings.differing),
        overlaps=overlaps_between(facts.cohorts),
        tables="\n\n".join(sections(results)),
        **_training(facts),
    )


def _method(name: str) -> type[Method] | None:
    """A method of this version; None for one of another."""
    from polypda.methods.registry import method_class  # brings torch: only where a card is written

    try:
        return method_class(name)
    except UsageError:
        return None


def _models(facts: ReportFacts) -> Iterator[dict[str, Any]]:
    """Every model with its title and paper; neither is known of what was made elsewhere."""
    for model in facts.models:
        known = None if model in facts.external_models else _method(model)
        title, paper = (known.title, known.paper) if known else ("not a method of this version", None)
        yield {"name": model, "external": model in facts.external_models, "title": title, "paper": paper}


def _described(settings: dict[str, str]) -> dict[str, str]:
    return {name: text for name, text in settings.items() if name not in SETTINGS_ELSEWHERE}


def _training(facts: ReportFacts) -> dict[str, Any]:
    """Who trained on what, and with whose labels.

    packed_runs: those from a source package. adapted_beside: what the adapted models saw beside target frames → models.
    """
    runs = facts.trained_here
    adapting = [run for run in runs if run.method in facts.adapted_models]
    packed_runs = list(dict.fromkeys(run.run for run in runs if run.settings.get("source_package")))
    free = {run.method for run in adapting if (known := _method(run.method)) and not known.reads_source}
    packed = {run.method for run in adapting if run.run in packed_runs} - free
    beside = {run.method for run in adapting if run.run not in packed_runs} - free
    return {
        "packed_runs": packed_runs,
        "all_packed": all(run.run in packed_runs for run in runs),
        "adapted_beside": [
            ("labelled training frames of the source", sorted(beside)),
            ("features of the source's training frames (a source package)", sorted(packed)),
            ("no source frame,", sorted(free)),
        ],
        "supervised": sorted({(run.source, run.supervision) for run in runs if run.supervision}),
        "oracle_trained": any(run.target_labels_used for run in runs),
        "semi_supervised": sorted({run.method for run in runs if run.target_labels_trained_on}),
        "chosen_on_labels": any(run.selector == ORACLE for run in runs),
    }
