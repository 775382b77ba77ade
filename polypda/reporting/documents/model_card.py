"""model_card.md: what the models are, what they were tested on, how they did, and what must not be concluded.

Sections follow Mitchell et al., Model Cards for Model Reporting, FAT* 2019, in our own words. Numbers come from the
cross-centre results alone; what only people can say comes from the study file or is marked as not reported.
"""

from __future__ import annotations

from pathlib import Path

from polypda.evaluation.aggregation.cross_centre import CrossCentreResults
from polypda.evaluation.cases.statement import ONE_SEED, PHANTOM_BANNER
from polypda.files import write_whole
from polypda.reporting.documents import model_card_parts as parts
from polypda.reporting.documents.markdown_document import bullets, code, inline, shortened
from polypda.reporting.documents.study import Study
from polypda.reporting.pages.report_facts import ReportFacts, gather_facts
from polypda.reporting.pages.result_sentences import performance_sentences, verdict_sentence
from polypda.reporting.tables.result_tables import sections
from polypda.reporting.wording import counted

FILE_NAME = "model_card.md"
MOST_SUMMARY_LINES = 4


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
    blocks = [f"# Model card: {_title(facts)}"]
    if results.phantom:
        names = ", ".join(code(cohort.id) for cohort in facts.phantom_cohorts)
        blocks.append(f"> **{PHANTOM_BANNER}.** Rendered: {names}. No figure here says anything about patients.")
    if leakage := results.stated.get("leakage"):
        blocks.append(f"> **{inline(leakage)}** Held-out figures may be too good.")
    blocks += [
        _summary(facts),
        f"What only people can say and nobody has said is marked {parts.MISSING}; study.yaml fills it. "
        "Sections follow Mitchell et al., Model Cards for Model Reporting, 2019.",
    ]
    for heading, text in (
        ("Model details", parts.details(facts)),
        ("Intended use", parts.intended_use(facts)),
        ("Factors", parts.factors(facts)),
        ("Metrics", parts.metrics(facts)),
        ("Evaluation data", parts.evaluation_data(facts)),
        ("Training data", parts.training_data(facts)),
        ("Quantitative analyses", "\n\n".join(sections(results))),
        ("Ethical considerations", parts.ethics(facts)),
        ("Caveats and recommendations", _caveats(facts)),
    ):
        blocks += [f"## {heading}", text]
    return "\n\n".join(blocks) + "\n"


def _title(facts: ReportFacts) -> str:
    if facts.study.study.title:
        return inline(facts.study.study.title)
    methods = shortened(facts.adapted_models or facts.models, 4)
    if len(facts.adaptations) > 1:
        return inline(f"polyp segmentation by {methods} across {counted(len(facts.cohorts), 'cohort')}")
    if not facts.adaptations:
        return inline(f"polyp segmentation by {methods}, scored on {shortened([c.id for c in facts.cohorts], 4)}")
    source, target = facts.adaptations[0]
    return inline(f"polyp segmentation by {methods}, {source} → {target}")


def _summary(facts: ReportFacts) -> str:
    """The answer before the details."""
    told = performance_sentences(facts)[:-1]  # the last one points to this card's tables
    text = (
        f"{counted(len(facts.models), 'model')} on {counted(len(facts.cohorts), 'cohort')}, "
        f"{counted(facts.run_count, 'run')}."
    )
    if not told:
        return f"{text} No model was adapted. {parts.NOT_A_DEVICE}"
    answer = bullets(told) if len(told) <= MOST_SUMMARY_LINES else verdict_sentence(facts)
    return f"{text}\n\n{answer}\n\n{parts.NOT_A_DEVICE}"


def _caveats(facts: ReportFacts) -> str:
    lines = [inline(note) for note in facts.results.notes]
    for cohort in facts.cohorts:
        if cohort.unit == "unknown":
            lines.append(
                f"{code(cohort.id)}: held-out frames may show patients who were also in training; figures there may be "
                "too good and their intervals too narrow."
            )
        if cohort.unverified_text:
            lines.append(f"{code(cohort.id)}: {cohort.unverified_text} (`polypda cohorts show {cohort.id}`).")
    if facts.trained_here and len(facts.seeds) == 1 and not any(ONE_SEED in line for line in lines):
        lines.append(f"One seed: {ONE_SEED}.")
    if facts.untold:
        names = ", ".join(code(name) for name in facts.untold)
        lines.append(f"study.yaml also describes cohorts that this report does not hold: {names}.")
    lines.append(
        "Before use in another centre: score the model on labelled frames of that centre, with and without polyps, of "
        "patients that no training has seen."
    )
    limits = facts.study.study.limitations
    return bullets([*lines, f"limitations that the authors add: {parts.said(limits)}"])
