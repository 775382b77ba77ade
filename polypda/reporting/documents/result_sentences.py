"""The results in short sentences, for documents that have no room for tables; their words are in
result_sentences.md.jinja. With more than MOST_ROWS adaptations × models they tell the range over the target centres."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from typing import Any

import pandas as pd

from polypda.evaluation.cases.run_metadata import ORACLE, SOURCE_ONLY
from polypda.evaluation.statistics.intervals import IntervalKind
from polypda.reporting.documents.report_facts import NO_ADAPTATION, ReportFacts
from polypda.reporting.documents.templates import markdown_templates
from polypda.reporting.verdict import CLEAN_LOST, Finding, at_target, finding, records

MOST_ROWS = 8
WORST_FRAMES = 3
"""From this loss of frame specificity on, the verdict says so."""


def result_sentences(facts: ReportFacts) -> dict[str, list[str]]:
    """verdict (over the declared family), internal, external, performance, diagnostic, failures → sentences; none where
    there is nothing to say."""
    results = facts.results
    control = results.matrix[(results.matrix["model"] == SOURCE_ONLY) & results.matrix["dice"].notna()]
    means = results.aggregates
    means = means[~means["model"].isin(NO_ADAPTATION) & (means["n_centers"] > 0)]
    rows = at_target(results.centres)
    rows = rows[rows["model"] != ORACLE]
    adapted = rows[rows["model"] != SOURCE_ONLY]
    scored = adapted[adapted["dice_frame"].notna()]
    failed = rows[rows["n_dice"] > 0]
    many = len(scored) > MOST_ROWS
    verdict = _verdict(results.comparisons)
    own, trained = control["own_centre"].astype(bool), bool(facts.trained_here)
    performance = _sentences(
        "performance",
        rows=[] if many else records(scored),
        aggregates=records(means) if many else [],
        verdict=verdict[0] if many and verdict else "",
    )
    return {
        "verdict": verdict,
        "internal": _sentences("internal", cells=records(control[own])),
        "external": _sentences("external", cells=records(control[~own]), aggregates=records(means), trained=trained),
        "performance": performance if len(adapted) else [],
        "diagnostic": _sentences("diagnostic", **_each_or_groups(rows)) if len(rows) else [],
        "failures": (
            _sentences("failures", **_each_or_groups(failed), worst_frames=list(_worst_frames(facts)))
            if len(failed)
            else []
        ),
    }


def _sentences(macro: str, **facts: Any) -> list[str]:
    template = markdown_templates().get_template("result_sentences.md.jinja")
    return [line for line in str(getattr(template.module, macro)(**facts)).split("\n") if line]


def _each_or_groups(rows: pd.DataFrame) -> dict[str, list]:
    if len(rows) <= MOST_ROWS:
        return {"rows": records(rows), "groups": []}
    return {"rows": [], "groups": [(model, records(group)) for model, group in rows.groupby("model", sort=False)]}


def _verdict(comparisons: pd.DataFrame) -> list[str]:
    """How the adapted models did against source-only over the declared family; [] where nothing was compared."""
    family = comparisons[comparisons["in_family"].astype(bool)] if len(comparisons) else comparisons
    if family.empty:
        return []
    rows, clean = records(family), family["delta_frame_specificity"].dropna()
    found = Counter(map(finding, rows))
    return _sentences(
        "verdict",
        total=len(rows),
        helps=found[Finding.HELPS],
        harms=found[Finding.HARMS],
        may_help=found[Finding.MAY_HELP],
        may_harm=found[Finding.MAY_HARM],
        lower=int((family["delta"] < 0).sum()),
        independent=int((family["interval"] == IntervalKind.FRAMES).sum()),
        clean=len(clean),
        alarms=int((clean < -CLEAN_LOST).sum()),
    )


def _worst_frames(facts: ReportFacts) -> Iterator[tuple[str, list[dict[str, Any]]]]:
    frames = facts.results.frames
    scored = at_target(frames[frames["model"].isin(facts.adapted_models) & frames["dice"].notna()])
    means = scored.groupby(["cohort", "frame"], sort=True)["dice"].mean().reset_index()
    for cohort, group in means.groupby("cohort", sort=False):
        yield str(cohort), records(group.sort_values("dice", kind="stable").head(WORST_FRAMES))
