"""What is known of every method without importing one (and torch with it): a table that lies beside them.

``python -m polypda.methods.index`` writes it anew, after a method was added or changed; a test holds it against them.
Where another package adds methods, they are asked themselves.
"""

from __future__ import annotations

import json
from collections.abc import Iterable
from dataclasses import asdict, dataclass
from importlib import metadata
from pathlib import Path
from typing import TYPE_CHECKING, Any

from polypda.errors import UsageError, nearest
from polypda.options import with_present_names

if TYPE_CHECKING:
    from polypda.methods.contract import Method

DEFAULT_METHOD = "adaptsegnet+target-colours+self-training"
"""Output-space adversarial adaptation, with what moves a target beside it."""
GROUP = "polypda.methods"
FILE = Path(__file__).with_name("index.json")


@dataclass(frozen=True)
class MethodOption:
    """An option of a method: its default as text, and what it means."""

    name: str
    default: str
    meaning: str


@dataclass(frozen=True)
class MethodSummary:
    """A method in words. roles: ``term``, ``base`` (takes terms), ``source-free``."""

    name: str
    title: str
    paper: str
    roles: tuple[str, ...]
    options: tuple[MethodOption, ...]


def method_summaries() -> dict[str, MethodSummary]:
    """Every method by name, those of other packages as well.

    Raises: UsageError E_PLUGIN where another package's cannot be imported.
    """
    if metadata.entry_points(group=GROUP):
        return summaries_of_registry()
    rows = json.loads(FILE.read_text(encoding="utf-8"))
    return {row["name"]: _summary(row) for row in rows}


def method_summary(name: str) -> MethodSummary:
    """One method, or a sum such as ``adaptsegnet+minent``.

    Raises: UsageError E_METHOD_UNKNOWN, E_METHOD_COMBINATION.
    """
    known = method_summaries()
    if name in known:
        return known[name]
    from polypda.methods.registry import TERMS, method_class

    return summary_of(method_class(name), term=name in TERMS)


def check_names(name: str, options: Iterable[str]) -> None:
    """Refuse a method, or options of it, of names that do not exist, without importing one.

    Raises: UsageError E_METHOD_UNKNOWN, E_METHOD_OPTION, with the nearest name.
    """
    known, parts = method_summaries(), name.split("+")
    for part in parts:
        if part not in known:
            raise unknown("method" if part == parts[0] else "term", part, known)
    names = {option.name for part in parts for option in known[part].options}
    for option in with_present_names(dict.fromkeys(options)):
        if option not in names:
            raise unknown_option(name, option, names)


def unknown(kind: str, name: str, known: Iterable[str]) -> UsageError:
    """The error for a method or a term that does not exist."""
    what = f"there is no {kind} '{name}'.{nearest(name, known)}"
    return UsageError("E_METHOD_UNKNOWN", what, fix="`polypda methods` lists them.")


def unknown_option(method: str, name: str, known: Iterable[str]) -> UsageError:
    """The error for an option that a method does not have."""
    what = f"'{method}' has no option '{name}'.{nearest(name, known)}"
    return UsageError("E_METHOD_OPTION", what, fix=f"`polypda methods {method}` lists them.")


def summaries_of_registry() -> dict[str, MethodSummary]:
    """As :func:`method_summaries`, from the classes themselves."""
    from polypda.methods.registry import METHODS, TERMS

    return {name: summary_of(kind, term=name in TERMS) for name, kind in METHODS.items()}


def summary_of(kind: type[Method], *, term: bool) -> MethodSummary:
    """What a method's class says."""
    roles = [*(["term"] if term else ["base"] if kind.takes_terms else []), *(["source-free"] * kind.source_free)]
    options = tuple(
        MethodOption(name, str(field.default), _meaning(field.description or "", type(field.default)))
        for name, field in kind.Options.model_fields.items()
    )
    return MethodSummary(kind.name, kind.title, kind.paper, tuple(roles), options)


def _meaning(description: str, kind: Any) -> str:
    choices = ", ".join(str(value) for value in kind) if hasattr(kind, "__members__") else ""
    return "; ".join(part for part in (description, f"one of {choices}" if choices else "") if part)


def _summary(row: dict[str, Any]) -> MethodSummary:
    options = tuple(MethodOption(**option) for option in row.pop("options"))
    return MethodSummary(**{**row, "roles": tuple(row["roles"])}, options=options)


if __name__ == "__main__":
    lines = [json.dumps(asdict(summary), ensure_ascii=False) for summary in summaries_of_registry().values()]
    FILE.write_text("[\n" + ",\n".join(lines) + "\n]\n", encoding="utf-8")
