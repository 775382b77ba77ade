"""What clinicians said of a run's predictions, in numbers: written by `polypda review import`, shown by reports."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Final, Literal

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from polypda.errors import DataError
from polypda.files import write_json
from polypda.integrity import check

FINDINGS_SCHEMA: Final = "polypda-review-findings 1"
FINDINGS_FILE = "review.json"
WHERE = f"reviews/*/imported/{FINDINGS_FILE}"
"""Below a run."""


class _Strict(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True, populate_by_name=True)


class AgreementRow(_Strict):
    """A coefficient with its 95 % interval; None where it cannot be known, and why in words."""

    name: str
    value: float | None
    low: float | None
    high: float | None
    cases: int
    words: str = ""


class Stratum(_Strict):
    """Answers within one part of the cases. facet: centre, size, device, mode, result. reasons: name → cases."""

    facet: str
    value: str
    judged: int
    accept: int
    reject: int
    flag: int
    disputed: int
    reasons: dict[str, int]


class Preference(_Strict):
    """Which of two blinded outlines is better, in cases; p: of a sign-flip test over clusters, None without one."""

    before: int
    same: int
    after: int
    p: float | None
    words: str = ""


class AgainstDice(_Strict):
    """Where people and Dice disagree, in cases: accepted below ``low``, rejected from ``high`` on."""

    low: float
    high: float
    accepted_below: int
    rejected_above: int


class ReviewFindings(_Strict):
    """A review's answers. counts: accept, reject, flag, disputed, undecided → cases; reasons: name → cases.

    Nobody who reviewed is named. seconds: median reading time of a judged case; minutes: of all reviewers together.
    """

    schema_: Literal["polypda-review-findings 1"] = Field(default=FINDINGS_SCHEMA, alias="schema")
    review: str
    run: str
    cohort: str
    part: str
    order: str
    blinded: bool
    phantom: bool
    before: str
    after: str
    reviewers: int
    cases: int
    counts: dict[str, int]
    reasons: dict[str, int]
    strata: tuple[Stratum, ...]
    agreement: tuple[AgreementRow, ...] = ()
    preference: Preference | None = None
    against_dice: AgainstDice | None = None
    seconds: float | None = None
    minutes: float = 0.0


def write_findings(folder: Path, findings: ReviewFindings) -> None:
    """Write review.json. Raises: OSError."""
    write_json(folder / FINDINGS_FILE, findings.model_dump(mode="json", by_alias=True))


def findings_of(run: Path) -> list[ReviewFindings]:
    """The findings of all reviews of a run, by their ids. Raises: DataError E_REVIEW_FINDINGS."""
    found = []
    for path in sorted(run.glob(WHERE)):
        try:
            check(path)
            found.append(ReviewFindings.model_validate(json.loads(path.read_text(encoding="utf-8"))))
        except (OSError, ValueError, ValidationError, DataError) as error:
            raise DataError(
                "E_REVIEW_FINDINGS",
                "what was imported of a review is damaged, or of another version.",
                where=path,
                fix="import the decisions again: `polypda review import`.",
            ) from error
    return found
