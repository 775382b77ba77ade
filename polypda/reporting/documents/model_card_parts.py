"""The model card's sections on model, use, data and ethics; its numbers are in :mod:`.result_tables`."""

from __future__ import annotations

from collections.abc import Iterable

from polypda.errors import UsageError
from polypda.evaluation.cases.statement import ONE_SEED, ORACLE
from polypda.reporting.documents.checklist_data import RENDERED, SPLIT_RULE
from polypda.reporting.documents.checklist_run import METRICS, TESTS, UNCERTAINTY
from polypda.reporting.documents.cohort_facts import UNITS_IN_WORDS, CohortFacts, overlaps_between
from polypda.reporting.documents.markdown_document import bullets, code, inline, shortened, table
from polypda.reporting.documents.study import NOT_REPORTED
from polypda.reporting.pages.report_facts import ReportFacts
from polypda.reporting.pages.run_settings import by_runs
from polypda.reporting.wording import counted

MISSING = f"**{NOT_REPORTED}**"
NOT_A_DEVICE = "Not a medical device, and not to be used for decisions about patients: research only."
NO_SOURCE_FRAMES = ("adabn", "tent")
"""Models that see the target alone, whatever is at hand."""
FOREIGN = "Predictions that came as files from elsewhere; nothing is known of their training."
SETTINGS_ELSEWHERE = frozenset(
    {"preset", "phantom", "phantom_frames", "phantom_seed", "oracle", "target_labels", "network.encoder_weights"}
)
"""Settings that the card tells in words, and the checkpoint's own weights (the encoder's origin is a setting)."""


def details(facts: ReportFacts) -> str:
    """Models with their papers, who answers for them, and the settings they share."""
    who = facts.study.responsibility
    runs = counted(facts.run_count, "run")
    lines = [
        f"developed by: {said(who.authors)}",
        f"contact: {said(who.contact)}",
        f"licence: {said(who.licence)}",
        f"citation: {said(who.citation)}",
        f"runs: {runs}; {_seeds(facts)}",
        f"checkpoint rule: {inline(by_runs(facts.statements, lambda run: run.selector))}",
        f"threshold: {by_runs(facts.statements, lambda run: f'{run.threshold:g}')}",
        f"software: {_versions(facts)}",
    ]
    if facts.trained_here:
        size = by_runs(facts.trained_here, lambda run: f"{run.input_size[1]}×{run.input_size[0]} px")
        lines += [f"network's input: {size}, RGB"]
        lines += [f"batch normalisation: {said(by_runs(facts.trained_here, lambda run: run.batch_norm))}"]
    parts = [bullets(lines), table(["model", "what", "paper"], list(_models(facts)))]
    return "\n\n".join([*parts, *_settings(facts)])


def _seeds(facts: ReportFacts) -> str:
    if not facts.trained_here:
        return by_runs(facts.statements, lambda run: run.seeds_text)
    listed = ", ".join(map(str, facts.seeds))
    return f"{counted(len(facts.seeds), 'seed')} ({listed})" + ("" if len(facts.seeds) > 1 else f"; {ONE_SEED}")


def _versions(facts: ReportFacts) -> str:
    told = {**facts.versions.shared, **facts.versions.differing}
    return inline(", ".join(f"{name} {text}" for name, text in told.items())) or MISSING


def _models(facts: ReportFacts) -> Iterable[list[str]]:
    from polypda.methods.registry import method_class  # brings torch: only where a card is written

    for model in facts.models:
        try:
            known = None if model in facts.foreign_models else method_class(model)
        except UsageError:
            known = None
        unknown = (FOREIGN if model in facts.foreign_models else "not a method of this version", MISSING)
        yield [code(model), *((inline(known.title), inline(known.paper)) if known else unknown)]


def _settings(facts: ReportFacts) -> list[str]:
    shared = {name: text for name, text in facts.settings.shared.items() if name not in SETTINGS_ELSEWHERE}
    differing = {name: text for name, text in facts.settings.differing.items() if name not in SETTINGS_ELSEWHERE}
    parts = []
    if shared:
        rows = [[code(name), inline(text)] for name, text in shared.items()]
        parts += ["### Settings of every run", table(["setting", "value"], rows)]
    if differing:
        rows = [[code(name), inline(text)] for name, text in differing.items()]
        parts += ["### Settings that differ between runs", table(["setting", "values"], rows)]
    return parts


def intended_use(facts: ReportFacts) -> str:
    """What the authors say, and the bounds that the software sets by itself."""
    use = facts.study.use
    lines = [
        f"intended use: {said(use.intended_use)}",
        f"users: {said(use.users)}",
        f"place in the clinical workflow: {said(use.workflow)}",
        f"known hazards: {said('; '.join(use.hazards))}",
        f"what is done against them: {said('; '.join(use.mitigations))}",
        f"out of scope, as the authors see it: {said(use.out_of_scope)}",
    ]
    centres = shortened([code(cohort.id) for cohort in facts.cohorts], 12)
    bounds = f"Centres, scopes and light modes other than those of {centres} were not tested. {NOT_A_DEVICE}"
    return "\n\n".join([bullets(lines), bounds])


def factors(facts: ReportFacts) -> str:
    """Centres and scopes, from the manifests."""
    rows = [
        [code(c.id), c.title, c.place or MISSING, c.scope or MISSING, c.annotation_text, c.sizes_text]
        for c in facts.cohorts
    ]
    parts = [table(["cohort", "name", "place", "scope", "reference", "size of scored frames"], rows)]
    strangers = [code(cohort.id) for cohort in facts.cohorts if cohort.manifest is None]
    if strangers:
        parts.append(f"Not in the catalogue, so place and scope must come from their owners: {', '.join(strangers)}.")
    if facts.phantom_cohorts:
        names = ", ".join(code(cohort.id) for cohort in facts.phantom_cohorts)
        parts.append(f"{names}: {RENDERED}. Place and scope are those of the cohort whose look was imitated.")
    questions = [f"{code(c.id)}: {question}" for c in facts.cohorts for question in c.open_questions()]
    if questions:
        parts += ["Statements about these cohorts that contradict one another:", bullets(questions)]
    parts.append(
        "Figures are given per centre, per relative polyp size and for frames without a polyp. Patients' age, sex and "
        "indication, bowel preparation and histology are no part of the scored data, so nothing is known of them."
    )
    return "\n\n".join(parts)


def metrics(facts: ReportFacts) -> str:
    """Definitions and the rules of uncertainty."""
    lines = [METRICS + ".", f"95 % intervals: {UNCERTAINTY}.", f"Comparisons: {TESTS}."]
    if facts.box_cohorts:
        names = ", ".join(code(cohort.id) for cohort in facts.box_cohorts)
        lines.append(f"Annotated with boxes only, so lesion figures and no pixel figure: {names}.")
    return bullets(lines)


def evaluation_data(facts: ReportFacts) -> str:
    """What was scored."""
    headers = ["cohort", "part", "scored", "resampled by", "polyps"]
    rows = [
        [code(c.id), ", ".join(c.splits), c.count_text, UNITS_IN_WORDS[c.unit], c.polyp_sizes_text]
        for c in facts.cohorts
    ]
    parts = [table(headers, rows)]
    overlaps = overlaps_between(facts.cohorts)
    if overlaps:
        parts += ["Frames that cohorts share:", bullets(overlaps)]
    licences = [f"{code(c.id)}: {_terms(c)}" for c in facts.cohorts if not c.phantom]
    return "\n\n".join([*parts, *(["Source and terms:", bullets(licences)] if licences else [])])


def _terms(cohort: CohortFacts) -> str:
    if cohort.manifest is None:
        return said(cohort.study.source)
    access = cohort.manifest.access
    told = (access.level.value, access.licence, access.citation)
    return "; ".join(inline(part) for part in told if part)


def training_data(facts: ReportFacts) -> str:
    """Who trained on what, and with whose labels."""
    if not facts.trained_here:
        return f"{FOREIGN} {MISSING}"
    lines = [
        f"`source-only`: labelled training frames of the source ({', '.join(map(code, facts.sources))})",
        *_budgets(facts),
        *_adapted_on(facts),
    ]
    taught = {f"{code(run.source)}: {inline(run.supervision)}" for run in facts.trained_here if run.supervision}
    lines += sorted(taught)
    if any(statement.target_labels_used for statement in facts.trained_here):
        lines.append("`oracle`: labelled training frames of the target; an upper bound, not an adaptation")
    semi = {code(statement.method) for statement in facts.trained_here if statement.target_labels_taught}
    if semi:
        lines.append(f"{', '.join(sorted(semi))}: TAUGHT BY TARGET LABELS as well (semi-supervised)")
    if any(statement.selector == ORACLE for statement in facts.trained_here):
        lines.append("checkpoint of the adapted models: CHOSEN ON TARGET LABELS (selector `oracle`)")
    lines.append(f"partition: {SPLIT_RULE}")
    if facts.foreign_models:
        lines.append(f"{', '.join(map(code, facts.foreign_models))}: made elsewhere, {MISSING}")
    return bullets(lines)


def _budgets(facts: ReportFacts) -> list[str]:
    """Whether source-only is a fair control, which it is where source frames were at hand."""
    packed = [run for run in facts.trained_here if run.settings.get("source_package")]
    if not packed:
        return ["`source-only` is trained for the same budget as every adapted model: their control"]
    runs = ", ".join(dict.fromkeys(code(run.run) for run in packed))
    told = [f"`source-only` is no equal-budget control of runs from a source package, where it came as it is ({runs})"]
    if len(packed) < len(facts.trained_here):
        told.append("`source-only` is trained for the same budget as the adapted models of all other runs")
    return told


def _adapted_on(facts: ReportFacts) -> list[str]:
    """What adapted models learnt from, by whether they saw source frames."""
    targets = f"training frames of the target without any label ({', '.join(map(code, facts.targets))})"
    adapting = [run for run in facts.trained_here if run.method in facts.adapted_models]
    free = {run.method for run in adapting if run.method in NO_SOURCE_FRAMES}
    packed = {run.method for run in adapting if run.settings.get("source_package")} - free
    beside = {run.method for run in adapting if not run.settings.get("source_package")} - free
    told = [
        ("labelled training frames of the source and ", beside),
        ("features of the source's training frames (a source package) and ", packed),
        ("no source frame, and ", free),
    ]
    return [f"{', '.join(map(code, sorted(names)))}: {start}{targets}" for start, names in told if names]


def ethics(facts: ReportFacts) -> str:
    """Approval, consent, privacy, as far as anybody said so."""
    given = facts.study.ethics
    approval = " ".join(part for part in (given.body, given.number and f"({given.number})") if part)
    lines = [
        f"approval: {said(approval)}",
        f"consent: {said(given.consent)}",
        f"de-identification: {said(given.deidentification)}",
        f"considerations: {said(given.considerations)}",
        f"conflicts of interest: {said(facts.study.responsibility.conflicts)}",
        f"funding: {said(facts.study.responsibility.funding)}",
    ]
    lines += [f"approval of {code(c.id)}: {inline(c.study.ethics)}" for c in facts.cohorts if c.study.ethics]
    if facts.cohorts and all(cohort.phantom for cohort in facts.cohorts):
        lines.insert(0, f"scored frames: {RENDERED}")
    return bullets(lines)


def said(text: str | None) -> str:
    """What the authors wrote, or that they did not."""
    return inline(text) if text else MISSING
