"""What is written of a review's answers: tables for people, and for the next adaptation."""

from __future__ import annotations

import pandas as pd

from polypda.review.decisions import Decisions
from polypda.review.merging import DISPUTED, UNDECIDED, MergedCase
from polypda.review.record import ReviewRecord

ACCEPTED_COLUMNS = (
    "cohort", "frame", "split", "run", "model", "training", "prediction", "mask", "mask_sha256", "reviewers", "review",
)  # fmt: skip
RELABEL_COLUMNS = (
    "case", "cohort", "frame", "split", "patient", "sequence", "decision", "reasons", "notes", "model", "image",
)  # fmt: skip
BY_HAND = "corrected by hand"
"""What stands in the place of a model where a person drew the outline."""
RELABELLED = ("reject", "flag", DISPUTED)


def decisions_table(record: ReviewRecord, files: list[Decisions]) -> pd.DataFrame:
    """One row per reviewer and case that was answered or looked at."""
    known = {case.case: case for case in record.cases}
    rows = [
        {
            "reviewer": decisions.reviewer.strip(),
            "case": answer.case,
            "run": known[answer.case].run,
            "cohort": known[answer.case].cohort,
            "frame": known[answer.case].frame,
            "decision": answer.decision or UNDECIDED,
            "reasons": " ".join(answer.reasons),
            "preference": answer.preference or "",
            "note": answer.note,
            "seconds": round(answer.ms / 1000, 1),
            "decided": answer.decided or "",
        }
        for decisions in files
        for answer in decisions.answers
        if answer.case in known
    ]
    columns = ["reviewer", "case", "run", "cohort", "frame", "decision", "reasons", "preference", "note", "seconds"]
    return pd.DataFrame(rows, columns=[*columns, "decided"])


def merged_table(merged: list[MergedCase]) -> pd.DataFrame:
    """One row per case: what all reviewers said of it."""
    rows = [
        {
            "case": one.case.case,
            "number": one.case.number,
            "cohort": one.case.cohort,
            "frame": one.case.frame,
            "split": one.case.split,
            "patient": one.case.patient,
            "sequence": one.case.sequence,
            "decision": one.decision,
            "reasons": " ".join(one.reasons),
            "better": one.better or "",
            "reviewers": len(one.answers),
            "dice_before": one.case.figures.dice_before if one.case.figures else None,
            "dice_after": one.case.figures.dice_after if one.case.figures else None,
            "notes": " | ".join(one.notes),
        }
        for one in merged
    ]
    return pd.DataFrame(rows)


def disagreements_table(merged: list[MergedCase]) -> pd.DataFrame:
    """The cases on which reviewers disagree, with what each said."""
    disputed = [one for one in merged if one.decision == DISPUTED]
    names = sorted({name for one in disputed for name in one.answers})
    rows = [
        {
            "case": one.case.case,
            "cohort": one.case.cohort,
            "frame": one.case.frame,
            **{name: (one.answers[name].decision or "") if name in one.answers else "" for name in names},
        }
        for one in disputed
    ]
    return pd.DataFrame(rows, columns=["case", "cohort", "frame", *names])
