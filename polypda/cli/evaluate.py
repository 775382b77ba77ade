"""`polypda evaluate`: score a finished run, or maps that another tool made, on a cohort."""

from __future__ import annotations

import sys
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from polypda.cli.configuration import DataRoot, default_cache
from polypda.errors import UsageError, nearest
from polypda.workflows.runs.paths import Paths

if TYPE_CHECKING:
    from polypda.evaluation.scoring.map_scale import MapScale
    from polypda.workflows.scoring.scoring import Profile, ScoredPart

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

    parts = _listed(on, frames, maps=bool(predictions))
    chosen, as_empty = _profile(profile), _missing(missing)
    if (run is None) == (not predictions):
        raise UsageError(
            "E_OPTION", "give either a run folder or --predictions.", fix="e.g. polypda evaluate RUN --on kvasir"
        )
    if run is not None:
        given = {"--trained-on": trained_on, "--out": out, "--missing": as_empty, "--scale": scale}
        _refuse(given, "is for --predictions, not for a run")
        paths = Paths(data_root, cache_dir or default_cache())
        folder = _of_run(run, parts, paths, chosen, fuse or [], allow_leakage=allow_leakage)
    else:
        _refuse({"--fuse": fuse, "--allow-leakage": allow_leakage}, "is for a run, not for maps")
        named = [_named(text) for text in predictions or []]
        scales = _scales(scale or [], [name for name, _ in named])
        folder = _of_maps(named, scales, parts, data_root, out, chosen, trained_on, as_empty=as_empty)
    print((folder / "centers.md").read_text(encoding="utf-8"), file=sys.stderr)
    print(folder)


def _of_run(
    run: Path, parts: list[ScoredPart], paths: Paths, profile: Profile, fuse: list[Path], *, allow_leakage: bool
) -> Path:
    from polypda.cli.console import terminal_progress
    from polypda.workflows.scoring.evaluate_on import evaluate_run

    return evaluate_run(run, parts, paths, profile, terminal_progress(), fuse, allow_leakage=allow_leakage)


def _of_maps(
    named: list[tuple[str, Path]],
    scales: Mapping[str, MapScale],
    parts: list[ScoredPart],
    data_root: Path,
    out: Path | None,
    profile: Profile,
    trained_on: str | None,
    *,
    as_empty: bool,
) -> Path:
    from polypda.cli.console import terminal_progress
    from polypda.workflows.scoring.evaluate_predictions import evaluate_predictions

    if len(parts) > 1:
        raise UsageError("E_PART", "maps are scored on one cohort at a time.", fix="give one --on.")
    folder = out or Path("evaluations") / f"{'+'.join(name for name, _ in named)}-on-{parts[0].name}"
    return evaluate_predictions(
        named,
        parts[0],
        data_root,
        folder,
        profile,
        terminal_progress(),
        trained_on=trained_on,
        missing_as_empty=as_empty,
        scales=scales,
    )


def _refuse(given: Mapping[str, object], why: str) -> None:
    """Raise for the first option that was given and would be ignored."""
    for option, value in given.items():
        if value:
            raise UsageError("E_OPTION", f"{option} {why}.", fix="leave it out.")


def _profile(text: str) -> Profile:
    from polypda.workflows.scoring.scoring import Profile

    if text not in list(Profile):
        raise UsageError("E_OPTION", f"there is no profile '{text}'.", fix=f"choose one of {', '.join(Profile)}.")
    return Profile(text)


def _missing(text: str) -> bool:
    if text not in ("error", "as-empty"):
        raise UsageError("E_OPTION", f"--missing {text} is neither error nor as-empty.", fix="--missing as-empty")
    return text == "as-empty"


def _listed(on: list[str], frames: Path | None, *, maps: bool) -> list[ScoredPart]:
    """The parts, of listed frames alone; listed maps may be of any part where none is named.

    Raises: UsageError E_OPTION, E_PART, E_MODE_NAME; DataError E_FRAMES_LIST.
    """
    from polypda.workflows.scoring.scoring import PARTS, FrameList, ScoredPart

    parts = [ScoredPart.parse(text) for text in on]
    if frames is None:
        return parts
    if len(parts) > 1:
        raise UsageError("E_OPTION", "--frames lists frames of one cohort.", fix="give one --on.")
    named = on[0].rpartition(":")[2].lower() in PARTS
    part = replace(parts[0], listed=FrameList.read(frames))
    return [part if named or not maps else replace(part, part="all")]


def _scales(texts: list[str], names: list[str]) -> dict[str, MapScale]:
    """Name → scale; one without a name is that of every folder. Raises: UsageError E_SCALE."""
    from polypda.evaluation.scoring.map_scale import MapScale

    found: dict[str, MapScale] = {}
    for text in texts:
        name, equals, scale = text.rpartition("=")
        if equals and name not in names:
            what = f"there are no predictions '{name}'.{nearest(name, names)}"
            raise UsageError("E_SCALE", what, fix=f"--scale NAME=SCALE, NAME one of {', '.join(names)}.")
        found |= dict.fromkeys([name] if equals else names, MapScale.parse(scale))
    return found


def _named(text: str) -> tuple[str, Path]:
    name, equals, folder = text.partition("=")
    if not equals or not name:
        return Path(text).resolve().name, Path(text)
    if "/" in name or "\\" in name or name.startswith("."):
        raise UsageError("E_PREDICTIONS_NAME", f"'{name}' cannot name a model.", fix="--predictions NAME=FOLDER")
    return name, Path(folder)
