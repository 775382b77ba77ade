"""The file that a reviewer hands back: its schema, and what is refused in it."""

from __future__ import annotations

import hashlib
import json
import re
import unicodedata
from collections.abc import Collection, Iterable
from pathlib import Path
from typing import Any, Final, Literal

from pydantic import BaseModel, ConfigDict, Field, ValidationError, field_validator

from polypda.errors import DataError
from polypda.review.record import ReviewRecord

DECISIONS_SCHEMA: Final = "polypda-review-decisions 1"
REASONS = ("missed", "false_positive", "too_large", "too_small", "artefact", "unusable")
"""Why an outline is not accepted, in the order of their keys."""
LARGEST_BYTES = 64 << 20
DAY_MS = 24 * 3_600_000
_CONTROL = re.compile(r"[\x00-\x1f\x7f-\x9f]")


class Answer(BaseModel):
    """What was said of one case. preference: which of two blinded outlines is better. ms: reading time."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    case: str
    prediction: str
    decision: Literal["accept", "reject", "flag"] | None
    reasons: tuple[str, ...] = ()
    note: str = Field("", max_length=4000)
    preference: Literal["a", "b", "same"] | None = None
    ms: int = Field(0, ge=0, le=DAY_MS)
    decided: str | None = None

    @field_validator("reasons")
    @classmethod
    def _known_reasons(cls, reasons: tuple[str, ...]) -> tuple[str, ...]:
        if strangers := sorted(set(reasons) - set(REASONS)):
            raise ValueError(f"no such reason: {', '.join(strangers)}")
        if len(set(reasons)) < len(reasons):
            raise ValueError("a reason is given twice")
        return reasons

    @field_validator("note")
    @classmethod
    def _plain_note(cls, note: str) -> str:
        if _CONTROL.search(re.sub(r"[\t\r\n]", "", note)):
            raise ValueError("control characters in it")
        return note

    @property
    def said(self) -> bool:
        """Whether there is more than a reading time."""
        return self.decision is not None or self.preference is not None or bool(self.note.strip())


class Decisions(BaseModel):
    """All answers of one reviewer to one review."""

    model_config = ConfigDict(extra="forbid", frozen=True, populate_by_name=True)

    schema_: Literal["polypda-review-decisions 1"] = Field(default=DECISIONS_SCHEMA, alias="schema")
    review: str
    version: str
    reviewer: str = Field(max_length=200)
    exported: str
    blinded: bool
    answers: tuple[Answer, ...]
    checksum: str

    @field_validator("reviewer")
    @classmethod
    def _plain_name(cls, reviewer: str) -> str:
        if _CONTROL.search(reviewer):
            raise ValueError("control characters in it")
        return reviewer

    @property
    def who(self) -> str:
        """The same for all ways to write one reviewer's name: case, wide letters, spaces around it."""
        return unicodedata.normalize("NFKC", self.reviewer).strip().casefold()

    def answered(self, cases: Collection[str]) -> bool:
        """Whether anything was said of one of these cases."""
        return any(answer.said and answer.case in cases for answer in self.answers)

    def decided(self, cases: Collection[str]) -> bool:
        """Whether one of these cases was accepted, rejected or flagged."""
        return any(answer.decision is not None and answer.case in cases for answer in self.answers)


def canonical(value: Any) -> str:
    """JSON with sorted keys and no space: the text that the checksum is of; the page writes the same."""
    return json.dumps(value, sort_keys=True, ensure_ascii=False, separators=(",", ":"))


def checksum(document: dict[str, Any]) -> str:
    """SHA-256 of a decisions document without its checksum."""
    body = {name: value for name, value in document.items() if name != "checksum"}
    return hashlib.sha256(canonical(body).encode("utf-8", "surrogatepass")).hexdigest()


def parse_decisions(data: bytes, where: str | Path) -> Decisions:
    """Read a decisions file.

    Raises: DataError E_REVIEW_UNREADABLE (no JSON, half-written), E_REVIEW_SCHEMA (another kind of file, or of a newer
        version), E_REVIEW_EDITED (changed after it was written), E_REVIEW_VALUE, E_REVIEW_REVIEWER (no name in it).
    """
    document = _json(data, where)
    found = document.get("schema")
    if found != DECISIONS_SCHEMA:
        kind, _, version = str(found).rpartition(" ")
        newer = (
            kind == DECISIONS_SCHEMA.rpartition(" ")[0]
            and version.isdecimal()
            and (len(version) > 1 or int(version) > 1)
        )
        raise DataError(
            "E_REVIEW_SCHEMA",
            f"written as '{found}'; this version reads '{DECISIONS_SCHEMA}'."
            if newer
            else "this is no file of decisions that a review page wrote.",
            where=where,
            fix="install a polypda as new as the page." if newer else "give the decisions-….json that was handed back.",
        )
    if document.get("checksum") != checksum(document):
        raise DataError(
            "E_REVIEW_EDITED",
            "it was changed after the page wrote it: its checksum does not fit.",
            where=where,
            fix="take the file as it was handed back; to correct an answer load it into the page and hand back again.",
        )
    try:
        decisions = Decisions.model_validate(document)
    except ValidationError as error:
        first = error.errors()[0]
        index = ".".join(map(str, first["loc"]))
        what = f"{index}: {first['msg']}."
        raise DataError("E_REVIEW_VALUE", what, where=where, fix="have the page write it again.") from error
    if not decisions.reviewer.strip():
        what = "it does not say who reviewed."
        raise DataError("E_REVIEW_REVIEWER", what, where=where, fix="write a name into the page and hand back again.")
    return decisions


def read_decisions(path: Path) -> Decisions:
    """As :func:`parse_decisions`, of a file."""
    try:
        if path.stat().st_size > LARGEST_BYTES:
            what = f"{path.stat().st_size / 1e6:.0f} MB: no file of decisions is that large."
            raise DataError("E_REVIEW_UNREADABLE", what, where=path, fix="give the decisions-….json of the page.")
        data = path.read_bytes()
    except OSError as error:
        what = f"{error.strerror or error}."
        raise DataError("E_REVIEW_UNREADABLE", what, where=path, fix="check the file's place and rights.") from error
    return parse_decisions(data, path)


def _json(data: bytes, where: str | Path) -> dict[str, Any]:
    try:
        document = json.loads(data.decode("utf-8-sig"), parse_constant=_no_constant)
    except (ValueError, RecursionError) as error:
        what = "it is no JSON: half-written, or damaged on its way."
        raise DataError("E_REVIEW_UNREADABLE", what, where=where, fix="copy it again, or hand back again.") from error
    if not isinstance(document, dict):
        what = "this is no file of decisions that a review page wrote."
        raise DataError("E_REVIEW_SCHEMA", what, where=where, fix="give the decisions-….json that was handed back.")
    return document


def _no_constant(name: str) -> float:
    raise ValueError(name)


def require_fitting(decisions: Decisions, record: ReviewRecord, where: str | Path, others: Iterable[str] = ()) -> None:
    """The answers must be to what the record says was handed out. others: cases of the review's other runs.

    Raises: DataError E_REVIEW_OTHER, E_REVIEW_CASES, E_REVIEW_STALE.
    """
    if decisions.review != record.review or decisions.blinded != record.blinded:
        what = f"the decisions are of review {decisions.review}, not of {record.review}."
        raise DataError("E_REVIEW_OTHER", what, where=where, fix="import each review's files by themselves.")
    named = [answer.case for answer in decisions.answers]
    if twice := sorted({case for case in named if named.count(case) > 1}):
        what = f"{len(twice)} cases are answered twice, such as {twice[0]}."
        raise DataError("E_REVIEW_CASES", what, where=where, fix="have the page write it again.")
    known = {case.case: case.prediction for case in record.cases}
    strangers = sorted(set(named) - set(known) - set(others))
    if strangers and len(record.runs) == 1:
        what = f"{len(strangers)} cases were not handed out, such as {strangers[0]}."
        raise DataError("E_REVIEW_CASES", what, where=where, fix="import it with the run that its page was built from.")
    changed = [
        answer.case for answer in decisions.answers if known.get(answer.case, answer.prediction) != answer.prediction
    ]
    if changed:
        what = f"{len(changed)} answers are to other predictions than were handed out, such as case {changed[0]}."
        raise DataError("E_REVIEW_STALE", what, where=where, fix="build the review anew and have it judged again.")
