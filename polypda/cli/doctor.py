"""`polypda doctor`: whether everything works on this machine. `polypda explain`: what a code means and what to do."""

from __future__ import annotations

import json
import textwrap
from dataclasses import asdict
from pathlib import Path
from typing import Annotated

import typer

from polypda.codes.index import STATUS_WORDS, Explained, every_code, explained
from polypda.codes.reading import ANY

COLUMNS = 80
NAME_COLUMNS = 24
MARKS = {"works": "works", "missing": "–", "fails": "FAILS"}
MOST_SHOWN = 3
KINDS = {"E": "an error", "W": "a warning", "N": "a note", ANY: "how codes of files end"}
NOTHING_NEEDED, LOOK = "nothing has to be done.", "look at what the message names; after `Fix:` it says what to do."


def doctor_command(
    as_json: Annotated[bool, typer.Option("--json", help="Print what was found as JSON, at the end.")] = False,
    no_self_test: Annotated[bool, typer.Option("--no-self-test", help="Compute nothing: two seconds.")] = False,
    cache_dir: Annotated[
        Path | None, typer.Option(envvar="POLYPDA_CACHE", help="The cache; default: that of the other commands.")
    ] = None,
) -> None:
    """Look whether everything works here: versions, packages, folders, device, offline weights, and a self-test.

    A dash stands where a package is missing that only the named feature needs. Exit status 0: all that is needed works.
    The self-test computes a rendered frame, a network, one training step and the metrics, against stored figures.
    """
    from polypda.workflows.doctor.checks import checks, verdict
    from polypda.workflows.runs.paths import default_cache

    found = []
    for check in checks(cache_dir or default_cache(), self_test=not no_self_test):
        found.append(check)
        if not as_json:
            typer.echo(_line(check.name, MARKS[check.state], check.words))
            if check.fix:
                typer.echo(_wrapped(check.fix, " " * (NAME_COLUMNS + 7) + "→ "))
    error = verdict(found)
    if as_json:
        typer.echo(json.dumps({"well": error is None, "checks": [asdict(one) for one in found]}, ensure_ascii=False))
    if error is not None:
        raise error
    if not as_json:
        typer.echo("all that is needed works.")


def _line(name: str, mark: str, words: str) -> str:
    """A line of at most 80 columns; what does not fit goes on below its beginning."""
    return _wrapped(words, f"{name:<{NAME_COLUMNS}} {mark:<6}")


def _wrapped(words: str, head: str) -> str:
    return textwrap.fill(words, COLUMNS, initial_indent=head, subsequent_indent=" " * len(head), break_on_hyphens=False)


def explain_command(
    code: Annotated[str | None, typer.Argument(help="Such as E_MASK_SIZE. Without it: every code.")] = None,
) -> None:
    """Explain a code that a command printed: what it means, where it comes from, what to do, how it looks.

    Without a code all are listed by the part of the package that they come from.
    """
    if code is None:
        _list_codes()
        return
    for one in explained(code):
        typer.echo(_explanation(one))


def _explanation(one: Explained) -> str:
    told = one.told
    statuses = [f"exit status {status}, {STATUS_WORDS[status]}" for status in told.statuses if status in STATUS_WORDS]
    parts = [f"{one.code}: {'; '.join([KINDS[one.code[0]], *statuses])}"]
    meanings = list(dict.fromkeys(filter(None, [told.title, *told.messages])))
    parts += _part("means", meanings[:MOST_SHOWN])
    parts += _part("comes up", told.doing[:MOST_SHOWN])
    parts += _part("what to do", told.remedies[:MOST_SHOWN] or [NOTHING_NEEDED if one.code[0] == "N" else LOOK])
    parts += _part("raised in", [", ".join(told.modules[:MOST_SHOWN])])
    return "\n".join([*parts, "prints as", textwrap.indent(one.example, "  "), ""])


def _part(name: str, lines: list[str]) -> list[str]:
    head = f"{name:<11} "
    return [_wrapped(line, head if number == 0 else " " * len(head)) for number, line in enumerate(lines)]


def _list_codes() -> None:
    known = every_code()
    rooms: dict[str, list[Explained]] = {}
    for one in known.values():
        rooms.setdefault(one.rooms[0], []).append(one)
    for room in sorted(rooms):
        typer.echo(f"{room}:")
        for one in rooms[room]:
            words = f"  {one.code:<26} {one.meaning}"
            typer.echo(words if len(words) <= COLUMNS else f"{words[: COLUMNS - 1].rstrip()}…")
    typer.echo(f"{len(known)} codes; `polypda explain CODE` explains one.")
