"""What returned labels show: both models scored on them, means over the whole set of frames, and how sure they are."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from polypda.cohorts.frames import Frame
from polypda.data.cache import load_native
from polypda.errors import DataError
from polypda.evaluation.cases.run_metadata import RunMetadata
from polypda.evaluation.estimation.estimated_dice import AFTER, BEFORE, CHANGE
from polypda.evaluation.estimation.stratified import LEAST_OF_A_STRATUM, SampleEstimate, merged, stratified_mean
from polypda.evaluation.scoring.metrics import FrameMetrics, frame_metrics
from polypda.evaluation.scoring.predictions import NativePrediction
from polypda.files import write_json, write_table
from polypda.integrity import check
from polypda.reporting.pages.audit_page import AuditAnswer, write_audit_answer
from polypda.reporting.pages.page import OverlayImage
from polypda.reporting.wording import signed
from polypda.training.progress import Progress
from polypda.workflows.audit.export import prefilled_mask
from polypda.workflows.audit.labels import ANNOTATIONS, ReturnedLabels, is_as_exported, read_labels
from polypda.workflows.audit.plan import ALL_PARTS, PLAN, AuditedRun, AuditPlan, Prefill
from polypda.workflows.runs.trained_models import learns_target_labels, wants_oracle
from polypda.workflows.scoring.evaluate import UNSCORED
from polypda.workflows.scoring.prediction_overlay import prediction_overlay
from polypda.workflows.scoring.unscored import EVIDENCE

ANSWER, OWN_LABELS = "answer", "own-labels"
"""Folder of an answer in that of its plan, and in the run where there is no plan."""
TABLE, FACTS = "answer.csv", "answer.json"


def find_plan(labels: Path, run_folder: Path) -> tuple[AuditPlan, Path] | None:
    """The plan that labels belong to: in their folder, the one above it, or the run's own; and where it lies.

    Raises: DataError E_AUDIT_PLAN for one that cannot be read.
    """
    for index in (labels, labels.resolve().parent, run_folder / "audit"):
        if (index / PLAN).is_file():
            return AuditPlan.read(index / PLAN), index
    return None


def answer_audit(
    audited: AuditedRun, labels: Path, out: Path, plan: AuditPlan | None, overlays: int | None, progress: Progress
) -> Path:
    """Score both models on returned labels and write what they show; returns the page.

    Args: out: folder of the answer; a former one gives way. plan: what the frames were drawn by; None: they were
        chosen otherwise, and are named as the target names them. overlays: how many, None for all.
    Raises: DataError E_AUDIT_PLAN, E_AUDIT_LABELS, E_AUDIT_FRAMES, E_AUDIT_FEW; what importing and scoring raise.
    """
    frames = _planned(audited, plan) if plan is not None else _named(audited, labels)
    returned = read_labels(labels, frames)
    if len(returned.masks) < LEAST_OF_A_STRATUM:
        told = "; ".join(f"{origin}: {what}" for origin, what in returned.left_out[:3])
        what = (
            f"only {len(returned.masks)} of {len(frames)} frames came back with outlines or as free of polyps. {told}"
        )
        fix = f"label at least {LEAST_OF_A_STRATUM} frames; boxes alone allow no Dice."
        raise DataError("E_AUDIT_FEW", what.strip(), where=labels, fix=fix)
    table = pd.DataFrame(list(_scored(audited, plan, frames, returned, progress)))
    answer = _answer(audited, plan, frames, returned, table)
    with write_audit_answer(out) as folder:
        write_table(folder.folder / TABLE, table)
        write_json(folder.folder / FACTS, answer.as_json())
        folder.complete(answer, _overlays(audited, frames, returned, table, overlays))
    return out / "index.html"


def _planned(audited: AuditedRun, plan: AuditPlan) -> dict[str, Frame]:
    """Exported image → frame. Raises: DataError E_AUDIT_PLAN where the plan is another run's, E_AUDIT_FRAMES."""
    different = [name for name, value in audited.identities.items() if plan.models.get(name) != value]
    if plan.target != audited.target.id or different:
        what = f"the plan was made for run '{plan.run}' on {plan.target}, whose models are others."
        raise DataError(
            "E_AUDIT_PLAN", what, where=audited.run.name, fix="give the run that the frames were drawn for."
        )
    known = {frame.frame: frame for frame in audited.target.frames}
    gone = [drawn.frame for drawn in plan.frames if drawn.frame not in known]
    if gone:
        what = f"{len(gone)} drawn frames are no longer there, such as {gone[0]}."
        raise DataError("E_AUDIT_FRAMES", what, where=audited.target.id, fix="bring them back, or draw anew.")
    return {drawn.image: known[drawn.frame] for drawn in plan.frames}


def _named(audited: AuditedRun, labels: Path) -> dict[str, Frame]:
    """Frames of the target that files in the folder are named after, or that annotation files name."""
    files = [path for path in sorted(labels.rglob("*")) if path.is_file()] if labels.is_dir() else []
    stems = {path.stem.removesuffix("_mask").removesuffix("-mask") for path in files}
    told = "\n".join(
        path.read_text(encoding="utf-8", errors="replace") for path in files if path.suffix.lower() in ANNOTATIONS
    )
    frames = {
        frame.image.name: frame
        for frame in audited.target.frames
        if frame.image.stem in stems or (told and frame.image.name in told)
    }
    if not frames:
        raise DataError(
            "E_AUDIT_FRAMES",
            f"no label there is named after a frame of {audited.target.id}, and there is no plan beside it.",
            where=labels,
            fix="name masks like the target's images; or draw frames first: polypda audit RUN --frames 20.",
        )
    return frames


def _scored(
    audited: AuditedRun,
    plan: AuditPlan | None,
    frames: Mapping[str, Frame],
    returned: ReturnedLabels,
    progress: Progress,
) -> Iterator[dict[str, object]]:
    strata = {drawn.image: drawn.stratum for drawn in plan.frames} if plan is not None else {}
    progress.begin("scoring labels", 0, len(returned.masks))
    try:
        for number, (image, mask) in enumerate(sorted(returned.masks.items()), 1):
            before, after = (metrics for _, metrics in _frame_scores(audited, frames[image], mask))
            yield {
                "image": image,
                "frame": frames[image].frame,
                "stratum": strata.get(image, 0),
                "polyp": before.positive,
                "no_polyp": before.negative,
                "dice_before": before.dice,
                "dice_after": after.dice,
                "change": after.dice - before.dice,
                "marked_before": before.predicted_px > 0,
                "marked_after": after.predicted_px > 0,
                "as_prefilled": _as_prefilled(audited, plan, frames[image], mask),
            }
            progress.advance(number)
    finally:
        progress.end()


def _frame_scores(
    audited: AuditedRun, frame: Frame, mask: NDArray[np.uint8]
) -> list[tuple[NDArray[np.float32], FrameMetrics]]:
    native = load_native(frame, audited.models.asked.grid)
    maps = audited.models.maps(native)
    return [(map_, frame_metrics(map_, mask, native.valid, frame=frame.frame)) for map_ in maps]


def _as_prefilled(audited: AuditedRun, plan: AuditPlan | None, frame: Frame, mask: NDArray[np.uint8]) -> bool:
    """Whether a label is exactly what was prefilled: perhaps nobody looked at it."""
    if plan is None or plan.prefill == Prefill.NONE.value:
        return False
    return is_as_exported(prefilled_mask(audited, frame), mask)


def _answer(
    audited: AuditedRun,
    plan: AuditPlan | None,
    frames: Mapping[str, Frame],
    returned: ReturnedLabels,
    table: pd.DataFrame,
) -> AuditAnswer:
    population = plan.population if plan is not None else len(audited.target.frames)
    sizes = [stratum.frames for stratum in plan.strata] if plan is not None else [population]
    codes, held = merged(table["stratum"].to_numpy(), np.array(sizes))
    positive = table["polyp"].to_numpy(bool)
    estimates = {
        BEFORE: _mean(table["dice_before"], codes, held, positive, (0.0, 1.0)),
        AFTER: _mean(table["dice_after"], codes, held, positive, (0.0, 1.0)),
        CHANGE: _mean(table["change"], codes, held, positive, (-1.0, 1.0)),
    }
    negative = table[table["no_polyp"].astype(bool)]
    return AuditAnswer(
        run=audited.run.name,
        source=audited.config.source,
        target=audited.target.id,
        models=audited.names,
        part=plan.part if plan is not None else ALL_PARTS,
        population=population,
        by_plan=plan is not None,
        asked=len(frames),
        labelled=len(table),
        positive=int(positive.sum()),
        negative=len(negative),
        false_alarms=(int(negative["marked_before"].sum()), int(negative["marked_after"].sum())),
        better_worse=(int((table["change"] > 0.05).sum()), int((table["change"] < -0.05).sum())),
        estimates=estimates,
        expected=(plan.expected_change, plan.expected_dice) if plan is not None else None,
        estimated_without_labels=_estimated_before(audited),
        prefill=plan.prefill if plan is not None else Prefill.NONE.value,
        as_prefilled=int(table["as_prefilled"].sum()),
        boxes_only=len(returned.boxes_only),
        left_out=returned.left_out,
        strata=len(held),
        clusters_known=all(frame.cluster for frame in frames.values()),
        labels_use=labels_use(audited),
        same_models=len(set(audited.identities.values())) == 1,
        phantom=audited.target.phantom,
    )


def _mean(
    values: pd.Series, codes: NDArray[np.int64], sizes: NDArray[np.int64], counted: NDArray[np.bool_],
    limits: tuple[float, float],
) -> SampleEstimate:  # fmt: skip
    return stratified_mean(values.to_numpy(float), codes, sizes, counted=counted, limits=limits)


def labels_use(audited: AuditedRun) -> str:
    """Whether labels of the target were used in training, in words that the run's tables use."""
    config = audited.config
    facts = {
        "run": audited.run.name, "source": config.source, "target": config.target, "method": audited.names[1],
        "selector": config.selector, "seeds": (config.seed,), "input_size": (config.data.size, config.data.size),
        "phantom": audited.target.phantom, "target_labels_used": wants_oracle(config),
        "target_labels_trained_on": learns_target_labels(config),
    }  # fmt: skip
    return RunMetadata.model_validate(facts).labels_text


def _estimated_before(audited: AuditedRun) -> dict[str, float]:
    """What was estimated without labels, by quantity; {} where the run has no such page.

    Raises: DataError E_FILE_CHANGED, E_CHECKSUMS.
    """
    path = audited.run.folder / UNSCORED / EVIDENCE
    if not path.is_file():
        return {}
    check(path)
    told = json.loads(path.read_text(encoding="utf-8"))["estimates"]
    return {one["quantity"]: one["value"] for one in told if one["rule"] == "temperature"}


def _overlays(
    audited: AuditedRun,
    frames: Mapping[str, Frame],
    returned: ReturnedLabels,
    table: pd.DataFrame,
    count: int | None,
) -> Iterator[OverlayImage]:
    """The most harmed first, then the most helped; frames without a polyp last."""
    rows = {str(row["image"]): row for row in table.to_dict("records")}
    for image in _shown(table, len(table) if count is None else count):
        frame, row = frames[image], rows[image]
        native = load_native(frame, audited.models.asked.grid)
        maps = dict(zip(audited.names, audited.models.maps(native), strict=True))
        mask = returned.masks[image]
        seen = NativePrediction(frame, native.image, native.view, mask, maps, ignored=native.ignored)
        why = f"Dice changes by {signed(float(row['change']))}" if row["polyp"] else "no polyp in this frame"
        own = pd.DataFrame(
            {"dice": [row["dice_before"], row["dice_after"]], "annotation": "mask"}, index=list(audited.names)
        )
        yield OverlayImage(audited.target.id, frame.frame, why, prediction_overlay(seen, audited.target, own, why))


def _shown(table: pd.DataFrame, count: int) -> Sequence[str]:
    """Images to draw: half of them from the harmed end, half from the other."""
    order = table.sort_values("change", kind="stable", na_position="last")["image"].tolist()
    if len(order) <= count:
        return order
    shown = set(table.loc[table["polyp"].astype(bool), "image"])
    polyps = [image for image in order if image in shown] or order
    harmed = polyps[: (count + 1) // 2]
    return [*harmed, *[image for image in polyps[::-1] if image not in harmed][: count - len(harmed)]]
