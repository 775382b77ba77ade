"""Answers to the checklist's items on the study and on what stands around it; most of them only people can give."""

from __future__ import annotations

from polypda.reporting.documents.checklist_items import Part, from_manifest, from_run, from_study
from polypda.reporting.documents.markdown_document import code, inline, shortened
from polypda.reporting.pages.report_facts import ReportFacts
from polypda.reporting.pages.run_settings import models_in_words
from polypda.reporting.wording import counted


def title(facts: ReportFacts) -> list[Part]:
    kind = (
        "deep learning: segmentation of polyps on colonoscopy frames by neural networks" if facts.trained_here else None
    )
    adapted = (
        f"unsupervised domain adaptation ({models_in_words(facts.adapted_models)})" if facts.adapted_models else None
    )
    return [
        from_study(facts.study, "study.title", "title"),
        from_run("category of technology", kind),
        from_run("kind of adaptation", adapted if facts.trained_here else None),
    ]


def abstract(facts: ReportFacts) -> list[Part]:
    return [from_study(facts.study, "study.abstract")]


def background(facts: ReportFacts) -> list[Part]:
    return [
        from_study(facts.study, "study.background", "background"),
        from_study(facts.study, "use.intended_use", "intended use"),
        from_study(facts.study, "use.workflow", "role in the clinical workflow"),
    ]


def objectives(facts: ReportFacts) -> list[Part]:
    return [from_study(facts.study, "study.objectives")]


def design(facts: ReportFacts) -> list[Part]:
    return [from_study(facts.study, "study.design")]


def goal(facts: ReportFacts) -> list[Part]:
    pairs = shortened([f"{code(source)} → {code(target)}" for source, target in facts.adaptations], 9) or "none"
    compared = f"{models_in_words(facts.models)} on {counted(len(facts.cohorts), 'cohort')}; adaptations: {pairs}"
    return [from_study(facts.study, "study.goal", "goal"), from_run("what was compared", compared)]


def registration(facts: ReportFacts) -> list[Part]:
    return [from_study(facts.study, "study.registration")]


def limitations(facts: ReportFacts) -> list[Part]:
    found = "; ".join(inline(note).rstrip(".") for note in facts.results.notes)
    return [
        from_run("found in the data", found or "nothing beyond what the model card's caveats say"),
        from_study(facts.study, "study.limitations", "said by the authors"),
    ]


def implications(facts: ReportFacts) -> list[Part]:
    return [
        from_study(facts.study, "study.implications", "implications"),
        from_study(facts.study, "use.intended_use", "intended use"),
        from_study(facts.study, "use.users", "users"),
        from_study(facts.study, "use.hazards", "known hazards"),
    ]


def protocol(facts: ReportFacts) -> list[Part]:
    return [
        from_study(facts.study, "study.protocol", "study protocol"),
        from_run("technical details", "model_card.md, and the resolved settings in each run's config.json"),
    ]


def availability(facts: ReportFacts) -> list[Part]:
    parts = [from_study(facts.study, f"availability.{name}", name) for name in ("code", "model", "data")]
    told = [cohort for cohort in facts.cohorts if cohort.manifest and not cohort.phantom]
    return parts + [
        from_manifest(
            "access", f"{cohort.manifest.access.level.value}: {inline(cohort.manifest.access.how)}", cohort.id
        )
        for cohort in told
        if cohort.manifest
    ]


def funding(facts: ReportFacts) -> list[Part]:
    return [
        from_study(facts.study, "responsibility.funding", "funding"),
        from_study(facts.study, "responsibility.funder_role", "role of the funders"),
        from_study(facts.study, "responsibility.conflicts", "conflicts of interest"),
    ]
