"""`polypda evaluate`: score a finished run, or maps that another tool made, on a cohort."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from polypda.cli.configuration import default_cache
from polypda.cli.data_root import DataRoot
from polypda.errors import UsageError
from polypda.workflows.places import Places

if TYPE_CHECKING:
    from polypda.workflows.scoring import Profile

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
    from polypda.cli.progress import terminal_progress
    from polypda.workflows.evaluate_on import evaluate_run
    from polypda.workflows.evaluate_predictions import evaluate_predictions
    from polypda.workflows.scoring import ScoredPart

    parts = [ScoredPart.parse(text) for text in on]
    chosen, as_empty = _profile(profile), _missing(missing)
    if (run is None) == (not predictions):
        raise UsageError(
            "E_OPTION", "give either a run folder or --predictions.", fix="e.g. polypda evaluate RUN --on kvasir"
        )
    if run is not None:
        if trained_on or out or as_empty:
            raise UsageError(
                "E_OPTION", "--trained-on, --out and --missing are for --predictions.", fix="leave them out."
            )
        places = Places(data_root, cache_dir or default_cache())
        folder = evaluate_run(run, parts, places, chosen, terminal_progress(), fuse or [], allow_leakage=allow_leakage)
    else:
        if fuse or allow_leakage:
            option = "--fuse" if fuse else "--allow-leakage"
            raise UsageError("E_OPTION", f"{option} is for runs, not for maps.", fix="leave it out.")
        if len(parts) > 1:
            raise UsageError("E_PART", "maps are scored on one cohort at a time.", fix="give one --on.")
        named = [_named(text) for text in predictions or []]
        folder = evaluate_predictions(
            named,
            parts[0],
            data_root,
            out or Path("evaluations") / f"{'+'.join(name for name, _ in named)}-on-{parts[0].name}",
            chosen,
            terminal_progress(),
            trained_on=trained_on,
            missing_as_empty=as_empty,
        )
    print((folder / "centers.md").read_text(encoding="utf-8"), file=sys.stderr)
    print(folder)


def _profile(text: str) -> Profile:
    from polypda.workflows.scoring import Profile

    if text not in list(Profile):
        raise UsageError("E_OPTION", f"there is no profile '{text}'.", fix=f"choose one of {', '.join(Profile)}.")
    return Profile(text)


def _missing(text: str) -> bool:
    if text not in ("error", "as-empty"):
        raise UsageError("E_OPTION", f"--missing {text} is neither error nor as-empty.", fix="--missing as-empty")
    return text == "as-empty"


def _named(text: str) -> tuple[str, Path]:
    name, equals, folder = text.partition("=")
    if not equals or not name:
        return Path(text).resolve().name, Path(text)
    if "/" in name or "\\" in name or name.startswith("."):
        raise UsageError("E_PREDICTIONS_NAME", f"'{name}' cannot name a model.", fix="--predictions NAME=FOLDER")
    return name, Path(folder)
