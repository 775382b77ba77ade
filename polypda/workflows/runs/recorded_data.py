"""What a run learnt, written once when it is created, and whether the data that are there now are still the same.

Of every frame its part, its groups and the content of its picture; of frames whose labels are learnt their label's
content too. A target's labels are looked at only where the run's configuration carries the permission.
"""

from __future__ import annotations

import hashlib
import io
import logging
from collections.abc import Collection, Iterator

import pandas as pd

from polypda.cohorts.catalogue import manifest_hash
from polypda.cohorts.frames import Frame, OpenedCohort, Split
from polypda.cohorts.image_files import name_some
from polypda.cohorts.sub_cohorts import file_name_of
from polypda.data.cache import content_hash, label_content
from polypda.data.labels import BoxSupervision, teaches
from polypda.errors import DataError
from polypda.files import write_json, write_table
from polypda.training.config import AdaptConfig
from polypda.training.criteria import ORACLE as ORACLE_RULE
from polypda.training.run_folder import RunFolder
from polypda.workflows.runs.cohort_pair import CohortPair
from polypda.workflows.runs.stages import adapts
from polypda.workflows.runs.trained_models import learns_target_labels, wants_oracle

log = logging.getLogger(__name__)
PLACE = ("cohort", "frame", "patient", "sequence", "split")
CONTENT = ("image_sha256", "ignore_sha256", "label_sha256")
"""Columns that records of earlier versions lack."""
LEARNT_OF_SOURCE = (Split.TRAIN, Split.VALIDATION)


def data_table(cohort: OpenedCohort, learnt: Collection[Split], boxes: BoxSupervision | None) -> pd.DataFrame:
    """One row per frame, all values text: its place (:data:`PLACE`) and the SHA-256 of its files (:data:`CONTENT`).

    learnt: parts whose labels are learnt; of other frames label_sha256 is empty, and no mask is opened.
    Raises: DataError E_FILE_UNREADABLE.
    """
    table = cohort.table()[list(PLACE)]
    trained_on = [frame.split in learnt and teaches(frame.label_state, boxes) for frame in cohort.frames]
    table["image_sha256"] = [content_hash(frame.image).hex() for frame in cohort.frames]
    table["ignore_sha256"] = [content_hash(frame.ignore).hex() if frame.ignore else "" for frame in cohort.frames]
    table["label_sha256"] = [
        _label_hash(frame) if known else "" for frame, known in zip(cohort.frames, trained_on, strict=True)
    ]
    return table


def data_tables(config: AdaptConfig, pair: CohortPair) -> dict[str, pd.DataFrame]:
    """Cohort → its table, of the cohorts of an adaptation whose frames are here."""
    boxes, parts = config.data.box_supervision, trained_target_parts(config)
    target = pair.labelled_target() if parts else pair.target
    tables = {} if pair.source is None else {pair.source.id: data_table(pair.source, LEARNT_OF_SOURCE, boxes)}
    return tables | {pair.target.id: data_table(target, parts, boxes)}


def trained_target_parts(config: AdaptConfig) -> frozenset[Split]:
    """Parts of the target whose labels a run learns or chooses by; none without the permission."""
    parts = set()
    if wants_oracle(config) or learns_target_labels(config):
        parts.add(Split.TRAIN)
    if config.selector == ORACLE_RULE and adapts(config.method):
        parts.add(Split.VALIDATION)
    return frozenset(parts)


def record_data(run: RunFolder, tables: dict[str, pd.DataFrame]) -> None:
    """Write what a new run learns: split-COHORT.csv and manifests.json. Raises: DataError E_WRITE_FAILED."""
    write_json(run.folder / "manifests.json", {cohort: manifest_hash(cohort) for cohort in tables})
    for cohort, table in tables.items():
        write_table(run.folder / f"split-{file_name_of(cohort)}.csv", table)


def require_recorded(run: RunFolder, tables: dict[str, pd.DataFrame]) -> None:
    """The data must be those that a run learnt. Raises: DataError E_DATA_CHANGED, E_RUN_INCOMPLETE."""
    for cohort, table in tables.items():
        if not run.split_text(cohort):
            raise DataError(
                "E_RUN_INCOMPLETE",
                f"the run was stopped before it recorded the frames of {cohort}; nothing was trained yet.",
                where=run.name,
                fix="remove the folder and start the run anew.",
            )
        if different := changes_since(run, cohort, table):
            raise DataError(
                "E_DATA_CHANGED",
                f"{cohort} is not what this run learnt: {different}.",
                where=run.name,
                fix="put the cohort back as it was, or start a new run; nothing of this one was changed.",
            )


def changes_since(run: RunFolder, cohort: str, now: pd.DataFrame) -> str:
    """How a cohort differs from what a run recorded of it, in words; empty where it does not.

    Of a record without contents (of an earlier version) frames and parts alone are compared, and the log says so.
    """
    text = run.split_text(cohort)
    if not text:
        return "none of its frames is recorded there"
    then = pd.read_csv(io.StringIO(text), dtype=str, keep_default_na=False)
    if not set(CONTENT) <= set(then.columns):
        log.warning(
            "%s: recorded without the content of %s's files; only frames and parts are compared", run.name, cohort
        )
        now = now[list(PLACE)]
    return "; ".join(_changes(then.set_index("frame"), now.set_index("frame")))


def _changes(then: pd.DataFrame, now: pd.DataFrame) -> Iterator[str]:
    """Both: one row per frame, by frame; of ``then`` the columns that ``now`` has are compared."""
    if added := [frame for frame in now.index if frame not in then.index]:
        yield _told(added, "added")
    if removed := [frame for frame in then.index if frame not in now.index]:
        yield _told(removed, "removed")
    kept = [frame for frame in now.index if frame in then.index]
    moved = _differing(then, now, kept, "split")
    if moved:
        parts = [f"{frame} ({then['split'][frame]} → {now['split'][frame]})" for frame in moved]
        yield _told(parts, "moved to another part of the split")
    if changed := _differing(then, now, kept, "image_sha256", "ignore_sha256"):
        yield _told(changed, "with another picture")
    stayed = [frame for frame in kept if frame not in moved]  # what is learnt of a label follows from the part
    if changed := _differing(then, now, stayed, "label_sha256"):
        yield _told(changed, "with another label")
    if changed := _differing(then, now, kept, "patient", "sequence"):
        yield _told(changed, "with another patient or sequence")


def _differing(then: pd.DataFrame, now: pd.DataFrame, frames: list[str], *columns: str) -> list[str]:
    known = [column for column in columns if column in now.columns]
    here, there = now.loc[frames, known].to_numpy(), then.loc[frames, known].to_numpy()
    return [frame for frame, same in zip(frames, (here == there).all(axis=1), strict=True) if not same]


def _told(frames: list[str], what: str) -> str:
    return f"{len(frames)} frame{'' if len(frames) == 1 else 's'} {what}: {name_some(frames)}"


def _label_hash(frame: Frame) -> str:
    return hashlib.sha256(frame.label_state.value.encode() + b"\0" + label_content(frame)).hexdigest()
