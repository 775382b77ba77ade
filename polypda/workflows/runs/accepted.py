"""Outlines of the target's training frames that reviewers accepted: they teach as certain pseudo-labels.

`polypda review import` writes them; `polypda adapt --accepted FILE` copies them into the run. No label of the target is
opened for it, but people looked at these frames, and every report of the run says so. A held-out frame is refused: a
model that learnt it could not be judged by it.
"""

from __future__ import annotations

import hashlib
import shutil
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd
from PIL import Image

from polypda.cohorts.frames import OpenedCohort, Split
from polypda.cohorts.image_files import name_some
from polypda.cohorts.images import read_mask
from polypda.errors import DataError, LeakageError, UsageError, nearest
from polypda.integrity import check, sha256_of
from polypda.methods.contract import MethodOptions
from polypda.review.tables import BY_HAND

FOLDER, FILE = "accepted", "accepted.csv"
COLUMNS = ("cohort", "frame", "mask", "mask_sha256", "prediction", "review")


@dataclass(frozen=True)
class Accepted:
    """frame → its mask's file, and what the run records of their origin."""

    masks: dict[str, Path]
    table: pd.DataFrame
    words: str

    def copy_into(self, run: Path) -> None:
        """Keep masks and table in a run's folder. Raises: OSError."""
        folder = run / FOLDER
        folder.mkdir()
        names = [f"{number:04d}.png" for number in range(1, len(self.table) + 1)]
        for name, frame in zip(names, self.table["frame"], strict=True):
            shutil.copyfile(self.masks[frame], folder / name)
        self.table.assign(mask=names).to_csv(folder / FILE, index=False, lineterminator="\n")


def read_accepted(file: Path) -> Accepted:
    """Read accepted.csv with the masks beside it.

    Raises: DataError E_ACCEPTED_FILE (missing, damaged, another table), E_ACCEPTED_EMPTY, E_ACCEPTED_MASK (a mask is
        missing or not the one that was accepted).
    """
    try:
        check(file)
        table = pd.read_csv(file, dtype=str, keep_default_na=False, encoding="utf-8-sig")
    except DataError as error:
        raise _unusable(file, error.what.rstrip(".")) from error
    except (OSError, UnicodeDecodeError, pd.errors.ParserError, pd.errors.EmptyDataError) as error:
        raise _unusable(
            file, f"it cannot be read ({getattr(error, 'strerror', None) or type(error).__name__})"
        ) from error
    missing = [name for name in COLUMNS if name not in table.columns]
    if missing or table["frame"].duplicated().any():
        raise _unusable(file, f"it lacks {', '.join(missing)}" if missing else "it lists a frame twice")
    if table.empty:
        raise DataError("E_ACCEPTED_EMPTY", "no frame was accepted.", where=file, fix="leave --accepted out.")
    masks = {}
    for row in table.to_dict("records"):
        path = file.parent / str(row["mask"])
        if not path.resolve().is_relative_to(file.parent.resolve()):
            raise _unusable(file, f"it names a mask outside its folder: {row['mask']}")
        if not path.is_file() or sha256_of(path) != row["mask_sha256"]:
            raise DataError(
                "E_ACCEPTED_MASK",
                f"the mask of {row['frame']} is missing, or not the one that was accepted.",
                where=path,
                fix="import the decisions again: `polypda review import`.",
            )
        masks[str(row["frame"])] = path
    digest = hashlib.sha256("".join(sorted(table["mask_sha256"])).encode()).hexdigest()[:12]
    reviews = ", ".join(sorted(set(table["review"])))
    by_hand = int((table["model"] == BY_HAND).sum()) if "model" in table else 0
    drawn = f", {by_hand} of them corrected by hand" if by_hand else ""
    return Accepted(masks, table, f"{len(masks)} frames of review {reviews}{drawn} (sha256 {digest})")


def require_usable(accepted: Accepted, target: OpenedCohort, method: str, options: MethodOptions) -> None:
    """The frames must be training frames of the target, of the masks' sizes, and the method one that learns them.

    Raises: UsageError E_ACCEPTED_METHOD; DataError E_ACCEPTED_COHORT, E_FRAME_UNKNOWN, E_ACCEPTED_MASK; LeakageError
        E_ACCEPTED_HELD_OUT.
    """
    if options.pseudo_labels is None:
        what = f"'{method}' learns no pseudo-labels."
        raise UsageError("E_ACCEPTED_METHOD", what, fix=f"--method {method}+self-training")
    strangers = sorted(set(accepted.table["cohort"]) - {target.id})
    if strangers:
        what = f"the accepted frames are of {', '.join(strangers)}."
        raise DataError("E_ACCEPTED_COHORT", what, where=target.id, fix="adapt to the cohort that was reviewed.")
    known = {frame.frame: frame for frame in target.frames}
    if unknown := [name for name in accepted.masks if name not in known]:
        what = f"{len(unknown)} accepted frames are not there: {name_some(unknown)}.{nearest(unknown[0], known)}"
        raise DataError("E_FRAME_UNKNOWN", what, where=target.id, fix="adapt to the cohort that was reviewed.")
    held_out = [name for name in accepted.masks if known[name].split is not Split.TRAIN]
    if held_out:
        raise LeakageError(
            "E_ACCEPTED_HELD_OUT",
            f"{len(held_out)} of {len(accepted.masks)} accepted frames are held out, such as {held_out[0]}: a model "
            "that learnt them could not be judged by them.",
            where=target.id,
            fix="have training frames reviewed: `polypda review build RUN --part train`.",
        )
    for name, path in accepted.masks.items():
        with Image.open(known[name].image) as image, Image.open(path) as mask:
            if image.size != mask.size:
                what = f"the mask of {name} is {_times(mask.size)}, its frame {_times(image.size)}."
                raise DataError("E_ACCEPTED_MASK", what, where=path, fix="build the review anew.")


def accepted_of(run: Path) -> dict[str, np.ndarray]:
    """Frame → uint8 H×W mask, 0/1, native, of what a run keeps; {} where it was given nothing."""
    file = run / FOLDER / FILE
    if not file.is_file():
        return {}
    table = pd.read_csv(file, dtype=str, keep_default_na=False)
    return {frame: read_mask(file.parent / mask) for frame, mask in zip(table["frame"], table["mask"], strict=True)}


def _times(size: tuple[int, int]) -> str:
    return f"{size[0]}×{size[1]}"


def _unusable(file: Path, what: str) -> DataError:
    fix = "give the accepted.csv that `polypda review import` wrote."
    return DataError("E_ACCEPTED_FILE", f"{what}.", where=file, fix=fix)
