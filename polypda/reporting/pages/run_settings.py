"""What the runs of a report have in common, and what differs between them by what."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from polypda.evaluation.cases.statement import ReportStatement
from polypda.reporting.documents.markdown_document import code, shortened
from polypda.reporting.wording import counted

IDENTITY_SETTINGS = frozenset({"source", "target", "method", "seed"})
"""Settings that name a run rather than describe it: they stand in every table."""
REUSE_SETTINGS = frozenset({"start_from", "control_from", "oracle_from"})
NOT_SET = "not set"

Factor = Callable[[ReportStatement], tuple[str, ...]]
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


def summarise_settings(statements: Sequence[ReportStatement]) -> SettingsSummary:
    """The settings of all runs that this software trained (predictions made elsewhere tell none)."""
    own = [statement for statement in statements if not statement.foreign]
    rows = [dict(flattened(statement.settings)) for statement in own]
    names = list(dict.fromkeys(name for row in rows for name in row))
    kept = [name for name in names if name not in IDENTITY_SETTINGS | REUSE_SETTINGS]
    return _summary(own, {name: [row.get(name, NOT_SET) for row in rows] for name in kept})


def summarise_versions(statements: Sequence[ReportStatement]) -> SettingsSummary:
    """Package versions that trained and scored (of predictions made elsewhere: scored)."""
    names = list(dict.fromkeys(name for statement in statements for name in statement.versions))
    return _summary(statements, {name: [run.versions.get(name, NOT_SET) for run in statements] for name in names})


def by_runs(statements: Sequence[ReportStatement], tell: Callable[[ReportStatement], str]) -> str:
    """One fact of all runs in words: the value itself where all agree, else which runs have which."""
    summary = _summary(list(statements), {"": [tell(statement) for statement in statements]})
    return summary.shared.get("") or summary.differing.get("", "")


def _summary(runs: Sequence[ReportStatement], values: Mapping[str, Sequence[str]]) -> SettingsSummary:
    shared = {name: column[0] for name, column in values.items() if len(set(column)) == 1}
    differing = {name: _explained(runs, column) for name, column in values.items() if len(set(column)) > 1}
    return SettingsSummary(shared, differing)


def _explained(runs: Sequence[ReportStatement], column: Sequence[str]) -> str:
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


def models_in_words(models: Sequence[str]) -> str:
    """Names of models, as they are typed."""
    return shortened([code(model) for model in models], 12)
