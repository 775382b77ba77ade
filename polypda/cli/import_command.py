"""``polypda cohorts import``: thin; parses, calls the workflow, prints the ledger."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer
from rich.console import Console
from rich.table import Table
from rich.text import Text
from typer.core import TyperCommand

from polypda.cli.configuration import OptionalDataRoot
from polypda.cli.console import import_progress, wide_console
from polypda.cli.deidentify_options import (
    BlankRegion,
    Crosswalk,
    Deidentify,
    DeidentifyInsets,
    Insets,
    KeepWithoutField,
    KeyFile,
    treatment_for,
)
from polypda.errors import DATA, Interrupted, UsageError
from polypda.processes import errors_of_signals

if TYPE_CHECKING:
    from polypda.importing.contract import LedgerLine
    from polypda.importing.writing.documents import ImportSummary
    from polypda.workflows.cohorts.import_cohort import ImportRequest, ImportResult

LONGEST_ORIGIN = 48
Opt = typer.Option


class ImportCommand(TyperCommand):
    """`polypda cohorts import`: its help names the formats that there are, which are asked for only then."""

    def format_help(self, context: Any, formatter: Any) -> None:
        from polypda.importing.registry import format_names

        named = next(parameter for parameter in self.params if parameter.name == "format_name")
        named.help = f"{'|'.join(format_names())}."  # type: ignore[attr-defined]
        super().format_help(context, formatter)


def import_command(
    source: Annotated[Path, typer.Argument(metavar="SRC", help="Folder, archive or file. It is never written to.")],
    cohort_id: Annotated[str, Opt("--as", metavar="ID", help="The cohort's id, one of the catalogue's or a new one.")],
    format_name: Annotated[str, Opt("--format", metavar="FORMAT", help="Name of the format.")] = "auto",
    out: Annotated[Path | None, Opt(help="Data root for the cohort's folder (default: --data-root).")] = None,
    data_root: OptionalDataRoot = None,
    option: Annotated[
        list[str] | None, Opt("--option", "-O", metavar="NAME=VALUE", help="What a format alone understands.")
    ] = None,
    update: Annotated[bool, Opt("--update", help="Add new frames to a cohort that is there.")] = False,
    strict: Annotated[bool, Opt("--strict", help="Write nothing unless everything is taken.")] = False,
    dry_run: Annotated[bool, Opt("--dry-run", help="Read everything and print the ledger, write nothing.")] = False,
    deinterlace: Annotated[
        bool, Opt("--deinterlace", help="Keep one field of pictures that hold two moments (films: -O deinterlace=…).")
    ] = False,
    title: Annotated[str | None, Opt(help="For the manifest: the cohort's name.")] = None,
    centre: Annotated[str | None, Opt(help="For the manifest.")] = None,
    city: Annotated[str | None, Opt(help="For the manifest.")] = None,
    country: Annotated[str | None, Opt(help="For the manifest.")] = None,
    vendor: Annotated[str | None, Opt(help="For the manifest: who made the scope, e.g. Olympus.")] = None,
    processor: Annotated[str | None, Opt(help="For the manifest, e.g. CV-290.")] = None,
    endoscope: Annotated[str | None, Opt(help="For the manifest.")] = None,
    licence: Annotated[str | None, Opt(help="For the manifest.")] = None,
    deidentify: Deidentify = False,
    deidentify_insets: DeidentifyInsets = Insets.IGNORE,
    keep_without_field: KeepWithoutField = False,
    blank_region: BlankRegion = None,
    key: KeyFile = None,
    crosswalk: Crosswalk = None,
) -> None:
    """Import frames and labels of other tools as a cohort; exit status 3 when something was left out."""
    from polypda.importing.writing.documents import Details
    from polypda.workflows.cohorts.import_cohort import ImportRequest, check_request, import_cohort

    request = ImportRequest(
        source=source,
        cohort_id=cohort_id,
        root=_root(out, data_root),
        format=format_name,
        options=_options(option or ()),
        details=Details(title, centre, city, country, vendor, processor, endoscope, licence),
        update=update,
        strict=strict,
        dry_run=dry_run,
        deinterlace=deinterlace,
    )
    check_request(request)  # before a key is made for it
    treatment = treatment_for(
        request,
        deidentify=deidentify,
        insets=deidentify_insets,
        keep_without_field=keep_without_field,
        regions=blank_region or (),
        key=key,
        crosswalk=crosswalk,
    )
    with _stoppable(request), import_progress(f"reading {source.name}") as progress:
        result = import_cohort(request, treatment, on_read=progress.files, on_advance=progress.advance)
    print_ledger(result)
    if result.folder is not None:
        typer.echo(str(result.folder))
    if not result.summary.everything_taken or (result.folder is None and not dry_run):
        raise typer.Exit(DATA)


@contextmanager
def _stoppable(request: ImportRequest) -> Iterator[None]:
    """Asked to end, with a word on what is left."""

    from polypda.importing.writing.staging import staging_folder

    try:
        with errors_of_signals():
            yield
    except KeyboardInterrupt as error:
        kept = staging_folder(request.root, request.cohort_id).exists()
        fix = "give the same command again to go on." if kept else "nothing was written; give the command again."
        raise Interrupted("E_INTERRUPTED", "stopped.", fix=fix) from error


def _root(out: Path | None, data_root: Path | None) -> Path:
    root = out or data_root
    if root is None:
        raise UsageError("E_OPTION", "no data root to write to.", fix="name one with --out (or POLYPDA_DATA).")
    return root


def _options(pairs: Sequence[str]) -> dict[str, str]:
    options = {}
    for pair in pairs:
        name, sign, value = pair.partition("=")
        if not sign or not name.strip():
            raise UsageError("E_OPTION", f"-O {pair} has no value.", fix="write -O NAME=VALUE.")
        options[name.strip()] = value.strip()
    return options


def print_ledger(result: ImportResult) -> None:
    """What was taken, and what was left out or remarked, by code, with an example and a fix."""
    console, summary = wide_console(), result.summary
    labels = ", ".join(f"{count} {state}" for state, count in summary.labels.items())
    verb = "taken" if result.folder is not None else "could be taken"
    console.print(
        f"{summary.cohort}: {summary.files} files read as {summary.format}, {summary.taken} frames {verb}"
        + (f" ({labels})." if labels else ".")
    )
    table = Table(box=None, padding=(0, 1, 0, 0), header_style="bold")
    for name in ("", "code", "count", "example", "what, and what to do"):
        table.add_column(name, no_wrap=name in ("", "code"), justify="right" if name == "count" else "left")
    for group in _groups(summary.lines):
        first = group[0]
        kind = Text("taken", style="dim") if first.taken else Text("left out", style="bold red")
        told = Text.assemble(first.what, (f" {first.fix}" if first.fix else "", "dim"))
        table.add_row(kind, first.code, str(len(group)), Text(_shortened(first.origin)), told)
    if table.row_count:
        console.print(table)
    _print_end(console, summary, result)


def _print_end(console: Console, summary: ImportSummary, result: ImportResult) -> None:
    if summary.unused:
        told = ", ".join(f"{count} {suffix}" for suffix, count in sorted(summary.unused.items()))
        why = "of no use to the format, or beside a picture that was left out"
        console.print(Text(f"Not looked at ({why}): {told}.", style="dim"))
    left = sum(summary.left_out.values())
    if left:
        console.print(f"{left} left out. Every line is in import.json." if result.folder else f"{left} left out.")
    if result.folder is None:
        console.print("Nothing was written.")


def _groups(lines: Sequence[LedgerLine]) -> list[list[LedgerLine]]:
    """Lines of one code each; what was left out first."""
    groups: dict[tuple[bool, str], list[LedgerLine]] = {}
    for line in sorted(lines, key=lambda line: line.taken):
        groups.setdefault((line.taken, line.code), []).append(line)
    return list(groups.values())


def _shortened(origin: str) -> str:
    return origin if len(origin) <= LONGEST_ORIGIN else f"…{origin[1 - LONGEST_ORIGIN :]}"
