"""All that the model card and the checklist are filled from, gathered once, and what runs have in common."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

from polypda.cohorts.catalogue import load_catalogue
from polypda.evaluation.aggregation.cross_centre import CrossCentreResults
from polypda.evaluation.cases.run_metadata import ORACLE, SOURCE_ONLY, RunMetadata, labels_in_short
from polypda.reporting.documents.cohort_facts import ScoredCohort, cohort_facts
from polypda.reporting.documents.study import Study, require_known_cohorts
from polypda.reporting.documents.templates import shortened
from polypda.reporting.wording import counted

IDENTITY_SETTINGS = frozenset({"source", "target", "method", "seed"})
"""Settings that name a run rather than describe it: they stand in every table."""
REUSE_SETTINGS = frozenset({"start_from", "control_from", "oracle_from"})
NOT_SET = "not set"
MOST_RUNS = 3
"""Up to here the use of target labels is told with the target's name."""

Factor = Callable[[RunMetadata], tuple[str, ...]]
FACTORS: Mapping[str, Factor] = {
    "method": lambda run: (run.method,),
    "source": lambda run: (run.source,),
    "target": lambda run: (run.target,),
    "seed": lambda run: tuple(map(str, run.seeds)),
    "pair": lambda run: (f"{run.source} → {run.target}",),
    "method and pair": lambda run: (run.method, f"{run.source} → {run.target}"),
}
"""What may explain a difference, the simplest first."""


@dataclass(frozen=True)
class SettingsSummary:
    """Dotted names with their values as text.

    shared: the same in every run. differing: name → sentence that tells which runs have which value.
    """

    shared: dict[str, str]
    differing: dict[str, str]

    def get(self, name: str) -> str | None:
        """The value of a setting in words, wherever it is; None where no run tells it."""
        return self.shared.get(name) or self.differing.get(name)

    def below(self, prefix: str) -> dict[str, str]:
        """All settings whose dotted name begins with ``prefix.``, without that prefix."""
        both = {**self.shared, **self.differing}
        return {name[len(prefix) + 1 :]: text for name, text in both.items() if name.startswith(f"{prefix}.")}


def summarise_settings(metadata_of_runs: Sequence[RunMetadata]) -> SettingsSummary:
    """The settings of all runs that this software trained (predictions made elsewhere tell none)."""
    own = [run for run in metadata_of_runs if not run.external]
    rows = [dict(flattened(run.settings)) for run in own]
    names = list(dict.fromkeys(name for row in rows for name in row))
    described = [name for name in names if name not in IDENTITY_SETTINGS | REUSE_SETTINGS]
    return _summary(own, {name: [row.get(name, NOT_SET) for row in rows] for name in described})


def summarise_versions(metadata_of_runs: Sequence[RunMetadata]) -> SettingsSummary:
    """Package versions that trained and scored (of predictions made elsewhere: scored)."""
    names = list(dict.fromkeys(name for run in metadata_of_runs for name in run.versions))
    return _summary(
        metadata_of_runs, {name: [run.versions.get(name, NOT_SET) for run in metadata_of_runs] for name in names}
    )


def by_runs(metadata_of_runs: Sequence[RunMetadata], fact: Callable[[RunMetadata], str]) -> str:
    """One fact of all runs in words: the value itself where all agree, else which runs have which."""
    summary = _summary(list(metadata_of_runs), {"": [fact(run) for run in metadata_of_runs]})
    return summary.shared.get("") or summary.differing.get("", "")


def _summary(runs: Sequence[RunMetadata], values: Mapping[str, Sequence[str]]) -> SettingsSummary:
    shared = {name: column[0] for name, column in values.items() if len(set(column)) == 1}
    differing = {name: _explained(runs, column) for name, column in values.items() if len(set(column)) > 1}
    return SettingsSummary(shared, differing)


def _explained(runs: Sequence[RunMetadata], column: Sequence[str]) -> str:
    for label, factor in FACTORS.items():
        levels: dict[tuple[str, ...], set[str]] = {}
        for run, value in zip(runs, column, strict=True):
            levels.setdefault(factor(run), set()).add(value)
        if all(len(found) == 1 for found in levels.values()):
            texts = [f"{', '.join(level)}: {next(iter(found))}" for level, found in levels.items()]
            return f"by {label}: {shortened(texts, 12)}".replace("by method and pair", "by method and pair of centres")
    holders: dict[str, list[str]] = {}
    for run, value in zip(runs, column, strict=True):
        holders.setdefault(value, []).append(run.run)
    texts = [f"{value} ({counted(len(names), 'run')}: {shortened(names, 2)})" for value, names in holders.items()]
    return shortened(texts, 12)


def flattened(settings: Mapping[str, Any], prefix: str = "") -> Iterator[tuple[str, str]]:
    """Nested settings as dotted names and text."""
    for name, value in settings.items():
        if isinstance(value, Mapping):
            yield from flattened(value, f"{prefix}{name}.")
        elif isinstance(value, (list, tuple)):
            yield f"{prefix}{name}", ", ".join(map(str, value)) or "none"
        elif isinstance(value, bool):
            yield f"{prefix}{name}", "yes" if value else "no"
        else:
            yield f"{prefix}{name}", NOT_SET if value is None else str(value)


NO_ADAPTATION = (SOURCE_ONLY, ORACLE)


@dataclass(frozen=True)
class ReportFacts:
    """Numbers from the results, facts of the cohorts, settings of the runs, words of the study file.

    models: every model that was scored, source-only first, the oracle last. untold: cohorts that the study file
    describes though this report does not hold them.
    """

    results: CrossCentreResults
    study: Study
    cohorts: tuple[ScoredCohort, ...]
    settings: SettingsSummary
    versions: SettingsSummary
    models: tuple[str, ...]
    untold: tuple[str, ...]

    @property
    def metadata_of_runs(self) -> tuple[RunMetadata, ...]:
        return tuple(self.results.metadata_of_runs)

    @property
    def trained_here(self) -> tuple[RunMetadata, ...]:
        """Statements of runs that this software trained; empty where all predictions came as files."""
        return tuple(run for run in self.metadata_of_runs if not run.external)

    @property
    def run_count(self) -> int:
        """Distinct runs: a run that was scored again on a further cohort is one run."""
        return len({run.run for run in self.metadata_of_runs})

    @property
    def adapted_models(self) -> tuple[str, ...]:
        """The models that were adapted here to a target centre without its labels."""
        return tuple(model for model in self.models if model not in (*NO_ADAPTATION, *self.external_models))

    @property
    def adaptations(self) -> tuple[tuple[str, str], ...]:
        """Distinct (source, target) pairs of the runs trained here, in their order."""
        return tuple(dict.fromkeys((run.source, run.target) for run in self.trained_here))

    @property
    def sources(self) -> tuple[str, ...]:
        return tuple(dict.fromkeys(source for source, _ in self.adaptations))

    @property
    def targets(self) -> tuple[str, ...]:
        return tuple(dict.fromkeys(target for _, target in self.adaptations))

    @property
    def seeds(self) -> tuple[int, ...]:
        """Distinct seeds of the runs trained here."""
        return tuple(sorted({seed for run in self.trained_here for seed in run.seeds}))

    @cached_property
    def external_models(self) -> tuple[str, ...]:
        """Models of which there are only predictions that came as files."""
        external = {run.run for run in self.metadata_of_runs if run.external}
        own = set(self.results.cases.loc[~self.results.cases["run"].isin(external), "model"])
        return tuple(model for model in self.models if model not in own)

    @property
    def phantom_cohorts(self) -> tuple[ScoredCohort, ...]:
        return tuple(cohort for cohort in self.cohorts if cohort.phantom)

    @property
    def box_cohorts(self) -> tuple[ScoredCohort, ...]:
        return tuple(cohort for cohort in self.cohorts if "box" in cohort.annotations)


def gather_facts(results: CrossCentreResults, study: Study | None) -> ReportFacts:
    """Gather what is known. Raises: DataError E_STUDY_COHORT when the study file names a cohort that nobody knows."""
    study = study or Study()
    cohorts = cohort_facts(results.cases, study)
    here = [cohort.id for cohort in cohorts]
    require_known_cohorts(study, {*here, *load_catalogue()})
    found = list(dict.fromkeys(map(str, results.cases["model"])))
    rank = {SOURCE_ONLY: 0, ORACLE: 2}
    return ReportFacts(
        results=results,
        study=study,
        cohorts=cohorts,
        settings=summarise_settings(results.metadata_of_runs),
        versions=summarise_versions(results.metadata_of_runs),
        models=tuple(sorted(found, key=lambda model: rank.get(model, 1))),
        untold=tuple(cohort for cohort in study.cohorts if cohort not in here),
    )


def facts_of_runs(facts: ReportFacts) -> dict[str, str]:
    """What the runs have in common, in words; where they differ, which run has which; "" where nothing is known."""
    every, trained = facts.metadata_of_runs, facts.trained_here
    versions = {**facts.versions.shared, **facts.versions.differing}
    labels = by_runs(trained, lambda run: run.labels_text) if len(trained) <= MOST_RUNS else ""
    trained_on = dict.fromkeys(f"{run.source}: {run.supervision}" for run in trained if run.supervision)
    return {
        "seeds": by_runs(every, lambda run: run.seeds_text),
        "selector": by_runs(every, lambda run: run.selector),
        "threshold": by_runs(every, lambda run: f"{run.threshold:g}"),
        "versions": ", ".join(f"{name} {text}" for name, text in versions.items()),
        "input_size": by_runs(trained, lambda run: f"{run.input_size[1]}×{run.input_size[0]} px"),
        "batch_norm": by_runs(trained, lambda run: run.batch_norm),
        "trained_selector": by_runs(trained, lambda run: run.selector),
        "target_labels": labels or by_runs(trained, labels_in_short),
        "source_labels": "; ".join(trained_on),
    }
