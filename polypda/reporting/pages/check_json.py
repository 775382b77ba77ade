"""check.json: everything that a check found, for programs."""

from __future__ import annotations

import json
from typing import Any

from polypda import __version__
from polypda.quality.checking.check_cohorts import CheckReport, JointReport
from polypda.quality.checking.cohort_view import OverlayMap
from polypda.quality.checking.findings import Finding

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
        "cohorts": [_cohort(one) for one in report.cohorts],
        "between_cohorts": [_finding(finding) for finding in report.between],
    }
    return json.dumps(content, ensure_ascii=False, indent=1) + "\n"


def _cohort(report: CheckReport) -> dict[str, Any]:
    return {
        "id": report.cohort,
        "layout": report.layout,
        "phantom": report.opened.phantom,
        "frames": len(report.opened.frames),
        "split": report.opened.counts(),
        "findings": [_finding(finding) for finding in report.findings],
    }


def _finding(finding: Finding) -> dict[str, Any]:
    return {
        "code": finding.code,
        "severity": finding.severity.value,
        "leak": finding.leak,
        "message": finding.message,
        "frames": list(finding.frames),
        "pairs": [[{"cohort": name[0], "frame": name[1]} for name in pair] for pair in finding.pairs],
        "values": finding.values,
        "facts": finding.facts,
        **({"maps": [_map(one) for one in finding.maps]} if finding.maps else {}),
    }


def _map(one: OverlayMap) -> dict[str, Any]:
    return {
        "size": list(one.size),
        "frames": one.frames,
        "with_text": len(one.with_text),
        "with_inset": len(one.with_inset),
        "text_share_mean": round(float(one.text.mean()), 6),
        "inset_share_mean": round(float(one.inset.mean()), 6),
        "still_share": round(one.still_share, 6),
    }
