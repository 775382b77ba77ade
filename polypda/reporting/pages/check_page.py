"""The findings of a check: one HTML page with its pictures inside the file, and check.json for programs."""

from __future__ import annotations

import json
from collections import Counter
from typing import Any

from polypda import __version__
from polypda.cohorts.frames import Frame
from polypda.evaluation.cases.run_metadata import PHANTOM_BANNER
from polypda.quality.checking.check_cohorts import CheckReport, JointReport
from polypda.quality.checking.cohort_view import Drawing, Finding, FrameName, OverlayMap, Severity
from polypda.reporting.overlays.check_images import finding_images
from polypda.reporting.pages.page import data_uri, page_environment
from polypda.reporting.wording import counted

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


def render_check_page(report: JointReport, *, images: bool, leakage_allowed: bool) -> str:
    """The page's HTML. Reads the few frames that it shows, unless ``pictures`` is False."""
    frames = {(frame.cohort, frame.frame): frame for one in report.cohorts for frame in one.opened.frames}
    cohorts = [_cohort(one, frames, images) for one in report.cohorts]
    between = [_card(finding, frames, "", images) for finding in report.between]
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
            images=images,
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


def _cohort(report: CheckReport, frames: dict[FrameName, Frame], images: bool) -> dict[str, Any]:
    tally = Counter(finding.severity.value for finding in report.findings)
    tone, sentence = verdict(report.findings)
    cards = [_card(finding, frames, report.cohort, images) for finding in report.findings]
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


def _card(finding: Finding, frames: dict[FrameName, Frame], cohort: str, images: bool) -> dict[str, Any]:
    drawn = finding_images(finding, frames, cohort) if images else []
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


SCHEMA = 1
FILE_NAME = "check.json"


def check_json(report: JointReport, *, leakage_allowed: bool) -> str:
    """The findings as JSON text; frames by name, nothing of this machine, no picture."""
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


"""A heading in plain words for each code of a check."""

TITLES = {
    "E_MASK_MISSING": "Images without a mask",
    "E_BOX_MISSING": "Frames without their boxes",
    "W_MASK_ORPHAN": "Masks without an image",
    "N_EXCLUDED": "Left out on purpose",
    "E_IMAGE_TRUNCATED": "Images that end too early",
    "E_MASK_TRUNCATED": "Masks that end too early",
    "E_IMAGE_UNREADABLE": "Images that cannot be read",
    "E_IMAGE_MISSING": "Images that are gone",
    "E_MASK_UNREADABLE": "Masks that cannot be read",
    "E_MASK_SIZE": "Masks that do not have their image's size",
    "E_MASK_NOT_BINARY": "Masks that are no masks",
    "E_DUPLICATE_LEAK": "The same file in two parts of the split",
    "N_DUPLICATE": "The same file twice",
    "E_ALIKE_LEAK": "Nearly the same picture in two parts of the split",
    "N_ALIKE": "Nearly the same picture twice",
    "W_ALIKE_MANY": "Too many frames are alike",
    "W_SCENE_PARTED": "Probably one scene in two parts of the split",
    "N_CHAINS": "Sequences that nobody told",
    "N_SPLIT": "Split",
    "E_SPLIT_LEAK": "A patient or sequence in two parts of the split",
    "W_SPLIT_EMPTY": "A part without frames",
    "W_CLUSTER_UNKNOWN": "Patients and sequences are not told",
    "N_COUNT": "Number of frames",
    "W_COUNT": "Number of frames",
    "N_PHANTOM": "Rendered frames",
    "W_LAYOUT_UNVERIFIED": "Nobody has read this layout before",
    "N_SIZES": "Sizes",
    "W_SIZE": "Sizes unlike those declared",
    "E_NEGATIVE_MASK": "Declared free of polyps, but a polyp is drawn",
    "N_NEGATIVE": "Declared free of polyps",
    "N_MASK_EMPTY": "Empty masks",
    "W_NEGATIVE_COUNT": "Number of frames without a polyp",
    "N_MODES": "Imaging modes",
    "W_MODE": "Imaging modes unlike those declared",
    "N_BOXES": "Boxes",
    "W_BOXES_NONE": "No boxes",
    "W_BOX_OUTSIDE": "Boxes reach beyond the frame",
    "W_BOX_MASK": "Boxes do not fit the masks",
    "W_ORIENTATION": "Images that ask to be turned",
    "N_MASK_CHANNELS": "Masks with several channels",
    "N_MASK_COLOURED": "Colour-coded masks",
    "N_MASK_GREY": "Grey in the masks",
    "W_MASK_JAGGED": "Jagged masks",
    "W_MASK_SPECKS": "Specks in the masks",
    "N_MASK_HOLES": "Holes in the masks",
    "N_MASK_BORDER": "Polyps cut by the frame's border",
    "N_MASK_SEVERAL": "Several polyps in a frame",
    "W_MASK_OUTSIDE": "Masks outside the field of view",
    "W_INTERLACED": "Interlaced frames",
    "N_INTERLACED": "Interlaced frames",
    "N_INTERLACED_NOT": "Not interlaced",
    "W_FIELD_LOST": "No field of view found",
    "N_FIELD": "Field of view",
    "N_FIELD_ODD": "Fields of view unlike the others",
    "N_FIELD_SHAPE": "Field of view unlike the declared one",
    "W_TEXT": "Burned-in text",
    "N_TEXT": "Perhaps burned-in text",
    "N_INSET": "Insets",
    "N_STILL": "Content that never changes",
    "N_GLARE": "Over-exposed frames",
    "N_BLUR": "Blurred frames",
    "N_ANCESTRY": "Known ancestry",
    "E_SHARED_FRAMES": "Cohorts that share frames by their ancestry",
    "E_SHARED_PICTURES": "Pictures of one cohort's training part held out in another",
    "W_SHARED_PICTURES": "Pictures that two cohorts share",
}


def title_of(code: str) -> str:
    """The heading; the code itself where none is written."""
    return TITLES.get(code, code)
