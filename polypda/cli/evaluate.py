"""`polypda evaluate`: score a finished run, or maps that another tool made, on a cohort."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Annotated

import typer

from polypda.cli.configuration import DataRoot
from polypda.errors import UsageError
from polypda.files import require_run
from polypda.workflows.runs.early_checks import check_cohorts
from polypda.workflows.runs.paths import Paths, default_cache

Opt = typer.Option


def evaluate_command(
    on: Annotated[
        list[str],
        Opt(help="COHORT[:PART] to score on, PART one of test (default), train, validation, all; repeatable."),
    ],
    run: Annotated[Path | None, typer.Argument(help="A run folder of `polypda adapt`.")] = None,
    predictions: Annotated[
        list[str] | None,
        Opt(
            help="[NAME=]FOLDER of maps instead of a run (PNG or NPY, named as the frames); repeatable. "
            "What is named source-only is what the others are compared with."
        ),
    ] = None,
    fuse: Annotated[
        list[Path] | None,
        Opt(help="Another run of the same pair: its adapted model is fused with this run's; repeatable."),
    ] = None,
    profile: Annotated[str, Opt(help="polypda, or pranet2020: the legacy protocol beside it.")] = "polypda",
    frames: Annotated[
        Path | None, Opt(help="Text file of frame names, one a line: score exactly these frames of the part.")
    ] = None,
    scale: Annotated[
        list[str] | None,
        Opt(
            help="[NAME=]SCALE of the maps' values where it is ambiguous: 0-1, 0-100, 0-255, 0-65535, 0-N, or class:K "
            "(values that are polyp); repeatable."
        ),
    ] = None,
    missing: Annotated[str, Opt(help="A frame without a map: error, or as-empty.")] = "error",
    trained_on: Annotated[str | None, Opt(help="Cohort that the maps' models learnt, for the record.")] = None,
    out: Annotated[Path | None, Opt(help="Folder for maps. Default: evaluations/NAME-on-COHORT-PART.")] = None,
    allow_leakage: Annotated[
        bool, Opt("--allow-leakage", help="Score though frames depend on learnt ones; every report says so.")
    ] = False,
    data_root: DataRoot = Path("data"),
    cache_dir: Annotated[Path | None, Opt(envvar="POLYPDA_CACHE", help="Rendered phantoms.")] = None,
) -> None:
    """Score every model of a run, or maps made elsewhere, at native resolution.

    Writes cases.csv, evaluation.json and the per-centre tables; `polypda report` makes its page of them. The last line
    printed is the folder. Frames that a model of the run learnt are refused.
    """
    check_cohorts(on, data_root)
    if run is not None and not (predictions or scale):
        require_run(run)
    from polypda.cli.console import terminal_progress
    from polypda.workflows.scoring.request import evaluate

    folder = evaluate(
        on,
        Paths(data_root, cache_dir or default_cache()),
        terminal_progress(),
        run=run,
        predictions=[_named(text) for text in predictions or []],
        fuse=fuse or [],
        profile=profile,
        frames=frames,
        scale=[_scale(text) for text in scale or []],
        missing=missing,
        trained_on=trained_on,
        out=out,
        allow_leakage=allow_leakage,
    )
    _print_tables(folder)
    print(folder)


def _print_tables(folder: Path) -> None:
    """The main figures of an evaluation on standard error, within the terminal's width: words wrap, numbers never."""
    import pandas as pd
    from rich.console import Console
    from rich.table import Table

    from polypda.reporting.tables.result_tables import terminal_tables

    document = json.loads((folder / "centers.json").read_text(encoding="utf-8"))
    console = Console(stderr=True, highlight=False, markup=False, emoji=False)
    for title, table in terminal_tables(pd.DataFrame(document["rows"]).fillna(float("nan"))):
        drawn = Table(box=None, padding=(0, 2, 0, 0), pad_edge=False)
        for index, heading in enumerate(table.headings):
            words = index < table.left
            drawn.add_column(heading, justify="left" if words else "right", no_wrap=not words, overflow="fold")
        for row in table.rows:
            drawn.add_row(*row)
        console.print(f"\n{title}", style="bold")
        console.print(drawn)
    console.print()
    for note in filter(None, [document["stated"].get("leakage"), *document["notes"]]):
        console.print(f"- {note}", soft_wrap=True)
    console.print(f"All figures: {folder / 'centers.md'}; a page of them: polypda report {folder}", soft_wrap=True)


def _scale(text: str) -> tuple[str, str]:
    """Name and scale; the name is empty where it is that of every folder."""
    name, _, scale = text.rpartition("=")
    return name, scale


def _named(text: str) -> tuple[str, Path]:
    name, equals, folder = text.partition("=")
    if not equals or not name:
        return Path(text).resolve().name, Path(text)
    if "/" in name or "\\" in name or name.startswith("."):
        raise UsageError("E_PREDICTIONS_NAME", f"'{name}' cannot name a model.", fix="--predictions NAME=FOLDER")
    return name, Path(folder)
