"""What comes back from reviewers: `polypda review import FILE… --run RUN`."""

from __future__ import annotations

import hashlib
import shutil
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from polypda.cohorts.frames import Frame
from polypda.cohorts.opening import open_cohort
from polypda.cohorts.tables import harmless
from polypda.errors import DataError, UsageError
from polypda.evaluation.cases.clinical_review import ReviewFindings, write_findings
from polypda.files import whole_folder, write_failed, write_png, write_table, write_whole
from polypda.integrity import CHECKSUMS, faults, recorded_names, seal, sha256_of
from polypda.networks.registry import load_segmenter
from polypda.networks.weights import training_identity
from polypda.reporting.correctable import ToCorrect, write_for_tools
from polypda.reporting.pages.page import file_name
from polypda.review.decisions import Decisions, read_decisions, require_fitting
from polypda.review.findings import findings
from polypda.review.folder import read_masks, require_untouched
from polypda.review.frames import shown_image
from polypda.review.merging import MergedCase, agreement_of, merge
from polypda.review.record import CORRECTED, IMPORTED, ReviewCase, ReviewRecord, find_record, read_key, read_record
from polypda.review.spreadsheets import spreadsheet
from polypda.review.tables import (
    ACCEPTED_COLUMNS,
    BY_HAND,
    RELABEL_COLUMNS,
    RELABELLED,
    decisions_table,
    disagreements_table,
    merged_table,
)
from polypda.training.run_folder import RunFolder
from polypda.workflows.audit.labels import read_stored
from polypda.workflows.review.predicted import PredictedFolder
from polypda.workflows.runs.cohort_pair import data_roots
from polypda.workflows.runs.paths import Paths
from polypda.workflows.runs.trained_models import RunModels

FILES = "files"
ACCEPTED, RELABEL, RELABEL_FOLDER = "accepted.csv", "relabel.csv", "relabel"
NOT_HERE = ("E_COHORT_ABSENT", "E_COHORT_EMPTY", "E_COHORT_BOXES", "E_COHORT_VIDEO")


@dataclass(frozen=True)
class Received:
    """What was written. reviewers: their names, of all files that now count. accepted: outlines of models that were.
    corrected: outlines drawn by hand since, which stand in accepted.csv too. notes: what must be told."""

    folder: Path
    findings: ReviewFindings
    reviewers: tuple[str, ...]
    disagreements: int
    accepted: int
    to_relabel: int
    corrected: int
    notes: tuple[str, ...]


@dataclass(frozen=True)
class _Pictures:
    """frames: case → its frame, where that is here. read: its pixels, H×W×3, as they were handed out."""

    frames: dict[str, Frame]
    read: Callable[[Frame], NDArray[np.uint8]]


def receive(
    files: Sequence[Path],
    run_folder: Path,
    paths: Paths,
    *,
    supersede: bool = False,
    images: Path | None = None,
    page: Path | None = None,
) -> Received:
    """Check all files, merge them with those that were imported before, and write everything anew: whole or not at all.

    Args: run_folder: of a run, or of `polypda predict`, whose pictures lie in ``images``. supersede: a newer file of a
    reviewer takes the place of the one that was imported before. page: the folder that was judged, where it came back:
    its frames must be those that were handed out.

    Raises: UsageError E_REVIEW_FILES; DataError E_RUN_MISSING, E_REVIEW_UNREADABLE, E_REVIEW_SCHEMA, E_REVIEW_EDITED,
    E_REVIEW_VALUE, E_REVIEW_REVIEWER, E_REVIEW_UNKNOWN, E_REVIEW_OTHER, E_REVIEW_CASES, E_REVIEW_STALE, E_REVIEW_TWICE,
    E_REVIEW_RECORD, E_REVIEW_TOUCHED, E_REVIEW_EMPTY (nothing was answered), E_WRITE_FAILED.
    """
    if not files:
        raise UsageError("E_REVIEW_FILES", "no file was given.", fix="name the decisions-….json that was handed back.")
    predicted = PredictedFolder(run_folder, images) if PredictedFolder.recognises(run_folder) else None
    run = RunFolder(run_folder) if predicted is not None else RunFolder.open(run_folder)
    read = [(path, read_decisions(path)) for path in files]
    if len({decisions.review for _, decisions in read}) > 1:
        what = "the files are of different reviews."
        raise DataError("E_REVIEW_OTHER", what, fix="import each review's files by a command of its own.")
    index = find_record(run.folder, read[0][1].review)
    record = read_record(index)
    for path, decisions in read:
        require_fitting(decisions, record, path)
    if page is not None:
        require_untouched(page, index)
    cases = {case.case for case in record.cases}
    silent = [decisions.reviewer.strip() for _, decisions in read if not decisions.answered(cases)]
    read = [(path, decisions) for path, decisions in read if decisions.answered(cases)]
    if not read:
        what = f"of this run's cases nothing was answered ({', '.join(silent)})."
        raise DataError("E_REVIEW_EMPTY", what, fix="have the cases judged and handed back again.")
    if predicted is None:
        _require_current(run, record)
    else:
        _require_unchanged(predicted, record)
    counted = _with_former(index / IMPORTED / FILES, read, supersede=supersede)
    said = [decisions for _, decisions in counted]
    merged = merge(record, said, read_key(index) if record.blinded else None)
    if predicted is None:
        frames, notes = _frames(run, record, merged, paths)
    else:
        frames, notes = {one.case.case: _picture(predicted, one.case) for one in merged}, ()
    unnamed = sum(one.decision == "accept" and not one.known for one in merged)
    notes = (
        *((f"{unnamed} accepted without a better outline: not in {ACCEPTED}.",) if unnamed else ()),
        *(f"{name} answered nothing: the file is left out." for name in silent),
        *(
            f"{one.reviewer.strip()} decided no case: left out of the agreement."
            for one in said
            if len(said) > 1 and not one.decided(cases)
        ),
        *notes,
    )
    try:
        notes += _kept_aside(index)
        with whole_folder(index / IMPORTED, replace=True) as work:
            pictures = _Pictures(frames, read_stored if predicted is None else predicted.pixels)
            found = _write(work, index, run, record, counted, merged, pictures)
            seal(work, deep=False)
    except OSError as error:
        raise write_failed(index / IMPORTED, error) from error
    decided = [one.decision for one in merged]
    return Received(
        index / IMPORTED,
        found,
        tuple(decisions.reviewer.strip() for decisions in said),
        decided.count("disputed"),
        decided.count("accept") - unnamed,
        len(_to_relabel(merged, index)),
        len(corrected_masks(index)),
        notes,
    )


def _kept_aside(index: Path) -> tuple[str, ...]:
    """Where somebody corrected inside relabel/, which is written anew, a copy stays. Raises: OSError."""
    relabel = index / IMPORTED / RELABEL_FOLDER
    known = recorded_names(relabel)
    there = {path.relative_to(relabel).as_posix() for path in relabel.rglob("*") if path.is_file()} - {CHECKSUMS}
    if there <= set(known) and not list(faults(relabel, may_lack=known)):
        return ()
    number = 1 + len(list(index.glob(f"{RELABEL_FOLDER}-edited-*")))
    copy = index / f"{RELABEL_FOLDER}-edited-{number}"
    shutil.copytree(relabel, copy)
    return (f"files in {RELABEL_FOLDER}/ were changed since they were written: they are kept in {copy}.",)


def _require_current(run: RunFolder, record: ReviewRecord) -> None:
    """The run's models must be those whose predictions were handed out. Raises: DataError E_REVIEW_STALE."""
    config = run.config()
    paths = RunModels(run, config).by_name()
    for side, name in record.models.items():
        now = training_identity(load_segmenter(config.network, paths[name])) if name in paths else "gone"
        then = {case.trainings[side] for case in record.cases}
        if then != {now}:
            raise DataError(
                "E_REVIEW_STALE",
                f"its model '{name}' is not the one that was judged: the predictions are newer than the page.",
                where=run.name,
                fix="build the review anew and have it judged again; these decisions are of the former model.",
            )


def _require_unchanged(predicted: PredictedFolder, record: ReviewRecord) -> None:
    """The masks must be those that were handed out. Raises: DataError E_REVIEW_STALE, E_REVIEW_IMAGE."""
    there = [case for case in record.cases if case.frame in predicted.rows]
    pictures = [case.frame for case in there if predicted.sha256(case.frame) not in ("", case.image_sha256)]
    if not pictures:
        for case in there:
            _picture(predicted, case)
    masks = [case.frame for case in record.cases if predicted.now(case.frame, case.image_sha256) != case.prediction]
    for what, changed in (("pictures", pictures), ("masks", masks)):
        if changed:
            raise DataError(
                "E_REVIEW_STALE",
                f"{len(changed)} {what} are not those that were judged, such as {changed[0]}: the predictions are "
                "newer than the page.",
                where=predicted.name,
                fix="build the review anew and have it judged again.",
            )


def _picture(predicted: PredictedFolder, case: ReviewCase) -> Frame:
    """The picture that was handed out. Raises: DataError E_REVIEW_IMAGE."""
    return predicted.frame(case.frame, case.image_sha256)


def _with_former(
    folder: Path, read: Sequence[tuple[Path, Decisions]], *, supersede: bool
) -> list[tuple[bytes, Decisions]]:
    """The given files beside those that were imported before; one per reviewer.

    Raises: DataError E_REVIEW_TWICE.
    """
    former = {path: read_decisions(path) for path in sorted(folder.glob("*.json"))}
    counted = [(path.read_bytes(), decisions) for path, decisions in read]
    for path, decisions in former.items():
        again = next((one for _, one in counted if one.who == decisions.who), None)
        if again is None:
            counted.append((path.read_bytes(), decisions))
        elif again.checksum != decisions.checksum and not (supersede and again.exported > decisions.exported):
            older = "" if again.exported > decisions.exported else ", and the one given is the older"
            raise DataError(
                "E_REVIEW_TWICE",
                f"decisions of {decisions.reviewer.strip()} were imported before{older}.",
                where=path.name,
                fix="--supersede has a newer file take the place of the former; two persons need two names.",
            )
    return sorted(counted, key=lambda pair: pair[1].who)


def _frames(
    run: RunFolder, record: ReviewRecord, merged: Sequence[MergedCase], paths: Paths
) -> tuple[dict[str, Frame], tuple[str, ...]]:
    """The frames that are to be labelled anew, where the cohort is here: case → frame; and what must be told."""
    config = run.config()
    wanted = {one.case.frame: one.case for one in merged if one.decision in RELABELLED}
    if not wanted:
        return {}, ()
    try:
        root = data_roots([config.target], config, paths)[config.target]
        opened = open_cohort(config.target, root, labels=False, allow_leakage=True)
    except DataError as error:
        if error.code not in NOT_HERE:
            raise
        return {}, (f"{config.target} is not here: relabel/ holds outlines without pictures. Give --data-root.",)
    found = {wanted[frame.frame].case: frame for frame in opened.frames if frame.frame in wanted}
    changed = [
        case.frame
        for case in wanted.values()
        if case.case in found and sha256_of(found[case.case].image) != case.image_sha256
    ]
    if changed:
        raise DataError(
            "E_REVIEW_STALE",
            f"{len(changed)} frames are other pictures than were handed out, such as {changed[0]}.",
            where=config.target,
            fix="put the cohort back as it was, or build the review anew.",
        )
    lost = len(wanted) - len(found)
    return found, (
        (f"{lost} frames are no longer in {config.target}: they have no picture in relabel/.",) if lost else ()
    )


def _write(
    work: Path,
    index: Path,
    run: RunFolder,
    record: ReviewRecord,
    counted: Sequence[tuple[bytes, Decisions]],
    merged: list[MergedCase],
    pictures: _Pictures,
) -> ReviewFindings:
    (work / FILES).mkdir()
    for number, (content, decisions) in enumerate(counted, 1):
        write_whole(work / FILES / f"{number:02d}-{file_name(decisions.reviewer)}.json", content)
    said = [decisions for _, decisions in counted]
    reviewers = [decisions.reviewer.strip() for decisions in said]
    agreement = agreement_of(merged, reviewers)
    write_whole(work / "decisions.csv", spreadsheet(decisions_table(record, said)))
    write_whole(work / "merged.csv", spreadsheet(merged_table(merged)))
    write_whole(work / "disagreements.csv", spreadsheet(disagreements_table(merged)))
    if agreement:
        write_table(work / "agreement.csv", harmless(pd.DataFrame([vars(one) for one in agreement])))
    _write_accepted(work, index, record, merged)
    _write_relabel(work, index, record, merged, pictures)
    found = findings(record, run.name, merged, agreement, len(reviewers))
    write_findings(work, found)
    return found


def relabel_name(case: ReviewCase, suffix: str = "") -> str:
    """How a case's image in relabel/ is called."""
    return f"{file_name(case.frame)}-{case.case[:6]}{suffix}"


def corrected_masks(index: Path) -> dict[str, Path]:
    """Case → mask, 0/255, of the outlines that were corrected by hand. Raises: DataError E_REVIEW_RECORD."""
    folder = index / CORRECTED
    if not folder.is_dir():
        return {}
    try:
        sums = pd.read_csv(folder / "corrected.csv", dtype=str).set_index("case")["mask_sha256"]
        damaged = [case for case, sum_ in sums.items() if sha256_of(folder / f"{case}.png") != sum_]
    except (OSError, ValueError, KeyError):
        sums, damaged = pd.Series(dtype=str), [CORRECTED]
    if damaged:
        what = f"the corrected outlines are damaged, such as {damaged[0]}."
        raise DataError("E_REVIEW_RECORD", what, where=folder, fix="remove the folder and correct them again.")
    return {str(case): folder / f"{case}.png" for case in sums.index}


def _write_accepted(work: Path, index: Path, record: ReviewRecord, merged: Sequence[MergedCase]) -> None:
    (work / "accepted").mkdir()
    corrected = corrected_masks(index)
    rows = []
    for one in merged:
        by_hand = corrected.get(one.case.case)
        if by_hand is None and (one.decision != "accept" or not one.known):
            continue
        name = f"accepted/{one.case.case}.png"
        if by_hand is not None:
            shutil.copyfile(by_hand, work / name)
        else:
            write_png(work / name, read_masks(index, one.case)[one.judged].astype("uint8") * 255)
        content = (work / name).read_bytes()
        rows.append(
            {
                "cohort": one.case.cohort,
                "frame": one.case.frame,
                "split": one.case.split,
                "run": one.case.run,
                "model": record.models[one.judged] if by_hand is None else BY_HAND,
                "training": one.case.trainings[one.judged] if by_hand is None else "",
                "prediction": one.case.prediction,
                "mask": name,
                "mask_sha256": hashlib.sha256(content).hexdigest(),
                "reviewers": len(one.answers),
                "review": record.review,
            }
        )
    write_table(work / ACCEPTED, pd.DataFrame(rows, columns=list(ACCEPTED_COLUMNS)))


def _to_relabel(merged: Sequence[MergedCase], index: Path) -> list[MergedCase]:
    """The cases whose outline is to be corrected, and was not yet."""
    corrected = corrected_masks(index)
    return [one for one in merged if one.decision in RELABELLED and one.case.case not in corrected]


def _write_relabel(
    work: Path, index: Path, record: ReviewRecord, merged: Sequence[MergedCase], pictures: _Pictures
) -> None:
    chosen = _to_relabel(merged, index)
    rows, to_correct = [], []
    images, frames = work / "pictures", pictures.frames
    images.mkdir()
    for one in chosen:
        case = one.case
        suffix = ".png"
        if case.case in frames:
            content, suffix = shown_image(frames[case.case], pictures.read(frames[case.case]))
        image = relabel_name(case, suffix)
        if case.case in frames:
            write_whole(images / image, content)
        rows.append(
            {
                "case": case.case,
                "cohort": case.cohort,
                "frame": case.frame,
                "split": case.split,
                "patient": case.patient,
                "sequence": case.sequence,
                "decision": one.decision,
                "reasons": " ".join(one.reasons),
                "notes": " | ".join(one.notes),
                "model": record.models[one.judged],
                "image": image,
            }
        )
        mask = read_masks(index, case)[one.judged]
        task = " ".join(one.reasons) or one.decision
        facts = {"patient": case.patient, "sequence": case.sequence, "mode": case.mode}
        to_correct.append(ToCorrect(image, mask, facts, task))
    write_whole(work / RELABEL, spreadsheet(pd.DataFrame(rows, columns=list(RELABEL_COLUMNS))))
    if to_correct:
        here = all(one.case.case in frames for one in chosen)
        write_for_tools(work / RELABEL_FOLDER, to_correct, images if here else None)
        seal(work / RELABEL_FOLDER)
    shutil.rmtree(images)
