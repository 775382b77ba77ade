"""The study file: what only people can say about a study (purpose, ethics, annotators, funding), never guessed.

Every entry is text as its author wrote it, or missing: the model card and the checklist then print NOT REPORTED. The
sections follow what Mitchell et al. 2019 and CLAIM 2024 ask of authors.
"""

from __future__ import annotations

from collections.abc import Collection, Sequence
from pathlib import Path
from textwrap import wrap
from typing import Annotated, Any, Literal

import yaml
from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, ValidationError, model_validator

from polypda.errors import DataError, nearest
from polypda.yaml_text import YamlError, load_yaml

TEMPLATE_HINT = "`polypda report --study-template` prints all keys."
NOT_REPORTED = "NOT REPORTED"
EMPTY_WORDS = frozenset({"", "~", "null", NOT_REPORTED.lower()})
"""What counts as not filled in, in lower case."""


def _one_paragraph(value: Any) -> Any:
    """Text on one line; an entry that was left empty is None."""
    if not isinstance(value, str):
        return value
    text = " ".join(value.split())
    return None if text.lower() in EMPTY_WORDS else text


def _several(value: Any) -> Any:
    """A list of texts; a single text is a list of one, empty entries are left out."""
    values = value if isinstance(value, (list, tuple)) else [value]
    return tuple(entry for entry in map(_one_paragraph, values) if entry is not None)


def _lower(value: Any) -> Any:
    text = _one_paragraph(value)
    return text.lower() if isinstance(text, str) else text


def says(text: str) -> Any:
    """An entry that may be missing. text: what it tells, as the empty study file explains it."""
    return Field(default=None, description=text)


Text = Annotated[str | None, BeforeValidator(_one_paragraph)]
Texts = Annotated[tuple[str, ...], BeforeValidator(_several)]


class _Section(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class About(_Section):
    """The study as a whole."""

    title: Text = says("title of the study or paper")
    abstract: Text = says("the structured abstract, or where it is")
    background: Text = says("clinical and scientific background, with the present practice")
    objectives: Text = says("aims and hypotheses")
    goal: Text = says("what the study is for: feasibility, model creation, comparison, trial…")
    design: Annotated[
        Literal["prospective", "retrospective", "prospective and retrospective"] | None, BeforeValidator(_lower)
    ] = says("prospective, retrospective, or 'prospective and retrospective'")
    sample_size: Text = says("the intended number of test patients and how it was found")
    registration: Text = says("registry and number of a clinical trial, or that it is none")
    protocol: Text = says("where the study protocol can be read")
    limitations: Text = says("limitations that the figures cannot show")
    implications: Text = says("what the results mean for practice")


class Use(_Section):
    """What the model is for, and what not."""

    intended_use: Text = says("what the model is meant to do, for which patients and examinations")
    users: Text = says("who may use it, with which training")
    workflow: Text = says("where it stands in the clinical workflow, and who decides")
    out_of_scope: Text = says("uses that the authors advise against")
    hazards: Texts = Field(default=(), description="known hazards, one per line, each beginning with a dash")
    mitigations: Texts = Field(default=(), description="what is done against them, one per line")


class Ethics(_Section):
    """Approval, consent and privacy."""

    body: Text = says("the ethics committee or review board")
    number: Text = says("its approval number, as written there")
    consent: Text = says("informed consent, or who waived it and why")
    deidentification: Text = says("how frames and names were de-identified, and by whom")
    considerations: Text = says("risks and harms that were considered, groups that may be affected")


class ReferenceStandard(_Section):
    """How it was decided where a polyp is."""

    definition: Text = says("what was outlined, from which material, by which rule")
    rationale: Text = says("why this reference and no other (pathology, follow-up…)")


class Annotators(_Section):
    """Who drew the reference."""

    number: Text = says("how many people annotated each frame")
    experience: Text = says("profession and years or number of examinations")
    training: Text = says("instructions and training they were given")
    tools: Text = says("annotation software and version")
    test_set: Text = says("how the held-out frames were annotated, blinded to what")
    adjudication: Text = says("how disagreements were settled")
    variability: Text = says("inter- and intra-rater agreement, with its measure")


class CohortStudy(_Section):
    """One cohort; what is not said here is taken from the sections above, or is not reported."""

    source: Text = says("where the data come from, for a cohort without a manifest")
    period: Text = says("when the examinations took place")
    setting: Text = says("screening, surveillance, referral…")
    inclusion: Text = says("inclusion criteria")
    exclusion: Text = says("exclusion criteria")
    selection: Text = says("how videos and frames were picked: consecutive, random, convenience")
    numbers: Text = says("patients and examinations included and excluded, with reasons")
    acquisition: Text = says("scope, processor, light, capture settings, where the manifest is silent")
    demographics: Text = says("age, sex, indication, histology, per part of the split if known")
    missing_data: Text = says("what is missing and what was done about it")
    deidentification: Text = says("where it differs from the section ethics")
    reference_standard: Text = says("where it differs from the section reference_standard")
    annotators: Text = says("where they differ from the section annotators")
    ethics: Text = says("approval of this centre, where it differs")


class Availability(_Section):
    """What others can have."""

    code: Text = says("where this study's code is, with version and licence")
    model: Text = says("where the trained weights are, under which terms")
    data: Text = says("where the data are, and on which conditions")


class Responsibility(_Section):
    """Who answers for it."""

    authors: Text = says("people or group who made the model")
    contact: Text = says("whom to ask (an address that may be published)")
    funding: Text = says("sources of funding and other support, or none")
    funder_role: Text = says("the funders' part in design, analysis and writing")
    conflicts: Text = says("conflicts of interest, or none")
    licence: Text = says("terms under which the model may be used")
    citation: Text = says("how to cite the study")


class Study(_Section):
    """A study file; ``Study()`` says nothing at all. Its sections' docstrings stand in the empty study file."""

    study: About = About()
    use: Use = Use()
    ethics: Ethics = Ethics()
    reference_standard: ReferenceStandard = ReferenceStandard()
    annotators: Annotators = Annotators()
    availability: Availability = Availability()
    responsibility: Responsibility = Responsibility()
    cohorts: dict[str, CohortStudy] = Field(
        default={}, description="one block per cohort id (`polypda cohorts list` shows them)"
    )

    @model_validator(mode="before")
    @classmethod
    def _filled(cls, content: Any) -> Any:
        """A block whose every key was left out reads as an empty one."""
        if not isinstance(content, dict):
            return content
        blocks = {name: {} if _one_paragraph(block) is None else block for name, block in content.items()}
        if isinstance(blocks.get("cohorts"), dict):
            cohorts = blocks["cohorts"].items()
            blocks["cohorts"] = {name: {} if _one_paragraph(block) is None else block for name, block in cohorts}
        return blocks

    def cohort(self, cohort_id: str) -> CohortStudy:
        """What is said of a cohort; an empty block when nothing is."""
        return self.cohorts.get(cohort_id, CohortStudy())


class _TextAsWritten(yaml.BaseLoader):
    """Every value stays the text that was written: approval number 0123 is no octal number, 2023-05 no date."""

    def construct_mapping(self, node: yaml.MappingNode, deep: bool = False) -> dict:
        seen: set[Any] = set()
        for key_node, _ in node.value:
            key = self.construct_object(key_node, deep=True)
            if not isinstance(key, str):
                raise yaml.constructor.ConstructorError(None, None, "a key must be text", key_node.start_mark)
            if key in seen:
                problem = f"key '{key}' is written twice"
                raise yaml.constructor.ConstructorError(None, None, problem, key_node.start_mark)
            seen.add(key)
        return super().construct_mapping(node, deep)


def read_study(path: Path) -> Study:
    """Read a study file.

    Raises: DataError E_STUDY_MISSING, E_STUDY_UNREADABLE; as :func:`parse_study`.
    """
    try:
        text = path.read_text(encoding="utf-8-sig")
    except FileNotFoundError as error:
        fix = "check the path; `polypda report --study-template` prints an empty study file."
        raise DataError("E_STUDY_MISSING", "no such file.", where=path, fix=fix) from error
    except (OSError, UnicodeDecodeError) as error:
        reason = error.strerror if isinstance(error, OSError) else "no UTF-8 text"
        fix = "save it as a UTF-8 text file that you may read."
        raise DataError("E_STUDY_UNREADABLE", f"cannot be read ({reason}).", where=path, fix=fix) from error
    return parse_study(text, where=path.name)


def parse_study(text: str, *, where: str = "study.yaml") -> Study:
    """Read a study from YAML text; empty text is a study that says nothing.

    Raises: DataError E_STUDY_YAML (no valid YAML), E_STUDY_KEY (unknown key, with the nearest one),
        E_STUDY_VALUE (a value that the schema refuses).
    """
    try:
        content = load_yaml(text, _TextAsWritten)
    except YamlError as error:
        fix = "correct the YAML; a text that holds ': ' or begins with a sign goes into quotes."
        raise DataError("E_STUDY_YAML", f"{error}.", where=where, fix=fix) from error
    if content is None or content == "":
        return Study()
    if not isinstance(content, dict):
        raise DataError("E_STUDY_YAML", "the file holds no mapping of keys.", where=where, fix=TEMPLATE_HINT)
    try:
        return Study.model_validate(content)
    except ValidationError as error:
        raise _study_error(error, where) from error


def require_known_cohorts(study: Study, known: Collection[str], *, where: str = "study.yaml") -> None:
    """Refuse blocks of cohorts that nobody knows: a misspelt id would leave a centre's facts unprinted.

    Args:
        known: ids of the catalogue and of the report at hand.

    Raises: DataError E_STUDY_COHORT.
    """
    strangers = [cohort for cohort in study.cohorts if cohort not in known]
    if strangers:
        raise DataError(
            "E_STUDY_COHORT",
            f"no cohort is called '{strangers[0]}'.{nearest(strangers[0], known)}",
            where=where,
            fix="`polypda cohorts list` shows all ids.",
        )


def _study_error(error: ValidationError, where: str) -> DataError:
    problems = error.errors()
    first = next((problem for problem in problems if problem["type"] == "extra_forbidden"), problems[0])
    location = first["loc"]
    dotted = ".".join(map(str, location))
    more = f" ({len(problems) - 1} more)" if len(problems) > 1 else ""
    if first["type"] == "extra_forbidden":
        known = (Study if len(location) == 1 else _section(str(location[0]))).model_fields
        hint = nearest(str(location[-1]), known) or _section_that_knows(str(location[-1]))
        what = f"unknown key '{dotted}'.{hint}{more}"
        return DataError("E_STUDY_KEY", what, where=where, fix=f"known keys there: {', '.join(known)}.")
    what = f"{dotted}: {_in_words(first['type'], first['msg'])}.{more}"
    return DataError("E_STUDY_VALUE", what, where=where, fix=f"correct it, or leave it empty. {TEMPLATE_HINT}")


def _section_that_knows(key: str) -> str:
    """Says which section holds a key that stands in the wrong one; empty when none does."""
    sections = [name for name in Study.model_fields if key in _section(name).model_fields]
    return f" It belongs into the section {' or '.join(sections)}." if sections else ""


def _in_words(kind: str, message: str) -> str:
    if kind == "string_type":
        return "should be text, not a list or a block of keys"
    if kind in ("model_type", "dict_type"):
        return "should be a block of keys"
    return message[:1].lower() + message[1:]


def _section(name: str) -> type[BaseModel]:
    """The keys below a key of the study file."""
    return CohortStudy if name == "cohorts" else type(getattr(Study(), name))


def study_template(cohorts: Sequence[str] = ()) -> str:
    """An empty study file with a comment above every key; read back, it says nothing.

    Args:
        cohorts: ids that get a block of their own; without any, one block is shown as a comment.
    """
    lines = [
        "# What only people can say about a study. Every entry is optional; what stays empty is printed as",
        f"# {NOT_REPORTED} in model_card.md and checklist.md. Text may go over several lines if each is indented;",
        "# a text that holds ': ' or begins with a sign goes into quotes.",
    ]
    for name, field in Study.model_fields.items():
        words = (_section(name).__doc__ or "").rstrip(".")
        lines += ["", f"# {field.description or words[:1].lower() + words[1:]}", f"{name}:"]
        if name != "cohorts":
            lines += _keys(_section(name), "  ")
            continue
        lines += [line for cohort in cohorts for line in (f"  {cohort}:", *_keys(CohortStudy, "    "))]
        if not cohorts:
            lines += [f"  # {line}" for line in ("zju2:", *_keys(CohortStudy, "  "))]
    return "\n".join(lines) + "\n"


def _keys(section: type[BaseModel], indent: str) -> list[str]:
    lines = []
    for name, field in section.model_fields.items():
        lines += [f"{indent}# {line}" for line in wrap(field.description or "", 110)]
        lines.append(f"{indent}{name}:")
    return lines
