"""Runs on disk: which lie in a folder, where each stands, whether its files are what was written, and what may go."""

from __future__ import annotations

import json
import os
import shutil
import sys
from collections.abc import Iterable, Iterator
from contextlib import suppress
from dataclasses import asdict, dataclass
from pathlib import Path

from polypda.errors import DataError, PolypdaError
from polypda.files import leftovers, remove_leftovers, write_json
from polypda.integrity import CHECKSUMS, Fault, beside, fault_beside, faults, is_listed, recorded_names, seal
from polypda.locks import Holder, break_lock, holder_of, locked
from polypda.review.record import REVIEWS
from polypda.training.checkpoints import DONE, META, STATE, Checkpoint, keep_snapshot, list_checkpoints
from polypda.training.config import AdaptConfig, Keep
from polypda.training.progress import EVENTS
from polypda.training.run_folder import CONFIG, NOT_KEPT, ROUND, STATUS, NotKept, RunFolder
from polypda.training.selectors import SELECTION, set_aside
from polypda.workflows.runs.stages import ADABN, ORACLE, SOURCE_ONLY, START
from polypda.workflows.runs.trained_models import INITIAL, part_file, trained_parts

DEEPEST = 3
"""Runs are looked for so many folders down: those of a matrix lie in one of their own."""
DRAWN_IN = "relabel"
"""How folders of a review's record begin that people draw in."""
UNDER_WAY = ("started", "training", "evaluating")


@dataclass(frozen=True)
class RunSummary:
    """Where a run stands. state: as STATUS.json says, or that its process is gone. hands_out: adapted or source; ""
    where nothing was decided. verdict: the report's first sentence. size: bytes."""

    folder: Path
    state: str
    pair: str
    method: str
    seed: str
    hands_out: str
    verdict: str
    size: int
    updated: str


@dataclass(frozen=True)
class Removable:
    """Something that may go. what: in words. size: bytes."""

    path: Path
    what: str
    size: int


def runs_below(folder: Path) -> list[Path]:
    """The run folders in a folder, or the folder itself where it is one. Raises: DataError E_RUN_MISSING."""
    if not folder.is_dir():
        raise DataError("E_RUN_MISSING", "there is no such folder.", where=folder, fix="check the path.")
    return list(_runs(folder, DEEPEST))


def _runs(folder: Path, deeper: int) -> Iterator[Path]:
    if (folder / CONFIG).is_file() and (folder / STATUS).exists():
        yield folder
    elif deeper:
        for path in sorted(folder.iterdir()):
            if path.is_dir() and not path.is_symlink() and not path.name.startswith("."):
                yield from _runs(path, deeper - 1)


def summary(folder: Path) -> RunSummary:
    """Where a run stands; what cannot be read is said in its place."""
    run = RunFolder(folder)
    pair = method = seed = "?"
    with suppress(PolypdaError, OSError):
        config = run.config()
        pair, method, seed = f"{config.source} → {config.target}", config.method, str(config.seed)
    state, updated, verdict, hands_out = "STATUS.json is damaged", "", "", ""
    with suppress(PolypdaError):
        status = run.status()
        state, updated, verdict = (str(status.get(name, "")) for name in ("state", "updated", "verdict"))
        if state in UNDER_WAY and holder(folder) is None:
            state = "stopped (its process is gone)"
    with suppress(OSError, ValueError):
        chosen = json.loads((folder / SELECTION).read_text(encoding="utf-8"))
        hands_out = str(chosen.get("verdict", ""))
    return RunSummary(folder, state, pair, method, seed, hands_out, verdict, _size(folder), updated)


def holder(folder: Path) -> Holder | None:
    """Who works in a run; None where nobody does, or its lock is damaged."""
    with suppress(PolypdaError):
        return holder_of(folder)
    return None


def stage_lines(folder: Path) -> Iterator[str]:
    """Of each stage of a run: its last checkpoint, and whether it is finished."""
    gone = RunFolder(folder).not_kept().stages
    for stage in RunFolder(folder).stages():
        found = list_checkpoints(stage)
        state = "finished" if (stage / DONE).is_file() else "under way"
        kept = "its checkpoints were not kept" if stage.name in gone else "no checkpoint"
        last = f"last checkpoint after step {found[-1].step}" if found else kept
        yield f"{stage.name}: {state}, {last}"


def problems(path: Path) -> list[Fault]:
    """What is wrong with a run, with another folder that has a list of checksums (a report, a source package), or with
    a file that has its checksum beside it.

    Raises: DataError E_RUN_MISSING, E_NO_CHECKSUMS where nothing was recorded that could be compared.
    """
    if path.is_file():
        return _of_file(path)
    if not path.is_dir():
        raise DataError("E_RUN_MISSING", "there is no such folder.", where=path, fix="check the path.")
    if not is_listed(path):
        raise DataError(
            "E_NO_CHECKSUMS",
            "nothing is recorded here that its files could be compared with: it was made by an earlier version.",
            where=path,
            fix=f"`polypda adapt --resume {path}` records a run's files as they are.",
        )
    if not (path / CONFIG).is_file() or CONFIG not in _listed(path):
        return list(_caught(path))
    found = list(_of_run_itself(path))
    gone = RunFolder(path).not_kept().stages
    for stage in RunFolder(path).stages():
        found += _of_stage(stage, modelled=stage.name not in gone)
    for folder in _results(path):
        found += list(_caught(folder)) if is_listed(folder) else [Fault(folder / CHECKSUMS, "is gone")]
    for folder in (path / REVIEWS).rglob("*"):
        of_record = folder.is_dir() and not any(part.startswith(DRAWN_IN) for part in folder.parts)
        found += _caught(folder) if of_record and is_listed(folder) else []
    return found


def _listed(folder: Path) -> list[str]:
    with suppress(DataError):
        return recorded_names(folder)
    return [CONFIG]


def _of_run_itself(folder: Path) -> Iterator[Fault]:
    run = RunFolder(folder)
    try:
        yield from run.faults()
        yield from (fault for fault in faults(folder, may_lack=_listed(folder)) if fault.path.name == STATUS)
    except DataError as error:
        yield Fault(folder / CHECKSUMS, error.what.rstrip("."))


def _of_stage(stage: Path, *, modelled: bool) -> list[Fault]:
    """Of a stage under way its log grows, and what is missing is made again. modelled: whether its checkpoints stay."""
    done, found = (stage / DONE).is_file(), []
    if is_listed(stage):
        may_lack = () if done else (DONE, EVENTS, *_listed(stage))
        found += [fault for fault in _caught(stage, may_lack) if done or fault.path.name != EVENTS]
    elif done:
        found.append(Fault(stage / CHECKSUMS, "is gone"))
    checkpoints = list_checkpoints(stage)
    if done and modelled and not checkpoints:
        found.append(Fault(stage / DONE, "says that the stage is finished, but its checkpoints are gone"))
    for one in checkpoints:
        if not is_listed(one.folder):
            found.append(Fault(one.folder / CHECKSUMS, "is gone"))
            continue
        kept = (META, one.segmenter.name)
        found += _caught(
            one.folder, () if one.resumable else [name for name in _listed(one.folder) if name not in kept]
        )
    return found


def _of_file(path: Path) -> list[Fault]:
    if not beside(path).is_file():
        raise DataError(
            "E_NO_CHECKSUMS",
            "there is no checksum beside this file.",
            where=path,
            fix="give a run folder, a source package, a report, or a model that `polypda export` wrote.",
        )
    fault = fault_beside(path)
    return [fault] if fault else []


def _caught(folder: Path, may_lack: Iterable[str] = ()) -> list[Fault]:
    """The faults of a folder; a damaged list is one."""
    try:
        return list(faults(folder, may_lack=may_lack))
    except DataError as error:
        return [Fault(folder / CHECKSUMS, error.what.rstrip("."))]


def _results(folder: Path) -> list[Path]:
    """Folders that were written whole: reports and evaluations."""
    evaluations = folder / "evaluations"
    later = sorted(path for path in evaluations.iterdir() if path.is_dir()) if evaluations.is_dir() else []
    named = [folder / name for name in ("report", "unscored", "curves")]
    return [path for path in (*named, *later) if path.is_dir() and not path.name.startswith(".")]


def adopt(run: RunFolder) -> bool:
    """Record the files of a run of an earlier version as they are; whether it was one.

    Raises: OSError; DataError E_CHECKSUMS.
    """
    if is_listed(run.folder):
        return False
    for stage in run.stages():
        for checkpoint in list_checkpoints(stage):
            seal(checkpoint.folder)
        seal(stage, deep=False)
    for folder in _results(run.folder):
        seal(folder)
    seal(run.folder, deep=False)
    return True


def removable(folder: Path, *, models: bool = False) -> list[Removable]:
    """What may go of a run: what killed processes left and, once it is complete, what only serves to train on.

    models: models that nothing needs any more, too (:class:`Keep`).
    """
    run = RunFolder(folder)
    found = [
        Removable(path, "left by a process that is gone", _size(path))
        for place in (folder, *run.stages(), folder / "evaluations")
        for path in leftovers(place)
    ]
    with suppress(PolypdaError):
        if run.status().get("state") == "complete":
            found += [
                Removable(one.folder / STATE, "state to train on with", _size_beside_model(one))
                for one in _whole_checkpoints(run)
            ]
            if models:
                found += [Removable(path, "a model that is not needed", _size(path)) for path in _spare(run)]
    return found


def clean(folder: Path, *, unlock: bool = False, models: bool = False) -> list[Removable]:
    """Remove what :func:`removable` names; results, records and the models that are used stay. unlock: the user says
    that whoever holds the run is gone.

    Raises: DataError E_RUN_LOCKED; OSError.
    """
    if unlock:
        break_lock(folder)
    with locked(folder, "runs clean"):
        found = removable(folder, models=models)
        for place in (folder, *RunFolder(folder).stages(), folder / "evaluations"):
            remove_leftovers(place)
        if any(one.path.name == STATE for one in found):
            drop_states(RunFolder(folder))
        if models and found:
            drop_models(RunFolder(folder))
    return found


def settle(run: RunFolder) -> None:
    """Of a complete run, remove what it is not to keep. Raises: as :func:`drop_states`."""
    drop_states(run)
    if run.config().keep is Keep.USED:
        drop_models(run)


def drop_models(run: RunFolder) -> None:
    """Of a complete run, remove models that serve nothing any more, and note which.

    What is handed out stays, its controls, the start, which other runs reuse, and the chosen checkpoint where the run
    hands out its control instead. Raises: OSError; DataError E_RUN_CONFIG.
    """
    config, spare = run.config(), _spare(run)
    if not spare:
        return
    files = tuple(path.name for path in spare if path.parent == run.folder)
    parts = tuple(part for part in trained_parts(config) if part_file(part) in files)
    # first the note: what is gone without it would be a loss
    gone = run.not_kept() | NotKept(parts, tuple(_spare_stages(run, config)), files)
    write_json(run.folder / NOT_KEPT, asdict(gone), recorded=True)
    for path in spare:
        shutil.rmtree(path) if path.is_dir() else path.unlink()


def _spare(run: RunFolder) -> list[Path]:
    """Models that a complete run can do without: files, and folders of checkpoints."""
    config = run.config()
    named = [*map(part_file, trained_parts(config)), *([INITIAL] if config.source_package is None else [])]
    files = [run.folder / name for name in named if (run.folder / name).is_file()]
    spare = list(_spare_stages(run, config).values())
    return [*files, *(one.folder for found in spare for one in found)]


def _spare_stages(run: RunFolder, config: AdaptConfig) -> dict[str, list[Checkpoint]]:
    """Name of a stage → checkpoints of it that can go."""
    found = {}
    judged = _judged(run, config) if set_aside(run.folder) else ""
    for stage in run.stages():
        checkpoints = list_checkpoints(stage)
        if stage.name == judged:
            step = json.loads((run.folder / SELECTION).read_text(encoding="utf-8"))["step"]
            checkpoints = [one for one in checkpoints if one.step != step]
        if checkpoints and stage.name not in (START, SOURCE_ONLY, ADABN, ORACLE):
            found[stage.name] = checkpoints
    return found


def _judged(run: RunFolder, config: AdaptConfig) -> str:
    """The stage whose checkpoints were judged; "" where there was none. Of rounds the last that was trained: labels of
    the next one may have raised an alarm, and ended them."""
    names = [stage.name for stage in run.stages() if stage.name.partition(ROUND)[0] == config.method]
    trained = [name for name in names if (run.stage(name) / DONE).is_file()]
    return max(trained, key=lambda name: int(name.partition(ROUND)[2] or sys.maxsize), default="")


def drop_states(run: RunFolder) -> None:
    """Of a complete run, remove what only serves to train on: its models, figures and records stay.

    Of the method every snapshot stays, from which its checkpoint was chosen; of any other stage the last alone.
    Raises: OSError; DataError E_RUN_CONFIG.
    """
    judged = _judged(run, run.config())
    for stage in run.stages():
        found = list_checkpoints(stage)
        for checkpoint in found:
            if checkpoint is found[-1] or stage.name == judged:
                keep_snapshot(checkpoint)
            else:
                shutil.rmtree(checkpoint.folder)


def _whole_checkpoints(run: RunFolder) -> Iterator[Checkpoint]:
    for stage in run.stages():
        yield from (one for one in list_checkpoints(stage) if one.resumable)


def _size_beside_model(checkpoint: Checkpoint) -> int:
    kept = (checkpoint.segmenter.name, META, CHECKSUMS)
    return sum(_size(path) for path in checkpoint.folder.iterdir() if path.name not in kept)


def _size(path: Path) -> int:
    if not path.is_dir():
        with suppress(OSError):
            return path.lstat().st_size
        return 0
    return sum(_size(Path(entry.path)) for entry in os.scandir(path) if not entry.is_symlink())
