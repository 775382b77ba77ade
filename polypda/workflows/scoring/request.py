"""From options by their names to an evaluation: what `polypda evaluate` and :func:`polypda.evaluate` share."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path

from polypda.errors import UsageError, nearest
from polypda.evaluation.scoring.map_scale import MapScale
from polypda.training.progress import Progress
from polypda.workflows.runs.paths import Paths
from polypda.workflows.scoring.evaluate_predictions import evaluate_predictions
from polypda.workflows.scoring.scoring import PARTS, FrameList, Profile, ScoredPart

ERROR, AS_EMPTY = "error", "as-empty"
EVERY_FOLDER = ""
"""In place of a name: the scale of all folders."""


def evaluate(
    on: Sequence[str],
    paths: Paths,
    progress: Progress,
    *,
    run: Path | None = None,
    predictions: Sequence[tuple[str, Path]] = (),
    fuse: Sequence[Path] = (),
    profile: str = Profile.POLYPDA,
    frames: Path | None = None,
    scale: Sequence[tuple[str, str]] = (),
    missing: str = ERROR,
    trained_on: str | None = None,
    out: Path | None = None,
    allow_leakage: bool = False,
) -> Path:
    """Score a run, or maps made elsewhere, on parts of cohorts; returns the evaluation's folder.

    Args:
        on: COHORT[:PART] each. predictions: (name, folder) of maps. scale: (name or EVERY_FOLDER, scale) of their
            values. out: folder for an evaluation of maps; by default evaluations/NAME-on-COHORT-PART. The rest: see
            `polypda evaluate --help`.

    Raises: UsageError E_OPTION, E_PART, E_MODE_NAME, E_SCALE; DataError E_FRAMES_LIST; what
        :func:`~.evaluate_on.evaluate_run` and :func:`~.evaluate_predictions.evaluate_predictions` raise.
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
        from polypda.workflows.scoring.evaluate_on import evaluate_run  # what trains and draws: maps need none of it

        return evaluate_run(run, parts, paths, chosen, progress, fuse, allow_leakage=allow_leakage)
    _refuse({"--fuse": fuse, "--allow-leakage": allow_leakage}, "is for a run, not for maps")
    names = [name for name, _ in predictions]
    scales = _scales(scale, names)
    if len(parts) > 1:
        raise UsageError("E_PART", "maps are scored on one cohort at a time.", fix="give one --on.")
    return evaluate_predictions(
        predictions,
        parts[0],
        paths.data_root,
        out or Path("evaluations") / f"{'+'.join(names)}-on-{parts[0].name}",
        chosen,
        progress,
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
    if text not in list(Profile):
        raise UsageError("E_OPTION", f"there is no profile '{text}'.", fix=f"choose one of {', '.join(Profile)}.")
    return Profile(text)


def _missing(text: str) -> bool:
    if text not in (ERROR, AS_EMPTY):
        raise UsageError("E_OPTION", f"--missing {text} is neither error nor as-empty.", fix="--missing as-empty")
    return text == AS_EMPTY


def _listed(on: Sequence[str], frames: Path | None, *, maps: bool) -> list[ScoredPart]:
    """The parts, of listed frames alone; listed maps may be of any part where none is named."""
    parts = [ScoredPart.parse(text) for text in on]
    if frames is None:
        return parts
    if len(parts) > 1:
        raise UsageError("E_OPTION", "--frames lists frames of one cohort.", fix="give one --on.")
    named = on[0].rpartition(":")[2].lower() in PARTS
    part = replace(parts[0], listed=FrameList.read(frames))
    return [part if named or not maps else replace(part, part="all")]


def _scales(given: Sequence[tuple[str, str]], names: Sequence[str]) -> dict[str, MapScale]:
    found: dict[str, MapScale] = {}
    for name, scale in given:
        if name != EVERY_FOLDER and name not in names:
            what = f"there are no predictions '{name}'.{nearest(name, names)}"
            raise UsageError("E_SCALE", what, fix=f"--scale NAME=SCALE, NAME one of {', '.join(names)}.")
        found |= dict.fromkeys(names if name == EVERY_FOLDER else [name], MapScale.parse(scale))
    return found
