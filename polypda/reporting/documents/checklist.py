"""checklist.md: the items of CLAIM's 2024 update, filled with what manifests, runs and the study file can tell.

Items and their answers are in checklist.yaml, the document's frame in checklist.md.jinja.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum
from functools import cache
from pathlib import Path
from typing import Any

import jinja2
import yaml
from jinja2.environment import TemplateExpression
from pydantic import BaseModel, ConfigDict, Field

from polypda.evaluation.aggregation.cross_centre import CrossCentreResults
from polypda.files import write_whole
from polypda.reporting.documents.cohort_facts import overlaps_between
from polypda.reporting.documents.report_facts import ReportFacts, facts_of_runs, gather_facts
from polypda.reporting.documents.result_sentences import result_sentences
from polypda.reporting.documents.study import NOT_REPORTED, Study
from polypda.reporting.documents.templates import (
    FOLDER,
    MISSING,
    code,
    inline,
    markdown_templates,
    render_document,
    shortened,
)

FILE_NAME = "checklist.md"
FILLED, IN_PART = "filled", "in part"


class Origin(StrEnum):
    """Where an answer comes from."""

    RUN = "run"
    MANIFEST = "manifest"
    STUDY = "study.yaml"
    AUTHOR = "author"


class Answer(BaseModel):
    """What may answer an item, as checklist.yaml tells it; see there."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    label: str = ""
    run: str | None = None
    manifest: str | None = None
    cohort: str | None = None
    study: str | None = None
    condition: str = Field(default="True", alias="if")
    repeat: str | None = Field(default=None, alias="for")
    answers: tuple[Answer, ...] = ()


@dataclass(frozen=True)
class ChecklistItem:
    """number: 1–44. section: the checklist's. topic: what the item asks for, in few words."""

    number: int
    section: str
    topic: str
    answers: tuple[Answer, ...]


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


@dataclass(frozen=True)
class FilledItem:
    """An item with all that is known of it."""

    item: ChecklistItem
    parts: tuple[Part, ...]

    @property
    def gaps(self) -> int:
        """How many of its answers are missing."""
        return sum(part.text is None for part in self.parts)

    @property
    def state(self) -> str:
        """filled, in part, or NOT REPORTED."""
        return NOT_REPORTED if self.gaps == len(self.parts) else IN_PART if self.gaps else FILLED

    @property
    def origins(self) -> str:
        """Where the answers come from; "author" where some are still to be written."""
        found = {part.origin for part in self.parts if part.text is not None}
        found |= {Origin.AUTHOR} if self.gaps else set()
        return ", ".join(origin.value for origin in Origin if origin in found)

    def lines(self) -> Iterator[str]:
        """One line per distinct answer: cohorts of which the same is said share a line."""
        groups: dict[tuple[str, str | None], list[Part]] = {}
        aspects = list(dict.fromkeys(part.aspect for part in self.parts))
        for part in sorted(self.parts, key=lambda part: aspects.index(part.aspect)):
            groups.setdefault((part.aspect, part.text), []).append(part)
        for (aspect, text), group in groups.items():
            cohorts = list(dict.fromkeys(code(part.cohort) for part in group if part.cohort))
            label = ", ".join(part for part in (shortened(cohorts, 12), inline(aspect)) if part)
            answer = text if text is not None else _missing_text(group)
            yield f"{label}: {answer}" if label else answer


def _missing_text(group: Sequence[Part]) -> str:
    keys = list(dict.fromkeys(part.key for part in group if part.key))
    if not keys:
        return f"{MISSING} (to be written by the author)"
    location = keys[0] if len(keys) == 1 else f"cohorts.ID.{keys[0].rsplit('.', 1)[-1]}"
    return f"{MISSING} (study.yaml: {code(location)})"


@cache
def checklist_items() -> tuple[ChecklistItem, ...]:
    """All 44 items in order."""
    sections = yaml.safe_load((FOLDER / "checklist.yaml").read_text(encoding="utf-8"))
    asked = [(section["section"], item) for section in sections for item in section["items"]]
    return tuple(
        ChecklistItem(number, section, item["asks"], tuple(map(Answer.model_validate, item["answers"])))
        for number, (section, item) in enumerate(asked, start=1)
    )


def fill_checklist(results: CrossCentreResults, study: Study | None = None) -> list[FilledItem]:
    """All 44 items in order. Raises: DataError E_STUDY_COHORT."""
    known = _known(gather_facts(results, study))
    return [FilledItem(item, tuple(_parts(item.answers, known))) for item in checklist_items()]


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
    return render_document(
        "checklist.md.jinja",
        items=items,
        phantom=phantom,
        blank=states.count(NOT_REPORTED),
        in_part=states.count(IN_PART),
        gaps=sum(item.gaps for item in items),
        NOT_REPORTED=NOT_REPORTED,
    )


def _known(facts: ReportFacts) -> dict[str, Any]:
    """What the answers' templates and conditions can name."""

    def settings_below(prefix: str) -> str:
        return "; ".join(f"{name} = {inline(text)}" for name, text in facts.settings.below(prefix).items())

    def counts(name: str) -> str:
        found = {cohort.id: getattr(cohort, name) for cohort in facts.cohorts}
        return ", ".join(f"{code(cohort)} {count}" for cohort, count in found.items() if count)

    return {
        "facts": facts,
        "trained": bool(facts.trained_here),
        "all_rendered": all(cohort.phantom for cohort in facts.cohorts),
        "masks": any("mask" in cohort.annotations for cohort in facts.cohorts),
        "pairs": [f"{code(source)} → {code(target)}" for source, target in facts.adaptations],
        "runs": facts_of_runs(facts),
        "setting": lambda name: facts.settings.get(name) or "",
        "settings_below": settings_below,
        "counts": counts,
        "overlaps": overlaps_between(facts.cohorts),
        "notes": "; ".join(inline(note).rstrip(".") for note in facts.results.notes),
        # Where there is nothing to say, one answer is missing
        "sentences": {name: sentences or [""] for name, sentences in result_sentences(facts).items()},
    }


def _parts(answers: Sequence[Answer], known: Mapping[str, Any]) -> Iterator[Part]:
    for answer in answers:
        if answer.repeat:
            name, values = answer.repeat.split(" in ", 1)
            for value in _evaluated(values, known):
                yield from _parts(answer.answers, {**known, name: value})
        elif _evaluated(answer.condition, known):
            yield _part(answer, known)


def _part(answer: Answer, known: Mapping[str, Any]) -> Part:
    aspect, cohort = _rendered(answer.label, known), known.get("cohort")
    location = cohort.id if cohort else ""
    if answer.run is not None:
        return Part(Origin.RUN, aspect, _rendered(answer.run, known) or None, location)
    if answer.manifest is not None:
        text = _rendered(answer.manifest, known)
        return Part(Origin.MANIFEST, aspect, text or None, location, f"cohorts.{location}.acquisition")
    if answer.cohort and cohort:
        of_cohort = inline(getattr(cohort.study, answer.cohort) or "")
        if of_cohort or not answer.study:
            return Part(Origin.STUDY, aspect, of_cohort or None, location, f"cohorts.{location}.{answer.cohort}")
    section, name = str(answer.study).split(".")
    entry = getattr(getattr(known["facts"].study, section), name) or ""
    text = "; ".join(map(inline, entry)) if isinstance(entry, tuple) else inline(entry)
    return Part(Origin.STUDY, aspect, text or None, location, f"{section}.{name}")


def _rendered(text: str, known: Mapping[str, Any]) -> str:
    return re.sub(r"[ \n]+", " ", _template(text).render(known)).strip(" ")


@cache
def _template(text: str) -> jinja2.Template:
    return markdown_templates().from_string(text)


def _evaluated(expression: str, known: Mapping[str, Any]) -> Any:
    return _expression(expression)(**known)


@cache
def _expression(text: str) -> TemplateExpression:
    return markdown_templates().compile_expression(text, undefined_to_none=False)
