"""What was handed out for a review: cases, hashes, and (kept apart) which of two blinded predictions is which."""

from __future__ import annotations

import hashlib
import json
from pathlib import Path
from typing import Final, Literal, TypeVar

import numpy as np
from numpy.typing import NDArray
from pydantic import BaseModel, ConfigDict, Field, ValidationError, field_validator

from polypda.cohorts.image_files import stays_inside
from polypda.errors import DataError
from polypda.files import write_json
from polypda.integrity import check

RECORD_SCHEMA: Final = "polypda-review 1"
KEY_SCHEMA: Final = "polypda-review-key 1"
REVIEWS = "reviews"
"""Folder of a run (or of predictions) that holds a record of each review that was made of it."""
RECORD_FILE, KEY_FILE, MASKS = "cases.json", "key.json", "masks"
HANDED_OUT, IMPORTED, CORRECTED = "handed-out", "imported", "corrected"

Side = Literal["before", "after"]
Model = TypeVar("Model", bound=BaseModel)


class _Strict(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True, populate_by_name=True)


class CaseFigures(_Strict):
    """What is known of a case where it was scored; ratios in [0, 1], None where a figure does not apply.

    outcome_before, outcome_after: found, partly (some of several polyps), missed, false_alarm, clean; empty where
    nothing is known of the frame.
    """

    dice_before: float | None = None
    dice_after: float | None = None
    relative_polyp_area: float | None = None
    size: str = ""
    outcome_before: str = ""
    outcome_after: str = ""


class ReviewCase(_Strict):
    """One prediction to judge, as it was handed out.

    case: its id, 12 hex digits. number: its place in the order it was handed out in, from 1. image: the frame's file,
    relative to the page. image_sha256: of the cohort's own file. prediction: SHA-256 of both masks, whatever their
    order. shown_sha256: of the frame as it was handed out, the file or what lies in the page; "" where an older version
    did not tell. trainings: identities of the two models' weights. figures: None where they would tell what is blinded.
    """

    case: str
    number: int
    run: str
    cohort: str
    frame: str
    split: str
    patient: str = ""
    sequence: str = ""
    centre: str = ""
    device: str = ""
    mode: str = ""
    width_px: int
    height_px: int
    image: str
    image_sha256: str
    prediction: str
    shown_sha256: str = ""
    trainings: dict[Side, str]
    figures: CaseFigures | None = None
    why: str = ""

    @field_validator("case", "image")
    @classmethod
    def _stays_inside(cls, path: str) -> str:
        if path and not stays_inside(path):
            raise ValueError("leads out of the review's folder")
        return path


class ReviewRecord(_Strict):
    """A review as it was handed out.

    review: its id, made of all cases' predictions. models: names before and after. referenced: references are shown.
    """

    schema_: Literal["polypda-review 1"] = Field(default=RECORD_SCHEMA, alias="schema")
    review: str
    created: str
    version: str
    runs: tuple[str, ...]
    models: dict[Side, str]
    part: str
    order: str
    blinded: bool
    referenced: bool
    phantom: bool
    cases: tuple[ReviewCase, ...]

    def of_run(self, run: str) -> ReviewRecord:
        """The same review with the cases of one run only."""
        return self.model_copy(update={"cases": tuple(case for case in self.cases if case.run == run)})

    def public(self) -> ReviewRecord:
        """What may lie beside the page: nothing that tells which of two blinded predictions is which."""
        if not self.blinded:
            return self
        cases = tuple(case.model_copy(update={"figures": None, "trainings": {}, "why": ""}) for case in self.cases)
        return self.model_copy(update={"cases": cases, "models": {}})


class ReviewKey(_Strict):
    """Which prediction of a blinded case is called A: case id → before or after."""

    schema_: Literal["polypda-review-key 1"] = Field(default=KEY_SCHEMA, alias="schema")
    review: str
    a_is: dict[str, Side]


def prediction_hash(before: NDArray[np.bool_], after: NDArray[np.bool_]) -> str:
    """SHA-256 of two masks H×W, whatever their order: it tells nothing of which is which."""
    parts = []
    for mask in (before, after):
        digest = hashlib.sha256(f"{mask.shape[1]}x{mask.shape[0]}:".encode())
        digest.update(np.packbits(mask.astype(bool)).tobytes())
        parts.append(digest.digest())
    return hashlib.sha256(b"".join(sorted(parts))).hexdigest()


def case_id(run: str, cohort: str, frame: str, prediction: str) -> str:
    """The name of a case in a decisions file."""
    return hashlib.sha256("\0".join((run, cohort, frame, prediction)).encode()).hexdigest()[:12]


def review_id(cases: list[str]) -> str:
    """The name of an open review: of its cases in their order. That of a blinded one is drawn by lot."""
    return hashlib.sha256("\0".join(cases).encode()).hexdigest()[:12]


def write_record(folder: Path, record: ReviewRecord) -> None:
    """Write cases.json into a folder. Raises: OSError."""
    write_json(folder / RECORD_FILE, record.model_dump(mode="json", by_alias=True))


def write_key(folder: Path, key: ReviewKey) -> None:
    """Write key.json into a folder. Raises: OSError."""
    write_json(folder / KEY_FILE, key.model_dump(mode="json", by_alias=True))


def read_record(folder: Path) -> ReviewRecord:
    """The record of a review. Raises: DataError E_REVIEW_RECORD."""
    return _read(folder / RECORD_FILE, ReviewRecord)


def read_key(folder: Path) -> ReviewKey:
    """The key of a blinded review. Raises: DataError E_REVIEW_RECORD."""
    return _read(folder / KEY_FILE, ReviewKey)


def _read(path: Path, kind: type[Model]) -> Model:
    try:
        check(path)
        return kind.model_validate(json.loads(path.read_text(encoding="utf-8")))
    except FileNotFoundError as error:
        what = f"{path.name} of this review is missing."
        raise DataError("E_REVIEW_RECORD", what, where=path, fix="build the review again.") from error
    except (OSError, UnicodeDecodeError, ValueError, ValidationError, DataError) as error:
        what = "the record of this review is damaged, or of another version."
        raise DataError("E_REVIEW_RECORD", what, where=path, fix="build the review again.") from error


def find_record(owner: Path, review: str) -> Path:
    """The folder of a review's record below a run. Raises: DataError E_REVIEW_UNKNOWN."""
    folder = owner / REVIEWS / review
    known = sorted(path.name for path in (owner / REVIEWS).glob("*") if (path / RECORD_FILE).is_file())
    if review in known:
        return folder
    told = f"the reviews made of it are {', '.join(known)}" if known else "no review was made of it"
    raise DataError(
        "E_REVIEW_UNKNOWN",
        f"the decisions are of review {review}; {told}.",
        where=owner.name,
        fix="name the run that this page was built from: `polypda review import FILE --run RUN`.",
    )
