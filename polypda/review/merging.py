"""One answer per case from several reviewers, and how far they agree."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np

from polypda.errors import DataError
from polypda.evaluation.statistics.agreement import UNRATED, Agreement, agreements
from polypda.review.decisions import REASONS, Answer, Decisions
from polypda.review.record import ReviewCase, ReviewKey, ReviewRecord, Side

ANSWERS = ("accept", "reject", "flag")
DISPUTED, UNDECIDED = "disputed", "undecided"
Better = Literal["before", "after", "same"]


@dataclass(frozen=True)
class MergedCase:
    """What all reviewers said of a case. decision: accept, reject or flag where all who answered say so, disputed where
    they do not, undecided where nobody answered. better: of a blinded case, opened by the key. judged: the model whose
    outline the decision is about; known: whether the answers say so, which of a blinded case only a preference does.
    answers: reviewer → answer.
    """

    case: ReviewCase
    decision: str
    reasons: tuple[str, ...]
    better: Better | None
    judged: Side
    known: bool
    answers: dict[str, Answer]

    @property
    def cluster(self) -> str:
        """The patient, else the sequence, else the frame itself."""
        case = self.case
        return "\0".join((case.cohort, case.patient or case.sequence or case.frame))

    @property
    def notes(self) -> list[str]:
        return [answer.note for answer in self.answers.values() if answer.note.strip()]


def merge(record: ReviewRecord, files: Sequence[Decisions], key: ReviewKey | None) -> list[MergedCase]:
    """Merge the files of different reviewers, in the order of the cases.

    Raises: DataError E_REVIEW_TWICE (two files of one reviewer).
    """
    names = [decisions.reviewer.strip() for decisions in files]
    known = [decisions.who for decisions in files]
    if twice := sorted({name for name, who in zip(names, known, strict=True) if known.count(who) > 1}):
        raise DataError(
            "E_REVIEW_TWICE",
            f"two files are of one reviewer: {', '.join(twice)}.",
            fix="give the later one only; two persons of one name write different initials.",
        )
    said = {
        name: {answer.case: answer for answer in decisions.answers}
        for name, decisions in zip(names, files, strict=True)
    }
    merged = []
    for case in record.cases:
        answers = {name: own[case.case] for name, own in said.items() if case.case in own}
        merged.append(_merged(case, {name: one for name, one in answers.items() if one.said}, key))
    return merged


def _merged(case: ReviewCase, answers: dict[str, Answer], key: ReviewKey | None) -> MergedCase:
    given = {answer.decision for answer in answers.values() if answer.decision is not None}
    decision = UNDECIDED if not given else next(iter(given)) if len(given) == 1 else DISPUTED
    reasons = tuple(reason for reason in REASONS if any(reason in answer.reasons for answer in answers.values()))
    better = _better(case, answers, key)
    judged: Side = "before" if better == "before" else "after"
    return MergedCase(case, decision, reasons, better, judged, key is None or better in ("before", "after"), answers)


def _better(case: ReviewCase, answers: dict[str, Answer], key: ReviewKey | None) -> Better | None:
    """The side that more reviewers prefer; the same where as many prefer either."""
    if key is None:
        return None
    a_is = key.a_is[case.case]
    named: dict[str, Better] = {"a": a_is, "b": "before" if a_is == "after" else "after", "same": "same"}
    given = [named[answer.preference] for answer in answers.values() if answer.preference is not None]
    if not given:
        return None
    before, after = given.count("before"), given.count("after")
    return "same" if before == after else "before" if before > after else "after"


def agreement_of(merged: Sequence[MergedCase], reviewers: Sequence[str]) -> list[Agreement]:
    """How far reviewers agree on accept, reject and flag; nothing for one. Who decided nothing is none of them."""
    deciding = [name for name in reviewers if any(_decision(one, name) for one in merged)]
    if len(deciding) < 2:
        return []
    indices = {answer: index for index, answer in enumerate(ANSWERS)}
    ratings = np.array([[indices.get(_decision(one, name), UNRATED) for name in deciding] for one in merged])
    return agreements(ratings, len(ANSWERS), [one.cluster for one in merged])


def _decision(one: MergedCase, reviewer: str) -> str:
    """ "" where none was given."""
    return (one.answers[reviewer].decision or "") if reviewer in one.answers else ""
