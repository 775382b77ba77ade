"""``polypda cache``: what is kept so that it need not be computed again, and how it is removed."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console
from rich.table import Table
from typer import Argument, Option

from polypda.cache import DAY_S, GB, KINDS, LIMIT_VARIABLE, entries, limit_bytes, remove_unfinished
from polypda.cli.console import without_own_folders
from polypda.files import clock_of
from polypda.workflows.runs.paths import default_cache

cache_app = typer.Typer(
    help="What is kept so that it need not be computed again; all of it may be removed at any time.",
    no_args_is_help=True,
)
CacheDir = Annotated[
    Path | None, Option("--cache-dir", envvar="POLYPDA_CACHE", help="The cache; default: that of the other commands.")
]
MB = 10**6


@cache_app.command("list")
def list_command(cache_dir: CacheDir = None) -> None:
    """Show how much is kept of each kind, and when it was last used."""
    folder = cache_dir or default_cache()
    kept, now = entries(folder), clock_of(folder)
    table = Table("kind", "what", "entries", "size", "last used", box=None, pad_edge=False)
    for kind in KINDS.values():
        own = [entry for entry in kept if entry.kind == kind.name]
        last = f"{(now - max(entry.used for entry in own)) / DAY_S:.1f} days ago" if own else "–"
        table.add_row(kind.name, kind.what, str(len(own)), _size(sum(entry.size for entry in own)), last)
    Console(width=120, highlight=False).print(table)
    total = _size(sum(entry.size for entry in kept))
    place = without_own_folders(str(folder))
    typer.echo(f"{total} of at most {_size(limit_bytes())} ({LIMIT_VARIABLE}) in {place}")


@cache_app.command("clear")
def clear_command(
    kind: Annotated[str | None, Argument(help=f"One of {', '.join(KINDS)}; default: all.")] = None,
    older_than: Annotated[
        float | None, Option("--older-than", min=0, metavar="DAYS", help="Only what was not used for so many days.")
    ] = None,
    cache_dir: CacheDir = None,
) -> None:
    """Remove what is kept. What a running command uses stays, and so does whatever is not ours."""
    folder = cache_dir or default_cache()
    before = clock_of(folder) - DAY_S * (older_than or 0)
    chosen = [entry for entry in entries(folder, kind) if older_than is None or entry.used < before]
    removed = [entry for entry in chosen if entry.remove()]
    remove_unfinished(folder)
    typer.echo(
        f"removed {len(removed)} entries ({_size(sum(entry.size for entry in removed))}) from "
        f"{without_own_folders(str(folder))}"
    )
    if len(removed) < len(chosen):
        typer.echo(f"{len(chosen) - len(removed)} are in use by running commands and stay.")


def _size(count: int) -> str:
    return f"{count / GB:.1f} GB" if count >= GB else f"{count / MB:.1f} MB"
