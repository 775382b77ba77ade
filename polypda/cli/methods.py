"""`polypda methods`: what there is to choose from, with paper, options and defaults."""

from __future__ import annotations

import typer
from rich.console import Console
from rich.table import Table

METHOD = typer.Argument(None, help="Show the options of one method, or of a sum such as adaptsegnet+minent.")


def methods_command(method: str | None = METHOD) -> None:
    """List the methods with their papers; with a name, its options, defaults and meaning."""
    from polypda.methods.registry import METHODS, TERMS, method_class

    console = Console()
    if method is None:
        table = Table("method", "what", "paper", "options", "combines", box=None, pad_edge=False)
        for name, kind in METHODS.items():
            role = "term" if name in TERMS else "base" if kind.takes_terms else ""
            table.add_row(name, kind.title, kind.paper, str(len(kind.Options.model_fields)), role)
        console.print(table)
        console.print(
            "\nMETHOD+TERM+… adds terms to a method, e.g. adaptsegnet+minent; "
            f"terms: {', '.join(TERMS)} (alone: source-only+TERM)."
        )
        console.print("`polypda methods NAME` lists a method's options with their defaults.")
        return
    kind = method_class(method)
    console.print(f"{kind.title}\n{kind.paper}\n")
    table = Table("option", "default", "meaning", box=None, pad_edge=False)
    for name, field in kind.Options.model_fields.items():
        default = field.default
        choices = ", ".join(str(value) for value in type(default)) if hasattr(type(default), "__members__") else ""
        meaning = "; ".join(part for part in (field.description or "", f"one of {choices}" if choices else "") if part)
        table.add_row(name, str(default), meaning)
    console.print(table)
