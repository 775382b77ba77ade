"""checklist.md: the items of CLAIM's 2024 update, filled with what manifests, runs and the study file can tell."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import groupby
from pathlib import Path

from polypda.evaluation.aggregation.cross_centre import CrossCentreResults
from polypda.evaluation.cases.statement import PHANTOM_BANNER
from polypda.files import write_whole
from polypda.reporting.documents import checklist_data, checklist_run, checklist_study
from polypda.reporting.documents.checklist_items import CHECKLIST, ChecklistItem, Origin, Part, answered
from polypda.reporting.documents.markdown_document import bullets, code, inline, shortened, table
from polypda.reporting.documents.study import NOT_REPORTED, Study
from polypda.reporting.pages.report_facts import ReportFacts, gather_facts

FILE_NAME = "checklist.md"
REFERENCE = (
    "Tejani AS et al., Checklist for Artificial Intelligence in Medical Imaging (CLAIM): 2024 Update, "
    "Radiology: Artificial Intelligence 2024;6(4):e240300, doi 10.1148/ryai.240300"
)
FILLED, IN_PART = "filled", "in part"

Answer = Callable[[ReportFacts], list[Part]]
ANSWERS: Mapping[int, Answer] = {
    1: checklist_study.title,
    2: checklist_study.abstract,
    3: checklist_study.background,
    4: checklist_study.objectives,
    5: checklist_study.design,
    6: checklist_study.goal,
    7: checklist_data.data_sources,
    8: checklist_data.eligibility,
    9: checklist_data.preprocessing,
    10: checklist_data.subsets,
    11: checklist_data.deidentification,
    12: checklist_data.missing_data,
    13: checklist_data.acquisition,
    14: checklist_data.reference_definition,
    15: checklist_data.reference_rationale,
    16: checklist_data.annotators,
    17: checklist_data.test_annotation,
    18: checklist_data.agreement,
    19: checklist_data.partitions,
    20: checklist_data.disjointness,
    21: checklist_data.sample_size,
    22: checklist_run.model,
    23: checklist_run.software,
    24: checklist_run.initial_weights,
    25: checklist_run.training,
    26: checklist_run.selection,
    27: checklist_run.ensembles,
    28: checklist_run.metrics,
    29: checklist_run.uncertainty,
    30: checklist_run.robustness,
    31: checklist_run.explanation,
    32: checklist_run.internal_testing,
    33: checklist_run.external_testing,
    34: checklist_study.registration,
    35: checklist_data.numbers,
    36: checklist_data.characteristics,
    37: checklist_run.performance,
    38: checklist_run.diagnostic,
    39: checklist_run.failures,
    40: checklist_study.limitations,
    41: checklist_study.implications,
    42: checklist_study.protocol,
    43: checklist_study.availability,
    44: checklist_study.funding,
}


@dataclass(frozen=True)
class FilledItem:
    """An item with all that is known of it."""

    item: ChecklistItem
    parts: tuple[Part, ...]

    @property
    def state(self) -> str:
        """filled, in part, or NOT REPORTED."""
        count = answered(self.parts)
        return NOT_REPORTED if not count else FILLED if count == len(self.parts) else IN_PART

    @property
    def origins(self) -> str:
        """Where the answers come from; "author" where some are still to be written."""
        found = {part.origin for part in self.parts if part.text is not None}
        found |= {Origin.AUTHOR} if self.state != FILLED else set()
        return ", ".join(origin.value for origin in Origin if origin in found)


def fill_checklist(results: CrossCentreResults, study: Study | None = None) -> list[FilledItem]:
    """All 44 items in order. Raises: DataError E_STUDY_COHORT."""
    facts = gather_facts(results, study)
    return [FilledItem(item, tuple(ANSWERS[item.number](facts))) for item in CHECKLIST]


def write_checklist(folder: Path, results: CrossCentreResults, study: Study | None = None) -> Path:
    """Write checklist.md into an existing folder.

    Args:
        study: what the study file says; None where there is none.

    Returns: the file. Raises: DataError E_STUDY_COHORT, E_WRITE_FAILED.
    """
    path = folder / FILE_NAME
    write_whole(path, checklist_markdown(fill_checklist(results, study), phantom=results.phantom))
    return path


def checklist_markdown(items: Sequence[FilledItem], *, phantom: bool = False) -> str:
    """The document: totals, the table of all items, then every item's content."""
    states = [item.state for item in items]
    gaps = sum(len(item.parts) - answered(item.parts) for item in items)
    blank = states.count(NOT_REPORTED)
    lines = ["# Reporting checklist (CLAIM 2024)"]
    lines += [f"> **{PHANTOM_BANNER}.**"] if phantom else []
    lines += [
        f"**{len(items) - blank} of {len(items)} items filled** ({states.count(IN_PART)} of them in part), "
        f"**{blank} {NOT_REPORTED}**. In all, {gaps} single answers are missing.",
        "Filled from cohort manifests, runs and study.yaml; whatever these do not tell is marked "
        f"**{NOT_REPORTED}**, with the key of study.yaml that would fill it. A filled item is not yet a reported one: "
        "it counts once the paper says it. Enter its page there.",
        f"Items are paraphrased; numbers and order are those of {REFERENCE}, whose text is binding.",
        "## Overview",
        _overview(items),
    ]
    for section, group in groupby(items, key=lambda item: item.item.section):
        lines += [f"## {section}", *(_item_text(item) for item in group)]
    return "\n\n".join(lines) + "\n"


def _overview(items: Sequence[FilledItem]) -> str:
    rows = [
        [
            str(item.item.number),
            item.item.topic,
            item.origins,
            item.state if item.state != NOT_REPORTED else _MISSING,
            "",
        ]
        for item in items
    ]
    return table(["No.", "item", "from", "state", "page in the paper"], rows, numeric=["No."])


def _item_text(item: FilledItem) -> str:
    head = f"### {item.item.number}. {item.item.topic}"
    return f"{head}\n\nFrom: {item.origins}.\n\n{bullets(_content(item.parts))}"


_MISSING = f"**{NOT_REPORTED}**"


def _content(parts: Sequence[Part]) -> Iterator[str]:
    """One line per distinct answer: cohorts of which the same is said share a line."""
    groups: dict[tuple[str, str | None], list[Part]] = {}
    aspects = list(dict.fromkeys(part.aspect for part in parts))
    for part in sorted(parts, key=lambda part: aspects.index(part.aspect)):
        groups.setdefault((part.aspect, part.text), []).append(part)
    for (aspect, text), group in groups.items():
        cohorts = list(dict.fromkeys(code(part.cohort) for part in group if part.cohort))
        label = ", ".join(part for part in (shortened(cohorts, 12), inline(aspect)) if part)
        said = text if text is not None else _missing_text(group)
        yield f"{label}: {said}" if label else said


def _missing_text(group: Sequence[Part]) -> str:
    keys = list(dict.fromkeys(part.key for part in group if part.key))
    if not keys:
        return f"{_MISSING} (to be written by the author)"
    place = keys[0] if len(keys) == 1 else f"cohorts.ID.{keys[0].rsplit('.', 1)[-1]}"
    return f"{_MISSING} (study.yaml: {code(place)})"
