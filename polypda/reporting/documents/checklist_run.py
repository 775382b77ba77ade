"""Answers to the checklist's items on model, training and evaluation, from the runs' settings and results."""

from __future__ import annotations

from collections.abc import Callable

from polypda.evaluation.cases.statement import ONE_SEED, labels_in_short
from polypda.evaluation.scoring.metrics import PROTOCOL
from polypda.evaluation.statistics.bootstrap import RESAMPLES
from polypda.evaluation.statistics.intervals import BOOTSTRAP_FROM, CLUSTER_T_FROM
from polypda.reporting.documents.checklist_items import Part, from_run
from polypda.reporting.documents.markdown_document import code, inline
from polypda.reporting.pages.report_facts import ReportFacts
from polypda.reporting.pages.result_sentences import (
    diagnostic_sentences,
    external_sentences,
    failure_sentences,
    internal_sentences,
    performance_sentences,
)
from polypda.reporting.pages.run_settings import by_runs
from polypda.reporting.wording import counted

NOTHING_TRAINED = "the predictions came as files from elsewhere: their authors must say"
METRICS = (
    f"{PROTOCOL}: Dice and IoU as means over frames with a polyp (headline: dice_frame), HD95, NSD, sensitivity, PPV, "
    "F2, MAE, worst decile, failure rate, size strata; frames without a polyp apart (frame specificity, false-positive "
    "components and area); lesions matched one to one at IoU ≥ 0.1 (headline) and ≥ 0.5; all at native resolution"
)
UNCERTAINTY = (
    f"patients (else sequences) are resampled, not frames: from {BOOTSTRAP_FROM} clusters on a studentised cluster "
    f"bootstrap ({RESAMPLES:,} resamples), from {CLUSTER_T_FROM} on cluster-t, else none; where neither patient nor "
    "sequence is known, frames are treated as independent, and the interval is said to be likely too narrow"
)
TESTS = (
    "paired differences from source-only on the same resampled clusters; sign-flip permutation of clusters; Holm's "
    "adjustment over the declared family"
)


def _own(facts: ReportFacts, text: str | None) -> str | None:
    """A statement about training, which holds only for what was trained here."""
    return text if facts.trained_here else None


def model(facts: ReportFacts) -> list[Part]:
    setting = facts.settings.get
    network = {name: setting(f"network.{name}") for name in ("architecture", "encoder", "levels")}
    size = by_runs(facts.trained_here, lambda run: f"{run.input_size[1]}×{run.input_size[0]} px, RGB")
    output = "probability of polyp per pixel, thresholded at "
    return [
        from_run("architecture", network["architecture"] and inline(network["architecture"])),
        from_run("encoder", network["encoder"] and inline(network["encoder"])),
        from_run("output levels in training", network["levels"]),
        from_run("input", size),
        from_run("output", output + by_runs(facts.statements, lambda run: f"{run.threshold:g}")),
        from_run("batch normalisation", by_runs(facts.trained_here, lambda run: run.batch_norm)),
    ]


def software(facts: ReportFacts) -> list[Part]:
    told = {**facts.versions.shared, **facts.versions.differing}
    elsewhere = [from_run(f"software of {code(model)}, made elsewhere", None) for model in facts.foreign_models]
    return [from_run("", ", ".join(f"{name} {inline(text)}" for name, text in told.items())), *elsewhere]


def initial_weights(facts: ReportFacts) -> list[Part]:
    start = facts.settings.get("encoder_weights")
    return [
        from_run("encoder", start and ("random (no pretrained weights)" if start == "none" else inline(start))),
        from_run("order", _own(facts, "every adapted model and its control start from one source-only training")),
    ]


def training(facts: ReportFacts) -> list[Part]:
    settings = facts.settings
    plain = {
        "steps of the source-only start": "start_steps",
        "steps of adaptation and of its control": "adapt_steps",
        "frames per domain and step": "data.batch_size",
        "augmentation": "data.augmentation",
        "precision": "compute.precision",
        "gradient clipping": "clip_norm",
    }
    parts = [from_run(aspect, (text := settings.get(name)) and inline(text)) for aspect, name in plain.items()]
    for aspect, prefix in (("supervised loss", "supervised"), ("the start only", "start"), ("method", "options")):
        below = settings.below(prefix)
        if below:
            parts.append(from_run(aspect, "; ".join(f"{name} = {inline(text)}" for name, text in below.items())))
    parts += [from_run(f"training of {code(model)}, made elsewhere", None) for model in facts.foreign_models]
    return [*parts, from_run("seeds", _own(facts, ", ".join(map(str, facts.seeds))))]


def selection(facts: ReportFacts) -> list[Part]:
    chosen = by_runs(facts.trained_here, lambda run: run.selector)
    labels = by_runs(facts.trained_here, lambda run: run.labels_text) if len(facts.trained_here) <= 3 else None
    general = by_runs(facts.trained_here, labels_in_short)
    taught = "; ".join(
        dict.fromkeys(f"{run.source}: {run.supervision}" for run in facts.trained_here if run.supervision)
    )
    return [
        from_run("checkpoint rule", chosen and inline(chosen)),
        from_run("labels of the target", _own(facts, labels or general)),
        *([from_run("labels of the source", inline(taught))] if taught else []),
        from_run("threshold", "fixed before testing: " + by_runs(facts.statements, lambda run: f"{run.threshold:g}")),
    ]


def ensembles(facts: ReportFacts) -> list[Part]:
    return [
        from_run("", _own(facts, "none: every prediction is that of one network; seeds are compared, not combined"))
    ]


def metrics(facts: ReportFacts) -> list[Part]:
    boxes = ", ".join(code(cohort.id) for cohort in facts.box_cohorts)
    parts = [from_run("definition", METRICS)]
    return [*parts, from_run("cohorts with boxes only: lesion figures, no pixel figure", boxes)] if boxes else parts


def uncertainty(facts: ReportFacts) -> list[Part]:
    seeds = len(facts.seeds)
    spread = f"spread over {counted(seeds, 'seed')} reported apart (SD)" if seeds > 1 else f"one seed: {ONE_SEED}"
    return [
        from_run("95 % intervals", UNCERTAINTY),
        from_run("comparisons", TESTS),
        from_run("training", _own(facts, spread)),
    ]


def robustness(facts: ReportFacts) -> list[Part]:
    done = ["figures by relative polyp size", "the worst centre beside the mean over centres"]
    done += [f"{len(facts.seeds)} training seeds"] if len(facts.seeds) > 1 else []
    done += [f"{len(facts.cohorts)} cohorts"] if len(facts.cohorts) > 1 else []
    return [from_run("", "; ".join(done) + " (model_card.md, Quantitative analyses)")]


def explanation(facts: ReportFacts) -> list[Part]:
    text = "no method of explanation was applied; overlays of reference and predictions are shown in index.html"
    return [from_run("", text)]


def _sentences(make: Callable[[ReportFacts], list[str]]) -> Callable[[ReportFacts], list[Part]]:
    def parts(facts: ReportFacts) -> list[Part]:
        told = make(facts)
        return [from_run("", sentence) for sentence in told] or [from_run("", None)]

    return parts


internal_testing = _sentences(internal_sentences)
external_testing = _sentences(external_sentences)
performance = _sentences(performance_sentences)
diagnostic = _sentences(diagnostic_sentences)
failures = _sentences(failure_sentences)
