"""The page of a run whose target has no labels: what was marked, what is weighed without labels, what to do next."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import pandas as pd

from polypda.evaluation.cases.run_metadata import RunMetadata
from polypda.evaluation.estimation.estimated_dice import AFTER, BEFORE, CHANGE, CONFIDENCE, DiceEstimate
from polypda.evaluation.estimation.evidence import LabelFreeEvidence
from polypda.evaluation.estimation.known_errors import LEFT_OUT, known_errors
from polypda.files import write_whole
from polypda.reporting.pages.page import OverlayImage, draw_gallery, render_page
from polypda.reporting.report_folders import new_folder
from polypda.reporting.tables.text_table import TextTable
from polypda.reporting.wording import NOT_KNOWN, counted, interval, percent, plain, signed
from polypda.training.criteria import CRITERIA

HEADLINE = "Adapted; not scored (no labels)."
SUGGESTED_FRAMES = 20
SET_ASIDE = (
    "What was adapted is set aside for the reasons above: masks, shares and estimates called “after” are those of "
    "source-only, which the run hands out; the checkpoint criteria are those of the snapshot that was set aside."
)
QUANTITIES = {BEFORE: "Dice before (source-only)", AFTER: "Dice after", CHANGE: "Change"}
STAND_INS = {
    "as it is": "halves of the held-out source",
    "restyled": "halves restyled after the target",
    "other cohort": "other public cohorts",
}
RULES = {"temperature": "class-wise temperature", "threshold": "thresholded confidence"}
FILES = (
    ("masks", "a mask of every frame by the adapted model, PNG, 0 and 255, at the frame's own size"),
    ("predictions.csv", "a row per frame: what was marked before and after, agreement, expected Dice"),
    ("evidence.json", "the figures of this page for programs"),
    ("overlays", "the pictures below at full size"),
)


@dataclass(frozen=True)
class UnscoredPage:
    """What the page says. why: nothing can be scored, in words."""

    run_metadata: RunMetadata
    evidence: LabelFreeEvidence
    why: str


@dataclass(frozen=True)
class UnscoredFolder:
    """A folder under way."""

    folder: Path

    def complete(self, page: UnscoredPage, overlays: Iterable[OverlayImage]) -> None:
        """Write overlays and index.html. Raises: DataError E_WRITE_FAILED."""
        gallery = draw_gallery(overlays, self.folder).entries()
        write_whole(self.folder / "index.html", render_unscored(page, gallery))


@contextmanager
def write_unscored(folder: Path) -> Iterator[UnscoredFolder]:
    """The folder of a run whose target has no label, whole or not at all, over a former such folder.

    Raises: DataError E_REPORT_EXISTS, E_WRITE_FAILED.
    """
    with new_folder(folder, replace=True, former=("index.html",)) as work:
        yield UnscoredFolder(work)


def render_unscored(page: UnscoredPage, gallery: list[dict[str, str]]) -> str:
    """The page's HTML."""
    run_metadata, evidence = page.run_metadata, page.evidence
    facts = [
        (name, text) for name, text in run_metadata.lines().items() if name not in ("threshold", "protocol", "split")
    ]
    return render_page(
        "unscored_page.html.jinja",
        run_metadata=run_metadata,
        headline=headline(evidence, set_aside=bool(run_metadata.set_aside)),
        tone="worse" if evidence.findings else "unchanged",
        findings=evidence.findings,
        why=page.why.partition(":")[0].rstrip("."),
        figures=list(figures(evidence)),
        cautions=[*([SET_ASIDE] if run_metadata.set_aside else []), *run_metadata.notes, *cautions(evidence)],
        evidence=evidence_table(evidence),
        drift=drift_table(evidence),
        estimates=estimate_table(evidence),
        estimate_notes=list(estimate_notes(evidence)),
        frames=SUGGESTED_FRAMES,
        gallery=gallery,
        files=FILES,
        facts=facts,
    )


def headline(evidence: LabelFreeEvidence, *, set_aside: bool = False) -> str:
    """The first sentence: alarms before everything else. set_aside: the run hands out its source-only control."""
    if set_aside:
        return f"{HEADLINE} Keep the source model."
    return f"{HEADLINE} Not to be used without a closer look." if evidence.findings else HEADLINE


def figures(evidence: LabelFreeEvidence) -> Iterator[tuple[str, str, str]]:
    """(label, value, note) of the few numbers that matter."""
    before, after, change = (evidence.estimate(quantity) for quantity in (BEFORE, AFTER, CHANGE))
    if before and after and change:
        yield (
            "Estimated mean Dice (not measured)",
            f"{before.value:.2f} → {after.value:.2f}",
            f"after: {_range(after)}; if every frame shows a polyp",
        )
        yield "Estimated change of Dice", signed(change.value), _change_words(change)
    yield (
        "Share of the field that is marked",
        f"{percent(evidence.before.foreground, 1)} → {percent(evidence.after.foreground, 1)}",
        f"polyp in the source's labels: {percent(evidence.source_foreground, 1)}",
    )
    yield (
        "Frames on which nothing is marked",
        f"{percent(evidence.before.unmarked)} → {percent(evidence.after.unmarked)}",
        f"of {evidence.frames} frames; on {percent(evidence.changed)} the two models agree by a Dice below 0.5",
    )


def _range(estimate: DiceEstimate, digits: int = 2) -> str:
    if pd.isna(estimate.low):
        return "no interval: too few labelled frames to calibrate one"
    return f"between {plain(estimate.low, digits)} and {plain(estimate.high, digits)} by the stand-ins' errors"


def _change_words(change: DiceEstimate) -> str:
    if pd.isna(change.low):
        return "no interval: a change of either sign is possible"
    span = f"interval {interval(change.low, change.high)}"
    if change.low > 0:
        return f"{span}: hints at help; only labels can show it"
    if change.high < 0:
        return f"{span}: hints at harm"
    return f"{span}: a change of either sign is possible"


def cautions(evidence: LabelFreeEvidence) -> Iterator[str]:
    """What must be read with the numbers."""
    if evidence.estimates:
        yield (
            "Estimates are no measurements: a model that is wrong and sure of it is estimated too high, whatever the "
            "calibration. A small change cannot be told by them: label some frames."
        )
        yield known_error_words("temperature", AFTER)
        yield known_error_words("temperature", CHANGE)
    else:
        yield "Dice is not estimated: no held-out labelled frames of the source are here to calibrate confidence on."


def left_out_words() -> str:
    """How often such intervals held where it was tried; "" where it was not."""
    table = known_errors()
    if table.empty:
        return ""
    tried = table[table["calibrator"] == LEFT_OUT]
    if tried.empty:
        return ""
    least, most = percent(tried["within"].min()), percent(tried["within"].max())
    return (
        "Tried on other cohorts, each left out of its own interval: it held the truth in "
        f"{least} to {most} of them, by the rule and by what is estimated."
    )


def known_error_words(rule: str, quantity: str) -> str:
    """How far such an estimate was off where the truth is known; "" where it was not measured."""
    table = known_errors()
    if table.empty:
        return ""
    row = table[(table["rule"] == rule) & (table["calibrator"] == "source") & (table["quantity"] == quantity)]
    if row.empty:
        return ""
    one = row.iloc[0]
    what = "estimated changes of Dice" if quantity == CHANGE else "estimates of the adapted model's Dice"
    held = round(one["within"] * one["runs"]) if pd.notna(one["within"]) else None
    inside = "" if held is None else f"; the interval held the truth in {held} of {one['runs']}"
    return (
        f"Where the truth is known ({counted(one['runs'], 'run')} of {counted(one['pairs'], 'pair')} of public "
        f"cohorts), {what} were off by {one['mean_absolute_error']:.3f} on average and {one['largest_error']:.3f} at "
        f"most, too high in {percent(one['too_high'])} of them{inside}."
    )


def evidence_table(evidence: LabelFreeEvidence) -> TextTable:
    """What can be weighed without labels, one row each."""
    low, high = evidence.scales
    before, after = evidence.before, evidence.after
    rows = [
        [
            "share of the field that is marked", percent(before.foreground, 1), percent(after.foreground, 1),
            f"polyp in the source's labels: {percent(evidence.source_foreground, 1)}",
        ],
        [
            "frames on which nothing is marked", percent(before.unmarked), percent(after.unmarked),
            "missed polyps, or frames without one",
        ],
        [
            f"agreement between input sizes {low:g} and {high:g}", plain(before.scales), plain(after.scales),
            "Dice between a model's own answers; higher is steadier",
        ],
    ]  # fmt: skip
    for rule in CRITERIA.values():
        if rule.speaks_for_adaptation and (rule.key in before.criteria or rule.key in after.criteria):
            values = [model.criteria.get(rule.key, float("nan")) for model in (before, after)]
            better = "higher" if rule.direction > 0 else "lower"
            unit = f" ({rule.unit})" if rule.unit else ""
            rows.append([f"{rule.doc}{unit}", *(plain(value, 3) for value in values), f"{better} speaks for a model"])
    rows.append(
        [
            "Dice on the source's held-out frames", plain(before.source_dice, 3), plain(after.source_dice, 3),
            f"measured on {evidence.source_frames} labelled frames: is the source forgotten?",
        ]
    )  # fmt: skip
    rows.append(
        [
            "agreement of the two models", NOT_KNOWN, plain(evidence.agreement),
            f"Dice; below 0.5 on {percent(evidence.changed)} of the frames",
        ]
    )  # fmt: skip
    return TextTable(["without labels", "before", "after", "how to read it"], rows, left=1)


def drift_table(evidence: LabelFreeEvidence) -> TextTable | None:
    """How the adaptation moved while it trained; None where nothing was adapted."""
    rows = [
        ["source-only" if step < 0 else f"step {step}", percent(share, 1), plain(control), plain(together)]
        for step, share, control, together in evidence.drift
    ]
    headings = ["snapshot", "share of the field marked", "agreement with source-only", "agreement with the mean of all"]
    return TextTable(headings, rows, left=1) if rows else None


def estimate_table(evidence: LabelFreeEvidence) -> TextTable | None:
    """Every estimate with its interval and the errors behind it."""
    rows = []
    for one in evidence.estimates:
        digits = signed if one.quantity == CHANGE else plain
        span = NOT_KNOWN if pd.isna(one.low) else f"{digits(one.low, 3)} to {digits(one.high, 3)}"
        errors = list(one.errors.values())
        spread = f"{signed(min(errors), 3)} to {signed(max(errors), 3)}" if errors else NOT_KNOWN
        rows.append([QUANTITIES[one.quantity], RULES[one.rule], digits(one.value, 3), span, spread])
    headings = ["estimate", "by", "value", "interval", "errors on stand-ins"]
    return TextTable(headings, rows, left=2) if rows else None


def estimate_notes(evidence: LabelFreeEvidence) -> Iterator[str]:
    """What the estimates rest on."""
    if not evidence.estimates:
        return
    kinds = ", ".join(f"{count} {STAND_INS.get(kind, kind)}" for kind, count in evidence.pseudo_targets.items())
    count = sum(evidence.pseudo_targets.values())
    yield (
        f"Probabilities are calibrated on {evidence.source_frames} held-out frames of the source as source-only sees "
        "them, and the same calibration is used for the adapted model, whose own certainty is partly taught."
    )
    if count >= 1:
        first = evidence.estimates[0]
        yield (
            f"The interval comes from {count} stand-ins whose truth is known ({kinds}), which are "
            f"{counted(first.sets, 'set')} of frames: the value is the estimate less the mean error of these sets, and "
            f"the interval is made to hold the truth of {percent(CONFIDENCE)} of centres that are to them as they are "
            "to each other and as known pairs were; a centre that differs more is not covered."
        )
        yield left_out_words()
    if told := known_error_words("threshold", AFTER):
        yield f"By thresholded confidence: {told[0].lower()}{told[1:]}"
    yield "Estimates take every frame to show a polyp: frames without one, on which nothing is marked, lower them."
