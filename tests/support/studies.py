"""Study files for documents."""

from __future__ import annotations

from typing import Any

from polypda.reporting.documents.study import CohortStudy, Study


def told_everything(*cohorts: str) -> Study:
    """A study file with something of its own in every entry."""
    sections: dict[str, Any] = {
        name: {field: f"{name} {field} as told" for field in type(getattr(Study(), name)).model_fields}
        for name in Study.model_fields
        if name != "cohorts"
    }
    sections["study"]["design"] = "retrospective"
    blocks = {cohort: {field: f"{cohort} {field} as told" for field in CohortStudy.model_fields} for cohort in cohorts}
    return Study.model_validate({**sections, "cohorts": blocks})
