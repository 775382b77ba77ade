"""The findings of a check as one HTML page: pictures inside the file, nothing fetched from anywhere."""

from __future__ import annotations

from collections import Counter
from typing import Any

from polypda.cohorts.frames import Frame
from polypda.evaluation.cases.statement import PHANTOM_BANNER
from polypda.quality.checking.check_cohorts import CheckReport, JointReport
from polypda.quality.checking.findings import Drawing, Finding, FrameName, Severity
from polypda.reporting.overlays.check_pictures import finding_pictures
from polypda.reporting.pages.check_titles import title_of
from polypda.reporting.pages.page import data_uri, page_environment
from polypda.reporting.pages.wording import counted

FRAMES_BANNER = "This page contains frames: do not publish it, and keep it where the cohort is kept"
MOST_LISTED = 300
LEGEND = {
    Drawing.MASK: "White: the mask; cyan: boxes.",
    Drawing.DEFECTS: "White: the mask; magenta circles: specks and holes.",
    Drawing.OUTSIDE: "White: the mask; cyan: the field of view; magenta: mask outside it.",
    Drawing.FIELD: "Cyan: the field of view that was found.",
    Drawing.GLARE: "Magenta: white pixels.",
    Drawing.COMB: "The middle of the frame, four times enlarged.",
    Drawing.MAP: "Magenta: where it lies; the stronger, the more frames show it.",
}


def render_check_page(report: JointReport, *, pictures: bool, leakage_allowed: bool) -> str:
    """The page's HTML. Reads the few frames that it shows, unless ``pictures`` is False."""
    frames = {(frame.cohort, frame.frame): frame for one in report.cohorts for frame in one.opened.frames}
    cohorts = [_cohort(one, frames, pictures) for one in report.cohorts]
    between = [_card(finding, frames, "", pictures) for finding in report.between]
    real = any(not one.opened.phantom for one in report.cohorts)
    shown = any(card["pictures"] for part in (*(c["cards"] for c in cohorts), between) for card in part)
    return (
        page_environment()
        .get_template("check_page.html.jinja")
        .render(
            title="Check of " + ", ".join(one.cohort for one in report.cohorts),
            banners=[
                *([PHANTOM_BANNER] if any(one.opened.phantom for one in report.cohorts) else []),
                *([FRAMES_BANNER] if real and shown else []),
            ],
            leakage=_leakage(report, leakage_allowed),
            cohorts=cohorts,
            between=between,
            several=len(cohorts) > 1,
            pictures=pictures,
        )
    )


def verdict(findings: tuple[Finding, ...]) -> tuple[str, str]:
    """(tone, sentence): whether a cohort can be used as it is."""
    errors = [finding for finding in findings if finding.severity is Severity.ERROR and not finding.leak]
    leaks = [finding for finding in findings if finding.leak]
    warnings = sum(finding.severity is Severity.WARNING for finding in findings)
    told = f"{counted(warnings, 'warning')} to read" if warnings else "no warnings"
    if errors and leaks:
        return "error", f"Not usable as it is, and its parts are not independent; {told}."
    if errors:
        return "error", f"Not usable as it is: {counted(len(errors), 'kind')} of errors; {told}."
    if leaks:
        return "error", f"Its parts are not independent: held-out figures would be too good; {told}."
    return ("warning", f"Usable; {told}.") if warnings else ("good", "Usable: nothing to put right.")


def _leakage(report: JointReport, allowed: bool) -> str:
    if not report.leaks:
        return ""
    told = f"{counted(len(report.leaks), 'kind')} of leakage between parts"
    if allowed:
        return f"LEAKAGE ALLOWED: {told}"
    return f"Leakage: {told}. Training and evaluation refuse such a split unless --allow-leakage is given."


def _cohort(report: CheckReport, frames: dict[FrameName, Frame], pictures: bool) -> dict[str, Any]:
    tally = Counter(finding.severity.value for finding in report.findings)
    tone, sentence = verdict(report.findings)
    cards = [_card(finding, frames, report.cohort, pictures) for finding in report.findings]
    plain = [card for card in cards if card["severity"] == "note" and not card["pictures"] and not card["listed"]]
    return {
        "id": report.cohort,
        "layout": report.layout,
        "count": len(report.opened.frames),
        "tone": tone,
        "verdict": sentence,
        "tally": [(name, tally.get(name, 0)) for name in ("error", "warning", "note")],
        "facts": plain,
        "cards": [card for card in cards if card not in plain],
    }


def _card(finding: Finding, frames: dict[FrameName, Frame], cohort: str, pictures: bool) -> dict[str, Any]:
    drawn = finding_pictures(finding, frames, cohort) if pictures else []
    listed = list(finding.values.items()) or [(name, "") for name in finding.frames]
    return {
        "code": finding.code,
        "title": title_of(finding.code),
        "severity": finding.severity.value,
        "leak": finding.leak,
        "message": finding.message[0].upper() + finding.message[1:] if finding.message else "",
        "legend": LEGEND.get(finding.drawing, "") if drawn else "",
        "pictures": [{"source": data_uri(one.jpeg, "jpeg"), "caption": one.caption, "wide": one.wide} for one in drawn],
        "listed": listed[:MOST_LISTED],
        "more": max(0, len(listed) - MOST_LISTED),
        "count": len(listed),
    }
