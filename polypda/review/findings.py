"""From merged answers to the failure analysis that reports show."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Sequence

import numpy as np

from polypda.evaluation.aggregation.aggregates import SIZE_STRATA
from polypda.evaluation.cases.clinical_review import AgainstDice, AgreementRow, Preference, ReviewFindings, Stratum
from polypda.evaluation.statistics.agreement import Agreement
from polypda.evaluation.statistics.clusters import clusters_from_labels
from polypda.evaluation.statistics.permutation import sign_flip_tests
from polypda.review.decisions import REASONS
from polypda.review.merging import ANSWERS, DISPUTED, UNDECIDED, MergedCase
from polypda.review.record import ReviewCase, ReviewRecord

LOW_DICE, HIGH_DICE = 0.5, 0.8
FEWEST_TESTED = 5
"""Clusters from which on preferences are tested."""
FACETS: dict[str, Callable[[ReviewCase], str]] = {
    "centre": lambda case: case.centre or case.cohort,
    "size": lambda case: case.figures.size if case.figures else "",
    "device": lambda case: case.device,
    "mode": lambda case: case.mode,
    "result": lambda case: case.figures.outcome_after if case.figures else "",
}


def findings(
    record: ReviewRecord, run: str, merged: Sequence[MergedCase], agreement: Iterable[Agreement], reviewers: int
) -> ReviewFindings:
    """What a review of one run says."""
    times = [answer.ms / 1000 for one in merged for answer in one.answers.values() if answer.decision is not None]
    counts = Counter(one.decision for one in merged)
    return ReviewFindings(
        review=record.review,
        run=run,
        cohort=", ".join(dict.fromkeys(one.case.cohort for one in merged)),
        part=record.part,
        order=record.order,
        blinded=record.blinded,
        phantom=record.phantom,
        before=record.models["before"],
        after=record.models["after"],
        reviewers=reviewers,
        cases=len(merged),
        counts={name: counts.get(name, 0) for name in (*ANSWERS, DISPUTED, UNDECIDED)},
        reasons=_reasons(merged),
        strata=tuple(_strata(merged)),
        agreement=tuple(
            AgreementRow(
                name=one.name, value=_known(one.value), low=_known(one.low), high=_known(one.high), cases=one.cases,
                words=one.words,
            )
            for one in agreement
        ),
        preference=_preference(merged) if record.blinded else None,
        against_dice=_against_dice(merged),
        seconds=round(float(np.median(times)), 1) if times else None,
        minutes=round(sum(times) / 60, 1),
    )  # fmt: skip


def _reasons(merged: Iterable[MergedCase]) -> dict[str, int]:
    counts = Counter(reason for one in merged for reason in one.reasons)
    return {reason: counts[reason] for reason in REASONS if counts[reason]}


def _strata(merged: Sequence[MergedCase]) -> Iterator[Stratum]:
    judged = [one for one in merged if one.decision != UNDECIDED]
    for facet, of in FACETS.items():
        for value in sorted({of(one.case) for one in judged} - {""}, key=_place):
            own = [one for one in judged if of(one.case) == value]
            counts = Counter(one.decision for one in own)
            yield Stratum(
                facet=facet,
                value=value,
                judged=len(own),
                accept=counts["accept"],
                reject=counts["reject"],
                flag=counts["flag"],
                disputed=counts[DISPUTED],
                reasons=_reasons(own),
            )


def _place(value: str) -> tuple[int, str]:
    """Sizes from small to large, other values by name."""
    return (SIZE_STRATA.index(value) if value in SIZE_STRATA else len(SIZE_STRATA)), value


def _preference(merged: Sequence[MergedCase]) -> Preference:
    given = [one for one in merged if one.better is not None]
    counts = Counter(one.better for one in given)
    p, words = None, ""
    clusters = clusters_from_labels([one.cluster for one in given]) if given else None
    if clusters is None or len({one.cluster for one in given}) < FEWEST_TESTED:
        words = f"not tested: fewer than {FEWEST_TESTED} patients, sequences or frames"
    else:
        values = np.array([{"before": -1.0, "same": 0.0, "after": 1.0}[str(one.better)] for one in given])
        p = sign_flip_tests(values, clusters)[0].p_value
    return Preference(before=counts["before"], same=counts["same"], after=counts["after"], p=_known(p), words=words)


def _against_dice(merged: Sequence[MergedCase]) -> AgainstDice | None:
    known = [
        (dice, one.decision)
        for one in merged
        if one.case.figures is not None and (dice := getattr(one.case.figures, f"dice_{one.judged}")) is not None
    ]
    if not known:
        return None
    return AgainstDice(
        low=LOW_DICE,
        high=HIGH_DICE,
        accepted_below=sum(dice < LOW_DICE and decision == "accept" for dice, decision in known),
        rejected_above=sum(dice >= HIGH_DICE and decision == "reject" for dice, decision in known),
    )


def _known(value: float | None) -> float | None:
    return None if value is None or math.isnan(value) else round(float(value), 4)
