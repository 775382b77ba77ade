"""What only people can say about a study: purpose, ethics, annotators, funding. Optional, never guessed.

Every entry is text as its author wrote it, and every entry may be missing: the model card and the checklist then print
``NOT REPORTED``. The sections follow what Mitchell et al. 2019 and CLAIM 2024 ask of authors.
"""

from __future__ import annotations

from typing import Annotated, Any, Literal

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field

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


def _filled(value: Any) -> Any:
    """A section whose every key was left out reads as an empty section."""
    return {} if _one_paragraph(value) is None else value


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
    """What the model is for, and what it is not for."""

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
    """Who answers for the study."""

    authors: Text = says("people or group who made the model")
    contact: Text = says("whom to ask (an address that may be published)")
    funding: Text = says("sources of funding and other support, or none")
    funder_role: Text = says("the funders' part in design, analysis and writing")
    conflicts: Text = says("conflicts of interest, or none")
    licence: Text = says("terms under which the model may be used")
    citation: Text = says("how to cite the study")


def _optional_section(name: str) -> Any:
    return Field(default_factory=dict, description=name, validate_default=True)


class Study(_Section):
    """A study file; ``Study()`` says nothing at all."""

    study: Annotated[About, BeforeValidator(_filled)] = _optional_section("the study as a whole")
    use: Annotated[Use, BeforeValidator(_filled)] = _optional_section("what the model is for, and what not")
    ethics: Annotated[Ethics, BeforeValidator(_filled)] = _optional_section("approval, consent and privacy")
    reference_standard: Annotated[ReferenceStandard, BeforeValidator(_filled)] = _optional_section(
        "how it was decided where a polyp is"
    )
    annotators: Annotated[Annotators, BeforeValidator(_filled)] = _optional_section("who drew the reference")
    availability: Annotated[Availability, BeforeValidator(_filled)] = _optional_section("what others can have")
    responsibility: Annotated[Responsibility, BeforeValidator(_filled)] = _optional_section("who answers for it")
    cohorts: Annotated[dict[str, Annotated[CohortStudy, BeforeValidator(_filled)]], BeforeValidator(_filled)] = (
        _optional_section("one block per cohort id (`polypda cohorts list` shows them)")
    )

    def cohort(self, cohort_id: str) -> CohortStudy:
        """What is said of a cohort; an empty block when nothing is."""
        return self.cohorts.get(cohort_id, CohortStudy())
