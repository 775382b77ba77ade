"""What clinicians said of the outlines: answers, reasons, where they fail, how far reviewers agree."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from polypda.evaluation.cases.clinical_review import AgreementRow, ReviewFindings
from polypda.evaluation.statistics.agreement import CONFIDENCE
from polypda.reporting.pages.page import Section
from polypda.reporting.tables.text_table import TextTable
from polypda.reporting.wording import NOT_KNOWN, counted

REASON_WORDS = {
    "missed": "missed polyp",
    "false_positive": "false mark",
    "too_large": "too large",
    "too_small": "too small",
    "artefact": "artefact or reflection",
    "unusable": "unusable frame",
}
RESULT_WORDS = {
    "found": "found",
    "partly": "found in part",
    "missed": "missed",
    "false_alarm": "false alarm",
    "clean": "nothing marked",
}


def review_sections(reviews: Sequence[ReviewFindings]) -> Iterator[Section]:
    """A section for each review that was imported."""
    for found in reviews:
        where = f"{found.run}, {found.cohort}" + (", rendered frames" if found.phantom else "")
        tables = [("", _answers(found)), ("Where outlines fail", _strata(found)), ("Reviewers", _agreement(found))]
        yield Section(
            f"Judged by clinicians: {where}",
            [(heading, table) for heading, table in tables if table.rows],
            notes=list(_notes(found)),
            anchor=f"review-{found.review}",
        )


def _answers(found: ReviewFindings) -> TextTable:
    judged = found.cases - found.counts["undecided"]
    rows = [
        [name, str(count), _fraction(count, judged)]
        for name, count in found.counts.items()
        if name != "undecided" and (count or name in ("accept", "reject"))
    ]
    rows += [
        [f"reason: {REASON_WORDS.get(name, name)}", str(n), _fraction(n, judged)] for name, n in found.reasons.items()
    ]
    if found.preference is not None:
        better = found.preference
        given = better.before + better.same + better.after
        for name, count in (("after", better.after), ("no difference", better.same), ("before", better.before)):
            rows.append([f"better, blinded: {name}", str(count), _fraction(count, given)])
    return TextTable(["answer", "cases", "share"], rows, left=1)


def _strata(found: ReviewFindings) -> TextTable:
    several = {one.facet for one in found.strata if sum(one.facet == other.facet for other in found.strata) > 1}
    rows = [
        [
            one.facet,
            RESULT_WORDS.get(one.value, one.value) if one.facet == "result" else one.value,
            str(one.judged),
            _fraction(one.accept, one.judged),
            _fraction(one.reject, one.judged),
            _fraction(one.flag + one.disputed, one.judged),
            ", ".join(f"{REASON_WORDS.get(name, name)} {count}" for name, count in one.reasons.items()) or "–",
        ]
        for one in found.strata
        if one.facet in several
    ]
    return TextTable(["", "part", "judged", "accepted", "rejected", "flagged or disputed", "reasons"], rows, left=2)


def _agreement(found: ReviewFindings) -> TextTable:
    rows = [[one.name, _value(one), str(one.cases)] for one in found.agreement]
    return TextTable(["coefficient", f"value [{CONFIDENCE:.0%} interval]", "cases of two or more"], rows, left=1)


def _value(row: AgreementRow) -> str:
    if row.value is None:
        return f"{NOT_KNOWN} ({row.words})" if row.words else NOT_KNOWN
    interval = f" ({row.words})" if row.low is None or row.high is None else f" [{row.low:.2f}, {row.high:.2f}]"
    return f"{row.value:.2f}{interval}".replace("-", "−")


def _notes(found: ReviewFindings) -> Iterator[str]:
    judged = found.cases - found.counts["undecided"]
    shown = "blinded, two outlines per frame" if found.blinded else f"shown: {found.before} and {found.after}"
    yield (
        f"{counted(found.reviewers, 'reviewer')} judged {judged} of {found.cases} cases of part {found.part} "
        f"({shown}), chosen in the order '{found.order}': shares are of these cases, not of the centre. Rejected cases "
        "stay in the test set."
    )
    if found.seconds is not None:
        yield f"Median reading time {found.seconds:.1f} s per case, {found.minutes:.1f} min in all."
    if found.against_dice is not None:
        odd = found.against_dice
        yield (
            f"Against Dice: {odd.accepted_below} accepted below {odd.low:g}, {odd.rejected_above} rejected from "
            f"{odd.high:g} on."
        )
    if found.preference is not None:
        better = found.preference
        p = (
            f"p = {better.p:.3f} (signs of patients, sequences or frames flipped)"
            if better.p is not None
            else better.words
        )
        yield f"Which is better was asked without saying which is which; {p}."


def _fraction(count: int, whole: int) -> str:
    return f"{count / whole:.0%}" if whole else "–"
