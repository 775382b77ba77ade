"""All that the model card and the checklist are filled from, gathered once."""

from __future__ import annotations

from dataclasses import dataclass

from polypda.cohorts.catalogue import load_catalogue
from polypda.evaluation.aggregation.cross_centre import CrossCentreResults
from polypda.evaluation.cases.statement import ORACLE, SOURCE_ONLY, ReportStatement
from polypda.reporting.documents.cohort_facts import CohortFacts, cohort_facts
from polypda.reporting.documents.study import Study
from polypda.reporting.documents.study_file import require_known_cohorts
from polypda.reporting.pages.run_settings import SettingsSummary, summarise_settings, summarise_versions

NO_ADAPTATION = (SOURCE_ONLY, ORACLE)


@dataclass(frozen=True)
class ReportFacts:
    """Numbers from the results, facts of the cohorts, settings of the runs, words of the study file.

    models: every model that was scored, source-only first, the oracle last. untold: cohorts that the study file
    describes though this report does not hold them.
    """

    results: CrossCentreResults
    study: Study
    cohorts: tuple[CohortFacts, ...]
    settings: SettingsSummary
    versions: SettingsSummary
    models: tuple[str, ...]
    untold: tuple[str, ...]

    @property
    def statements(self) -> tuple[ReportStatement, ...]:
        return tuple(self.results.statements)

    @property
    def trained_here(self) -> tuple[ReportStatement, ...]:
        """Statements of runs that this software trained; empty where all predictions came as files."""
        return tuple(statement for statement in self.statements if not statement.foreign)

    @property
    def run_count(self) -> int:
        """Distinct runs: a run that was scored again on a further cohort is one run."""
        return len({statement.run for statement in self.statements})

    @property
    def adapted_models(self) -> tuple[str, ...]:
        """The models that were adapted here to a target centre without its labels."""
        return tuple(model for model in self.models if model not in (*NO_ADAPTATION, *self.foreign_models))

    @property
    def adaptations(self) -> tuple[tuple[str, str], ...]:
        """Distinct (source, target) pairs of the runs trained here, in their order."""
        return tuple(dict.fromkeys((statement.source, statement.target) for statement in self.trained_here))

    @property
    def sources(self) -> tuple[str, ...]:
        return tuple(dict.fromkeys(source for source, _ in self.adaptations))

    @property
    def targets(self) -> tuple[str, ...]:
        return tuple(dict.fromkeys(target for _, target in self.adaptations))

    @property
    def seeds(self) -> tuple[int, ...]:
        """Distinct seeds of the runs trained here."""
        return tuple(sorted({seed for statement in self.trained_here for seed in statement.seeds}))

    @property
    def foreign_models(self) -> tuple[str, ...]:
        """Models of which there are only predictions that came as files."""
        foreign = {statement.run for statement in self.statements if statement.foreign}
        own = set(self.results.cases.loc[~self.results.cases["run"].isin(foreign), "model"])
        return tuple(model for model in self.models if model not in own)

    @property
    def phantom_cohorts(self) -> tuple[CohortFacts, ...]:
        return tuple(cohort for cohort in self.cohorts if cohort.phantom)

    @property
    def box_cohorts(self) -> tuple[CohortFacts, ...]:
        return tuple(cohort for cohort in self.cohorts if "box" in cohort.annotations)

    def cohort(self, cohort_id: str) -> CohortFacts | None:
        """The facts of one cohort; None where no frame of it was scored."""
        return next((cohort for cohort in self.cohorts if cohort.id == cohort_id), None)


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
        settings=summarise_settings(results.statements),
        versions=summarise_versions(results.statements),
        models=tuple(sorted(found, key=lambda model: rank.get(model, 1))),
        untold=tuple(cohort for cohort in study.cohorts if cohort not in here),
    )
