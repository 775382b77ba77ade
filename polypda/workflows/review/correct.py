"""Outlines that were corrected in an annotation tool come back: `polypda review correct LABELS --run RUN`.

They are kept beside the review's record, stand in its accepted.csv from then on, and no longer in relabel.csv.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from polypda.cohorts.frames import Frame
from polypda.cohorts.image_files import name_some
from polypda.cohorts.opening import open_cohort
from polypda.errors import DataError, UsageError
from polypda.files import whole_folder, write_failed, write_png, write_table
from polypda.integrity import check, sha256_of
from polypda.review.folder import read_masks
from polypda.review.frames import shown_image
from polypda.review.record import CORRECTED, IMPORTED, RECORD_FILE, REVIEWS, ReviewCase, Side, find_record, read_record
from polypda.training.run_folder import RunFolder
from polypda.workflows.audit.labels import ReturnedLabels, is_as_exported, read_labels, read_stored
from polypda.workflows.review.predicted import PredictedFolder
from polypda.workflows.review.receive import FILES, RELABEL, Received, corrected_masks, receive, relabel_name
from polypda.workflows.runs.cohort_pair import data_roots
from polypda.workflows.runs.paths import Paths

TABLE = "corrected.csv"


@dataclass(frozen=True)
class Corrected:
    """What came back. taken: frames whose outline is another one now. unchanged: came back as they were sent out.

    without: frames that hold boxes alone, or could not be read. received: the review as it stands with them.
    """

    taken: tuple[str, ...]
    unchanged: tuple[str, ...]
    without: tuple[str, ...]
    received: Received


def correct(
    labels: Path, run_folder: Path, paths: Paths, *, review: str | None = None, images: Path | None = None
) -> Corrected:
    """Read corrected outlines, keep those that were changed, and write the review's tables anew.

    Args: labels: a folder of ``relabel`` as its tool saved it, or masks named like its images. review: its id; None:
    the one whose cases the files name. images: as :func:`receive` takes it.

    Raises: DataError E_REVIEW_UNKNOWN, E_REVIEW_CORRECTED (nothing was changed), and what reading labels and
    :func:`receive` raise; UsageError E_REVIEW_FILES where files of several reviews, or none, are meant.
    """
    predicted = PredictedFolder(run_folder, images) if PredictedFolder.recognises(run_folder) else None
    run = RunFolder(run_folder) if predicted is not None else RunFolder.open(run_folder)
    index = find_record(run.folder, review) if review else _meant(run.folder, labels)
    wanted = _asked(index)
    if predicted is not None:
        frames = {case: predicted.frame(one.frame, one.image_sha256) for case, one in wanted.items()}
    else:
        frames = _frames(run, wanted, paths)
    read = read_stored if predicted is None else predicted.pixels
    by_image = {relabel_name(wanted[case], shown_image(one, read(one))[1]): case for case, one in frames.items()}
    returned = read_labels(labels, {image: frames[case] for image, case in by_image.items()}, read)
    taken, unchanged = _sorted_out(index, {by_image[image]: mask for image, mask in returned.masks.items()}, wanted)
    without = _without(returned, by_image, wanted)
    if not taken:
        what = f"no outline is another one than was handed out ({len(unchanged)} came back unchanged)."
        raise DataError("E_REVIEW_CORRECTED", what, where=labels, fix="correct some in the tool, save, and try again.")
    _keep(index, taken)
    files = sorted((index / IMPORTED / FILES).glob("*.json"))
    received = receive(files, run_folder, paths, images=images)
    return Corrected(
        tuple(wanted[case].frame for case in taken), tuple(wanted[case].frame for case in unchanged), without, received
    )


def _meant(owner: Path, labels: Path) -> Path:
    """The record of the review whose cases are named in the files, or by them."""
    files = [path for path in sorted(labels.rglob("*")) if path.is_file()] if labels.is_dir() else []
    texts = "\n".join(
        path.read_text(encoding="utf-8", errors="replace") if path.suffix.lower() in (".json", ".xml") else path.stem
        for path in files
    )
    records = sorted(path.parent for path in (owner / REVIEWS).glob(f"*/{RECORD_FILE}") if _files(path.parent))
    named = [index for index in records if any(relabel_name(case) in texts for case in _asked(index).values())]
    if len(named) == 1:
        return named[0]
    told = name_some([index.name for index in named]) or "none"
    what = f"the files name cases of {len(named)} of {len(records)} reviews that came back ({told})."
    raise UsageError("E_REVIEW_FILES", what, fix="name the folder that the tool saved, and the review: --review ID.")


def _files(index: Path) -> list[Path]:
    return sorted((index / IMPORTED / FILES).glob("*.json"))


def _asked(index: Path) -> dict[str, ReviewCase]:
    """The cases that were to be corrected, and those that were before."""
    if not _files(index):
        what = "no decisions on this review came back yet."
        raise DataError("E_REVIEW_UNKNOWN", what, where=index.name, fix="polypda review import FILE --run RUN")
    cases = {case.case: case for case in read_record(index).cases}
    names = [*_relabel(index)["case"], *corrected_masks(index)]
    return {name: cases[name] for name in names if name in cases}


def _relabel(index: Path) -> pd.DataFrame:
    check(index / IMPORTED / RELABEL, fix="import the decisions again: `polypda review import`.")
    return pd.read_csv(index / IMPORTED / RELABEL, dtype=str, keep_default_na=False, encoding="utf-8-sig")


def _frames(run: RunFolder, wanted: Mapping[str, ReviewCase], paths: Paths) -> dict[str, Frame]:
    config = run.config()
    root = data_roots([config.target], config, paths)[config.target]
    opened = open_cohort(config.target, root, labels=False, allow_leakage=True)
    known = {frame.frame: frame for frame in opened.frames}
    return {case: known[one.frame] for case, one in wanted.items() if one.frame in known}


def _sorted_out(
    index: Path, masks: Mapping[str, NDArray[np.uint8]], cases: Mapping[str, ReviewCase]
) -> tuple[dict[str, NDArray[np.uint8]], list[str]]:
    """Case → mask of those that are others than were handed out; and those that are not: nobody may have seen them."""
    record, table = read_record(index), _relabel(index)
    side_of: dict[str, Side] = {name: side for side, name in record.models.items()}
    sides = {str(case): side_of[model] for case, model in zip(table["case"], table["model"], strict=True)}
    changed, unchanged = {}, []
    for case, mask in masks.items():
        sent = read_masks(index, cases[case])[sides.get(case, "after")]
        if is_as_exported(sent, mask) or not (sent.any() or mask.any()):
            unchanged.append(case)
        else:
            changed[case] = mask
    return changed, unchanged


def _without(returned: ReturnedLabels, by_image: Mapping[str, str], cases: Mapping[str, ReviewCase]) -> tuple[str, ...]:
    boxes = [f"{cases[by_image[image]].frame}: a box, no outline" for image in returned.boxes_only]
    return (*boxes, *(f"{origin}: {what}" for origin, what in returned.left_out))


def _keep(index: Path, taken: Mapping[str, NDArray[np.uint8]]) -> None:
    """Write masks beside those that came back before. Raises: DataError E_WRITE_FAILED."""
    former = {case: path.read_bytes() for case, path in corrected_masks(index).items() if case not in taken}
    try:
        with whole_folder(index / CORRECTED, replace=True, sealed=True) as work:
            for case, content in former.items():
                (work / f"{case}.png").write_bytes(content)
            for case, mask in taken.items():
                write_png(work / f"{case}.png", mask * np.uint8(255))
            rows = [{"case": path.stem, "mask_sha256": sha256_of(path)} for path in sorted(work.glob("*.png"))]
            write_table(work / TABLE, pd.DataFrame(rows))
    except OSError as error:
        raise write_failed(index / CORRECTED, error) from error
