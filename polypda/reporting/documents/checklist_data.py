"""Answers to the checklist's items on data, reference standard and partitions.

Manifests and scored frames fill what they truthfully can; the rest only people can say.
"""

from __future__ import annotations

from polypda.cohorts.frames import Split
from polypda.cohorts.splits import SHARES
from polypda.reporting.documents.checklist_items import (
    Part,
    from_cohort_study,
    from_manifest,
    from_run,
    from_study,
    from_study_or_cohort,
)
from polypda.reporting.documents.cohort_facts import UNITS_IN_WORDS, CohortFacts, overlaps_between
from polypda.reporting.documents.markdown_document import code, inline, shortened
from polypda.reporting.pages.report_facts import ReportFacts
from polypda.reporting.pages.run_settings import by_runs

RENDERED = "rendered phantom frames; no person is shown and nobody annotated them"
SPLIT_RULE = (
    "parts named by the release or by frames.csv are kept; otherwise a hash of the cohort's id and of the patient "
    f"(else sequence, else frame) assigns about {SHARES[Split.TRAIN]:.0%} to training, {SHARES[Split.VALIDATION]:.0%} "
    f"to validation (tuning) and {SHARES[Split.TEST]:.0%} to test; a run's own parts are in its split-COHORT.csv"
)


def data_sources(facts: ReportFacts) -> list[Part]:
    parts = []
    for cohort in facts.cohorts:
        if cohort.phantom:
            parts.append(from_run("source", f"{RENDERED}; drawn in the likeness of {cohort.title}", cohort.id))
        elif cohort.manifest is None:
            parts.append(from_cohort_study(cohort, "source", "source"))
        else:
            access = cohort.manifest.access
            told = [cohort.title, cohort.place, access.level.value, access.how, access.licence, access.citation]
            text = "; ".join(inline(part).rstrip(".") for part in told if part)
            parts.append(from_manifest("source", text, cohort.id))
    return parts


def eligibility(facts: ReportFacts) -> list[Part]:
    parts = []
    for cohort in facts.cohorts:
        if cohort.phantom:
            parts.append(from_run("criteria", RENDERED, cohort.id))
            continue
        parts.append(from_cohort_study(cohort, "setting", "clinical setting"))
        parts.append(from_cohort_study(cohort, "inclusion", "inclusion"))
        parts.append(from_cohort_study(cohort, "exclusion", "exclusion"))
        left_out = _frames_left_out(cohort)
        if left_out:
            parts.append(from_manifest("single frames left out", left_out, cohort.id))
    return parts


def _frames_left_out(cohort: CohortFacts) -> str | None:
    layouts = cohort.manifest.layouts if cohort.manifest else ()
    reasons = {excluded.frame: excluded.why for layout in layouts for excluded in layout.exclude}
    return shortened([f"{code(frame)} ({inline(why)})" for frame, why in reasons.items()]) or None


def preprocessing(facts: ReportFacts) -> list[Part]:
    setting = facts.settings.get
    size = by_runs(facts.trained_here, lambda run: f"{run.input_size[1]}×{run.input_size[0]} px")
    return [
        from_run("crop to the detected field of view", setting("data.crop_to_field_of_view")),
        from_run("size that the network sees", size),
        from_run("fit into it", setting("data.fit")),
        from_run(
            "way back",
            "probability maps are resampled bilinearly to the frame's own pixels and thresholded there"
            if facts.trained_here
            else None,
        ),
    ]


def subsets(facts: ReportFacts) -> list[Part]:
    parts = [from_run("scored", f"part {', '.join(c.splits)}: {c.count_text}", c.id) for c in facts.cohorts]
    real = [cohort for cohort in facts.cohorts if not cohort.phantom]
    return parts + [from_cohort_study(cohort, "selection", "how frames were picked") for cohort in real]


def deidentification(facts: ReportFacts) -> list[Part]:
    general = "ethics.deidentification"
    return [
        from_run("", RENDERED, cohort.id)
        if cohort.phantom
        else from_study_or_cohort(facts.study, general, cohort, "deidentification", "")
        for cohort in facts.cohorts
    ]


def missing_data(facts: ReportFacts) -> list[Part]:
    unscored = {cohort.id: cohort.unscored for cohort in facts.cohorts if cohort.unscored}
    empty = {cohort.id: cohort.missing_predictions for cohort in facts.cohorts if cohort.missing_predictions}
    rule = "a frame without a prediction is an error unless it is asked for that it counts as empty; nothing is imputed"
    scored_empty = ", ".join(f"{code(name)} {count}" for name, count in empty.items()) or "none"
    outside = ", ".join(f"{code(name)} {count}" for name, count in unscored.items()) or "none"
    parts = [
        from_run("rule", rule),
        from_run("missing predictions scored as empty", scored_empty),
        from_run("frames in no mean because their whole reference lies outside the field of view", outside),
    ]
    real = [cohort for cohort in facts.cohorts if not cohort.phantom]
    return parts + [from_cohort_study(cohort, "missing_data", "missing clinical data") for cohort in real]


def acquisition(facts: ReportFacts) -> list[Part]:
    parts = []
    for cohort in facts.cohorts:
        parts.append(from_run("size of the scored frames", cohort.sizes_text, cohort.id))
        if cohort.phantom:
            parts.append(from_run("acquisition", RENDERED, cohort.id))
            continue
        if cohort.manifest is not None:
            parts.append(from_manifest("scope", cohort.scope, cohort.id))
        parts.append(from_cohort_study(cohort, "acquisition", "acquisition"))
        parts.append(from_cohort_study(cohort, "period", "period"))
    return parts


def reference_definition(facts: ReportFacts) -> list[Part]:
    parts = []
    for cohort in facts.cohorts:
        parts.append(from_run("kind", cohort.annotation_text, cohort.id))
        if cohort.phantom:
            parts.append(
                from_run("definition", "the renderer's own outline of each polyp, exact by construction", cohort.id)
            )
        else:
            general = "reference_standard.definition"
            parts.append(from_study_or_cohort(facts.study, general, cohort, "reference_standard", "definition"))
    masks = any("mask" in cohort.annotations for cohort in facts.cohorts)
    rule = "a mask pixel of 128 or more is polyp (0/1 masks: 1); counted inside the field of view only"
    return [*parts, from_run("how masks are read", rule)] if masks else parts


def reference_rationale(facts: ReportFacts) -> list[Part]:
    if all(cohort.phantom for cohort in facts.cohorts):
        return [from_run("", "rendered frames have an exact reference")]
    return [from_study(facts.study, "reference_standard.rationale")]


def annotators(facts: ReportFacts) -> list[Part]:
    if all(cohort.phantom for cohort in facts.cohorts):
        return [from_run("", RENDERED)]
    aspects = ("number", "experience", "training")
    own = [from_cohort_study(c, "annotators", "annotators of this cohort") for c in facts.cohorts if c.study.annotators]
    return [from_study(facts.study, f"annotators.{name}", name) for name in aspects] + own


def test_annotation(facts: ReportFacts) -> list[Part]:
    if all(cohort.phantom for cohort in facts.cohorts):
        return [from_run("", RENDERED)]
    return [
        from_study(facts.study, "annotators.test_set", "procedure"),
        from_study(facts.study, "annotators.tools", "tools"),
    ]


def agreement(facts: ReportFacts) -> list[Part]:
    if all(cohort.phantom for cohort in facts.cohorts):
        return [from_run("", RENDERED)]
    return [
        from_study(facts.study, "annotators.variability", "agreement"),
        from_study(facts.study, "annotators.adjudication", "how disagreements were settled"),
    ]


def partitions(facts: ReportFacts) -> list[Part]:
    elsewhere = [from_run(f"rule of the predictions made elsewhere ({code(m)})", None) for m in facts.foreign_models]
    rule = [from_run("rule", SPLIT_RULE)] if facts.trained_here else []
    return [
        *rule,
        *elsewhere,
        *(from_run("scored part", f"{', '.join(c.splits)}, {c.count_text}", c.id) for c in facts.cohorts),
    ]


def disjointness(facts: ReportFacts) -> list[Part]:
    known = bool(facts.trained_here)
    parts = [from_run("level", UNITS_IN_WORDS[c.unit] if known else None, c.id) for c in facts.cohorts]
    return parts + [Part(parts[0].origin, "frames shared by cohorts", text) for text in overlaps_between(facts.cohorts)]


def sample_size(facts: ReportFacts) -> list[Part]:
    scored = [from_run("scored", cohort.count_text, cohort.id) for cohort in facts.cohorts]
    return [from_study(facts.study, "study.sample_size", "intended size and its reason"), *scored]


def numbers(facts: ReportFacts) -> list[Part]:
    parts = []
    for cohort in facts.cohorts:
        parts.append(from_run("scored", cohort.count_text, cohort.id))
        if not cohort.phantom:
            parts.append(from_cohort_study(cohort, "numbers", "patients included and excluded"))
    return parts


def characteristics(facts: ReportFacts) -> list[Part]:
    parts = []
    for cohort in facts.cohorts:
        parts.append(from_run("scored frames", cohort.polyp_sizes_text, cohort.id))
        if cohort.phantom:
            parts.append(from_run("patients", RENDERED, cohort.id))
        else:
            parts.append(from_cohort_study(cohort, "demographics", "demographic and clinical characteristics"))
    return parts
