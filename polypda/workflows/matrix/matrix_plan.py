"""Which runs a cross-centre matrix consists of: every source × target × method × seed, nothing trained twice.

Per cohort and seed one *base* run trains the source-only model (start and control). Every other run of that source
and seed takes them from it, and the oracle of a target is that target's own base: the same recipe and budget.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from polypda.cohorts.pairs import check_pair
from polypda.cohorts.sub_cohorts import canonical
from polypda.errors import LeakageError, UsageError
from polypda.methods.registry import method_class
from polypda.training.config import AdaptConfig
from polypda.training.run_folder import run_name
from polypda.workflows.runs.stages import ADABN, ORACLE, SOURCE_ONLY, adapts

CONTROLS = (SOURCE_ONLY, ADABN, ORACLE)

Configure = Callable[[str, str, str, int, bool], AdaptConfig]
"""(source, target, method, seed, with oracle) → the resolved configuration of one run."""


@dataclass(frozen=True)
class PlannedRun:
    """One run of a matrix. start, oracle: names of the runs whose models it takes; None: it trains its own."""

    name: str
    config: AdaptConfig
    start: str | None = None
    oracle: str | None = None

    @property
    def needs(self) -> tuple[str, ...]:
        """The runs that must be complete before."""
        return tuple(name for name in (self.start, self.oracle) if name)


@dataclass(frozen=True)
class MatrixPlan:
    """The runs in an order in which each one's needs come first. left_out: (source, target, reason)."""

    runs: tuple[PlannedRun, ...]
    left_out: tuple[tuple[str, str, str], ...]


def plan_matrix(
    wanted: Sequence[tuple[str, str]], methods: Sequence[str], seeds: Sequence[int], configure: Configure
) -> MatrixPlan:
    """Plan a matrix of (source, target) pairs. Pairs of a cohort with itself are no runs: they are the diagonal.

    Raises: UsageError E_MATRIX_EMPTY, E_METHOD_UNKNOWN, E_COHORT_UNKNOWN, and what ``configure`` raises.
    """
    for method in methods:
        method_class(method)
    pairs, left_out = _possible([(canonical(source), canonical(target)) for source, target in wanted])
    if not pairs:
        raise UsageError(
            "E_MATRIX_EMPTY",
            "no source can be adapted to any of the targets.",
            fix="name at least two different cohorts that share no frames.",
        )
    adapting = [method for method in methods if method not in CONTROLS]
    if stray := [method for method in adapting if not adapts(method)]:
        raise UsageError("E_METHOD_UNKNOWN", f"{', '.join(stray)} adapts nothing.", fix="`polypda methods` lists them.")
    oracle = ORACLE in methods
    learners = list(dict.fromkeys([*(source for source, _ in pairs), *(target for _, target in pairs if oracle)]))
    planned: dict[str, PlannedRun] = {}
    for seed in seeds:
        bases = {}
        for learner in learners:
            config = configure(learner, _partner(learner, pairs), SOURCE_ONLY, seed, False)
            base = PlannedRun(run_name(config), config)
            planned[base.name] = base
            bases[learner] = base.name
        for source, target in pairs:
            for method in adapting or [SOURCE_ONLY]:
                config = configure(source, target, method, seed, oracle)
                name = run_name(config) + ("-oracle" if oracle and method == SOURCE_ONLY else "")
                run = PlannedRun(name, config, bases[source], bases[target] if oracle else None)
                planned.setdefault(run.name, run)
    return MatrixPlan(tuple(planned.values()), tuple(left_out))


def _possible(wanted: Sequence[tuple[str, str]]) -> tuple[list[tuple[str, str]], list[tuple[str, str, str]]]:
    pairs, left_out = [], []
    for source, target in dict.fromkeys(wanted):
        if source == target:
            continue
        try:
            check_pair(source, target)
        except LeakageError as error:
            left_out.append((source, target, error.what))
        else:
            pairs.append((source, target))
    return pairs, left_out


def _partner(learner: str, pairs: Sequence[tuple[str, str]]) -> str:
    """The cohort beside which a base run is scored: the other end of the first pair that it takes part in."""
    return next(target if source == learner else source for source, target in pairs if learner in (source, target))
