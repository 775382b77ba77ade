"""The findings of a check: one HTML page with its images inside the file, and check.json for programs."""

from __future__ import annotations

import json
from collections import Counter
from functools import cache
from pathlib import Path
from typing import Any

import yaml

from polypda import __version__
from polypda.cohorts.frames import Frame
from polypda.evaluation.cases.run_metadata import PHANTOM_BANNER
from polypda.quality.checking.check_cohorts import CheckReport, JointReport
from polypda.quality.checking.cohort_view import Drawing, Finding, FrameName, OverlayMap, Severity
from polypda.reporting.overlays.check_images import finding_images
from polypda.reporting.pages.page import data_uri, render_page
from polypda.reporting.wording import counted

FRAMES_BANNER = "This page contains frames: do not publish it, and keep it where the cohort is kept"
MOST_LISTED = 300
SCHEMA = 1
FILE_NAME = "check.json"
LEGEND = {
    Drawing.MASK: "White: the mask; cyan: boxes.",
    Drawing.DEFECTS: "White: the mask; magenta circles: specks and holes.",
    Drawing.OUTSIDE: "White: the mask; cyan: the field of view; magenta: mask outside it.",
    Drawing.FIELD: "Cyan: the field of view that was found.",
    Drawing.GLARE: "Magenta: white pixels.",
    Drawing.COMB: "The middle of the frame, four times enlarged.",
    Drawing.MAP: "Magenta: where it lies; the stronger, the more frames show it.",
}


def render_check_page(report: JointReport, *, images: bool, leakage_allowed: bool) -> str:
    """The page's HTML. images: False for a page without frames; else the few that it shows are read."""
    frames = {(frame.cohort, frame.frame): frame for one in report.cohorts for frame in one.opened.frames}
    cohorts = [_cohort(one, frames, images) for one in report.cohorts]
    between = [_card(finding, frames, "", images) for finding in report.between]
    real = any(not one.opened.phantom for one in report.cohorts)
    shown = any(card["images"] for part in (*(c["cards"] for c in cohorts), between) for card in part)
    phantom = any(one.opened.phantom for one in report.cohorts)
    return render_page(
        "check_page.html.jinja",
        title="Check of " + ", ".join(one.cohort for one in report.cohorts),
        banners=[*([PHANTOM_BANNER] if phantom else []), *([FRAMES_BANNER] if real and shown else [])],
        leakage=_leakage(report, leakage_allowed),
        cohorts=cohorts,
        between=between,
        several=len(cohorts) > 1,
        images=images,
    )


def verdict(findings: tuple[Finding, ...]) -> tuple[str, str]:
    """(tone, sentence): whether a cohort can be used as it is."""
    errors = [finding for finding in findings if finding.severity is Severity.ERROR and not finding.leak]
    leaks = [finding for finding in findings if finding.leak]
    warnings = sum(finding.severity is Severity.WARNING for finding in findings)
    further = f"{counted(warnings, 'warning')} to read" if warnings else "no warnings"
    if errors and leaks:
        return "error", f"Not usable as it is, and its parts are not independent; {further}."
    if errors:
        return "error", f"Not usable as it is: {counted(len(errors), 'kind')} of errors; {further}."
    if leaks:
        return "error", f"Its parts are not independent: held-out figures would be too good; {further}."
    return ("warning", f"Usable; {further}.") if warnings else ("good", "Usable: nothing to put right.")


def _leakage(report: JointReport, allowed: bool) -> str:
    if not report.leaks:
        return ""
    leaks = f"{counted(len(report.leaks), 'kind')} of leakage between parts"
    if allowed:
        return f"LEAKAGE ALLOWED: {leaks}"
    return f"Leakage: {leaks}. Training and evaluation refuse such a split unless --allow-leakage is given."


def _cohort(report: CheckReport, frames: dict[FrameName, Frame], images: bool) -> dict[str, Any]:
    tally = Counter(finding.severity.value for finding in report.findings)
    tone, sentence = verdict(report.findings)
    cards = [_card(finding, frames, report.cohort, images) for finding in report.findings]
    plain = [card for card in cards if card["severity"] == "note" and not card["images"] and not card["listed"]]
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


def _card(finding: Finding, frames: dict[FrameName, Frame], cohort: str, images: bool) -> dict[str, Any]:
    drawn = finding_images(finding, frames, cohort) if images else []
    listed = list(finding.values.items()) or [(name, "") for name in finding.frames]
    return {
        "code": finding.code,
        "title": _titles().get(finding.code, finding.code),
        "severity": finding.severity.value,
        "leak": finding.leak,
        "message": finding.message[0].upper() + finding.message[1:] if finding.message else "",
        "legend": LEGEND.get(finding.drawing, "") if drawn else "",
        "images": [{"source": data_uri(one.jpeg, "jpeg"), "caption": one.caption, "wide": one.wide} for one in drawn],
        "listed": listed[:MOST_LISTED],
        "more": max(0, len(listed) - MOST_LISTED),
        "count": len(listed),
    }


@cache
def _titles() -> dict[str, str]:
    return yaml.safe_load(Path(__file__).with_name("check_titles.yaml").read_text(encoding="utf-8"))


def check_json(report: JointReport, *, leakage_allowed: bool) -> str:
    """The findings as JSON text; frames by name, nothing of this machine, no image."""
    content = {
        "schema": SCHEMA,
        "polypda": __version__,
        "errors": report.has_errors,
        "leaks": len(report.leaks),
        "leakage_allowed": leakage_allowed,
        "cohorts": [_cohort_json(one) for one in report.cohorts],
        "between_cohorts": [_finding_json(finding) for finding in report.between],
    }
    return json.dumps(content, ensure_ascii=False, indent=1) + "\n"


def _cohort_json(report: CheckReport) -> dict[str, Any]:
    return {
        "id": report.cohort,
        "layout": report.layout,
        "phantom": report.opened.phantom,
        "frames": len(report.opened.frames),
        "split": report.opened.counts(),
        "findings": [_finding_json(finding) for finding in report.findings],
    }


def _finding_json(finding: Finding) -> dict[str, Any]:
    return {
        "code": finding.code,
        "severity": finding.severity.value,
        "leak": finding.leak,
        "message": finding.message,
        "frames": list(finding.frames),
        "pairs": [[{"cohort": name[0], "frame": name[1]} for name in pair] for pair in finding.pairs],
        "values": finding.values,
        "facts": finding.facts,
        **({"maps": [_map_json(one) for one in finding.maps]} if finding.maps else {}),
    }


def _map_json(one: OverlayMap) -> dict[str, Any]:
    return {
        "size": list(one.size),
        "frames": one.frames,
        "with_text": len(one.with_text),
        "with_inset": len(one.with_inset),
        "text_share_mean": round(float(one.text.mean()), 6),
        "inset_share_mean": round(float(one.inset.mean()), 6),
        "still_share": round(one.still_share, 6),
    }
