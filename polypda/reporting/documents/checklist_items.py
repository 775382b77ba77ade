"""The 44 items of CLAIM's 2024 update as short paraphrases, and what an answer to one consists of.

Numbering and order follow Tejani et al., Checklist for Artificial Intelligence in Medical Imaging (CLAIM): 2024 Update,
Radiology: Artificial Intelligence 2024;6(4):e240300. The wording is our own: the authoritative text is the paper's.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from enum import StrEnum

from polypda.reporting.documents.cohort_facts import CohortFacts
from polypda.reporting.documents.markdown_document import inline
from polypda.reporting.documents.study import Study


class Origin(StrEnum):
    """Where an answer comes from."""

    RUN = "run"
    MANIFEST = "manifest"
    STUDY = "study.yaml"
    AUTHOR = "author"


@dataclass(frozen=True)
class ChecklistItem:
    """number: 1–44. section: the checklist's. topic: what the item asks for, in few words."""

    number: int
    section: str
    topic: str


_SECTIONS: tuple[tuple[str, tuple[str, ...]], ...] = (
    (
        "Title and abstract",
        ("The title names AI and its kind", "The abstract tells design, methods, results, conclusion"),
    ),
    ("Introduction", ("Background and the role meant for the model", "Aims and hypotheses")),
    ("Methods: study design", ("Prospective or retrospective", "What the study is for")),
    (
        "Methods: data",
        (
            "Where the data come from",
            "Criteria for taking patients and frames in or leaving them out",
            "What is done to a frame before the network sees it",
            "Which part of the data was used, and how it was picked",
            "How frames and records were de-identified",
            "What is missing and how that was handled",
            "How the images were acquired",
        ),
    ),
    (
        "Methods: reference standard",
        (
            "How the reference standard was obtained",
            "Why this reference standard",
            "Who made the annotations",
            "How the test set was annotated",
            "Agreement between and within annotators",
        ),
    ),
    ("Methods: data partitions", ("How frames were assigned to partitions", "At which level partitions are disjoint")),
    ("Methods: testing data", ("Intended size of the test set",)),
    ("Methods: model", ("The model in detail", "Software and versions", "Where the weights started from")),
    ("Methods: training", ("How it was trained", "How the final model was chosen", "Ensembles")),
    (
        "Methods: evaluation",
        (
            "Metrics of performance",
            "Measures of significance and uncertainty",
            "Robustness and sensitivity analyses",
            "Methods of explanation",
            "Evaluation on internal data",
            "Testing on external data",
            "Registration as a clinical trial",
        ),
    ),
    ("Results: data", ("Patients and frames included and excluded", "Characteristics of the cases per partition")),
    (
        "Results: model performance",
        (
            "Performance with its uncertainty",
            "Diagnostic figures with their precision",
            "What went wrong, and where",
        ),
    ),
    ("Discussion", ("Limitations", "What it means for practice")),
    (
        "Other information",
        ("The full protocol", "Availability of software, model and data", "Funding and the funders' role"),
    ),
)

CHECKLIST: tuple[ChecklistItem, ...] = tuple(
    ChecklistItem(number, section, topic)
    for number, (section, topic) in enumerate(
        ((section, topic) for section, topics in _SECTIONS for topic in topics), start=1
    )
)


@dataclass(frozen=True)
class Part:
    """One answer to an item.

    aspect: what it tells, as a label; "" where the item itself says it. text: Markdown of one line, or None where
    nothing is known. cohort: its id where it concerns one only. key: the entry of study.yaml that would fill it.
    """

    origin: Origin
    aspect: str
    text: str | None
    cohort: str = ""
    key: str = ""


def from_run(aspect: str, text: str | None, cohort: str = "") -> Part:
    """An answer that the runs' settings or the scored frames give."""
    return Part(Origin.RUN, aspect, text or None, cohort)


def from_manifest(aspect: str, text: str | None, cohort: str) -> Part:
    """An answer that a cohort's manifest gives; where it is silent, the study file's ``acquisition`` can tell."""
    return Part(Origin.MANIFEST, aspect, text or None, cohort, key=f"cohorts.{cohort}.acquisition")


def from_study(study: Study, key: str, aspect: str = "") -> Part:
    """The entry ``section.name`` of the study file."""
    section, name = key.split(".")
    said = getattr(getattr(study, section), name)
    text = "; ".join(map(inline, said)) if isinstance(said, tuple) else said and inline(said)
    return Part(Origin.STUDY, aspect, text or None, key=key)


def from_cohort_study(cohort: CohortFacts, name: str, aspect: str) -> Part:
    """The entry of one cohort's block of the study file."""
    said = getattr(cohort.study, name)
    return Part(Origin.STUDY, aspect, said and inline(said), cohort.id, key=f"cohorts.{cohort.id}.{name}")


def from_study_or_cohort(study: Study, general: str, cohort: CohortFacts, name: str, aspect: str) -> Part:
    """The entry of one cohort's block, else what the entry ``general`` (section.name) says for all cohorts."""
    own = from_cohort_study(cohort, name, aspect)
    return own if own.text else replace(from_study(study, general, aspect), cohort=cohort.id)


def answered(parts: Sequence[Part]) -> int:
    """How many of the parts say something."""
    return sum(part.text is not None for part in parts)
