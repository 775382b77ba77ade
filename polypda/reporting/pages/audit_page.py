"""The page of an audit: what a few labels show of many frames, and how sure that is."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import pandas as pd

from polypda.evaluation.estimation.estimated_dice import AFTER, BEFORE, CHANGE
from polypda.evaluation.estimation.stratified import SampleEstimate
from polypda.files import write_whole
from polypda.reporting.pages.page import OverlayImage, draw_gallery, render_page
from polypda.reporting.report_folders import new_folder
from polypda.reporting.tables.text_table import TextTable
from polypda.reporting.wording import NO_BREAK, NOT_KNOWN, counted, interval, plain, signed

QUANTITIES = {BEFORE: "Dice before", AFTER: "Dice after", CHANGE: "change of Dice"}
FILES = (
    ("answer.csv", "a row per labelled frame: Dice before and after"),
    ("answer.json", "the figures of this page for programs"),
    ("overlays", "the pictures below at full size"),
)
LEFT_OUT_SHOWN = 10
FEW_FRAMES = 40
"""Below this the interval of a mean Dice holds less often than it says (see :mod:`~.estimation.stratified`)."""


@dataclass(frozen=True)
class AuditAnswer:
    """What returned labels show.

    models: names of source-only and the other. part: of the target that is spoken of; population: its frames.
    by_plan: the frames were drawn at random; else they were chosen in a way that is not known. asked: frames that were
    to be labelled; labelled: that came back. positive, negative: of them with and without a polyp. false_alarms: of the
    latter on which something is marked, before and after. better_worse: frames whose Dice moved by more than 0.05.
    estimates: before, after, change. expected: half widths of the intervals of change and Dice as told beforehand.
    estimated_without_labels: by quantity. as_prefilled: labels that are exactly the prefilled outlines.
    labels_use: whether labels of the target were used in training. same_models: the run hands out source-only, so that
    there is no change to be seen.
    """

    run: str
    source: str
    target: str
    models: tuple[str, str]
    part: str
    population: int
    by_plan: bool
    asked: int
    labelled: int
    positive: int
    negative: int
    false_alarms: tuple[int, int]
    better_worse: tuple[int, int]
    estimates: dict[str, SampleEstimate]
    expected: tuple[float, float] | None
    estimated_without_labels: dict[str, float] = field(default_factory=dict)
    prefill: str = "none"
    as_prefilled: int = 0
    boxes_only: int = 0
    left_out: tuple[tuple[str, str], ...] = ()
    strata: int = 1
    clusters_known: bool = False
    labels_use: str = ""
    same_models: bool = False
    phantom: bool = False

    def as_json(self) -> dict[str, Any]:
        """Plain values; null for what is not known (JSON knows no NaN)."""
        values = asdict(self)
        for one in values["estimates"].values():
            one |= {name: None for name in ("value", "low", "high") if pd.isna(one[name])}
            one["degrees"] = None if one["degrees"] == float("inf") else one["degrees"]
        return values


@dataclass(frozen=True)
class AuditFolder:
    """A folder under way."""

    folder: Path

    def complete(self, answer: AuditAnswer, overlays: Iterable[OverlayImage]) -> None:
        """Write overlays and index.html. Raises: DataError E_WRITE_FAILED."""
        gallery = draw_gallery(overlays, self.folder).entries()
        write_whole(self.folder / "index.html", render_audit(answer, gallery))


@contextmanager
def write_audit_answer(folder: Path) -> Iterator[AuditFolder]:
    """The folder of an answer, whole or not at all, over a former one. Raises: DataError E_REPORT_EXISTS,
    E_WRITE_FAILED."""
    with new_folder(folder, replace=True, former=("index.html", "answer.json")) as work:
        yield AuditFolder(work)


def render_audit(answer: AuditAnswer, gallery: list[dict[str, str]]) -> str:
    """The page's HTML."""
    tone, headline = verdict(answer)
    return render_page(
        "audit_page.html.jinja",
        answer=answer,
        tone=tone,
        headline=headline,
        figures=list(figures(answer)),
        cautions=list(cautions(answer)),
        table=estimate_table(answer),
        left_out=answer.left_out[:LEFT_OUT_SHOWN],
        gallery=gallery,
        files=FILES,
    )


def verdict(answer: AuditAnswer) -> tuple[str, str]:
    """(tone, sentence): help and harm are said only of an interval that excludes 0."""
    change = answer.estimates[CHANGE]
    where, these = f"Dice in {answer.target}", f"the {answer.population} frames of {answer.target}"
    if pd.isna(change.value):
        return "unknown", "Not answered: no labelled frame shows a polyp."
    if pd.isna(change.low):
        if change.value == 0:
            return "unchanged", f"No change seen: {where} is the same on every labelled frame."
        return "unknown", f"Not shown to help: {where} changes by {signed(change.value)}, without an interval."
    span = interval(change.low, change.high)
    if not answer.by_plan:
        return "unknown", f"{where} changes by {signed(change.value)} ({span}) on frames that were not drawn at random."
    if change.low > 0:
        return "better", f"Yes, on {these}: Dice rises by {change.value:.2f} ({span})."
    if change.high < 0:
        return "worse", f"No: on {these} Dice falls by {-change.value:.2f} ({span})."
    words = f"on {these} Dice changes by {signed(change.value)} ({span}), which may be chance."
    return "unchanged", f"Not shown to help: {words}"


def figures(answer: AuditAnswer) -> Iterator[tuple[str, str, str]]:
    """(label, value, note) of the few numbers that matter."""
    before, after, change = (answer.estimates[name] for name in (BEFORE, AFTER, CHANGE))
    if not pd.isna(after.value):
        note = NOT_KNOWN if pd.isna(after.low) else f"after: 95 % interval {after.low:.2f} to {after.high:.2f}"
        yield "Mean Dice, frames with a polyp", f"{before.value:.2f} → {after.value:.2f}", note
        half = "no interval" if pd.isna(change.low) else f"±{NO_BREAK}{change.half_width:.2f}"
        told = f"; expected beforehand: ±{NO_BREAK}{answer.expected[0]:.2f}" if answer.expected else ""
        yield "Change", signed(change.value), f"{half}{told}"
        better, worse = answer.better_worse
        yield (
            "Labelled frames better / worse",
            f"{better} / {worse}",
            f"by more than 0.05, of {answer.positive} with a polyp",
        )
    if answer.negative:
        was, now = answer.false_alarms
        yield "False alarms on frames without a polyp", f"{was} → {now}", f"of {answer.negative} labelled ones"


def cautions(answer: AuditAnswer) -> Iterator[str]:
    """What must be read with the numbers."""
    if answer.same_models:
        yield "The run set its adaptation aside and hands out source-only: before and after are one and the same model."
    whole = f"all {answer.population} frames of {answer.target}"
    part = "" if answer.part == "all" else f" (part {answer.part})"
    yield f"{answer.labelled} of {answer.asked} frames came back with a label. They speak for {whole}{part}."
    if answer.by_plan:
        yield (
            f"They were drawn at random within {counted(answer.strata, 'stratum').replace('stratums', 'strata')} of "
            "predicted difference and size; the same frames were scored by both models. The interval is about these "
            "frames, not about further patients" + ("." if answer.clusters_known else ", who are not told apart here.")
        )
    else:
        yield (
            "They were not drawn by `polypda audit --frames`: how they were chosen is not known. The interval holds "
            "only if they are as good as a random sample; frames chosen by eye seldom are."
        )
    yield f"Labels in training: {answer.labels_use}. The labels read here are used for nothing but this page."
    if answer.part in ("all", "train", "validation"):
        yield "The method saw training frames of the target while it adapted, without their labels."
    if answer.by_plan and answer.labelled < answer.asked:
        yield (
            f"{answer.asked - answer.labelled} drawn frames have no label: the estimate takes the others of their "
            "stratum for them. If the difficult ones were left out, it is too good."
        )
    if answer.prefill != "none":
        words = f"{answer.as_prefilled} labels are exactly the prefilled outlines; " if answer.as_prefilled else ""
        yield f"Labels began from prefilled outlines of the models: {words}Dice of both models may be too high."
    if answer.labelled < FEW_FRAMES:
        yield (
            f"Fewer than {FEW_FRAMES} labelled frames: the interval of Dice itself is likely somewhat too narrow "
            "(played on real centres, those of 20 frames held in 88 to 92 %, those of the change in 93 to 95 %)."
        )
    if answer.boxes_only:
        yield f"{counted(answer.boxes_only, 'frame')} came back with boxes alone, which allow no Dice."
    if answer.estimated_without_labels:
        told = answer.estimated_without_labels
        yield (
            f"Without labels Dice had been estimated at {plain(told[BEFORE])} before and {plain(told[AFTER])} after "
            f"(change {signed(told[CHANGE])})."
        )


def estimate_table(answer: AuditAnswer) -> TextTable:
    """Every estimate with its interval."""
    rows = []
    for name, one in answer.estimates.items():
        digits = signed if name == CHANGE else plain
        span = NOT_KNOWN if pd.isna(one.low) else f"{digits(one.low, 3)} to {digits(one.high, 3)}"
        degrees = NOT_KNOWN if one.degrees in (0.0, float("inf")) else f"{one.degrees:.1f}"
        rows.append([QUANTITIES[name], digits(one.value, 3), span, str(one.n), degrees, one.words])
    headings = ["mean over frames with a polyp", "value", "95 % interval", "labelled", "degrees of freedom", "remark"]
    return TextTable(headings, rows, left=1).without_empty_columns()
