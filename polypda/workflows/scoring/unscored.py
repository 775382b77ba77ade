"""A target without labels: predictions of all its frames, label-free evidence before and after, an estimated Dice."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path

import numpy as np
import pandas as pd

from polypda.cohorts.frames import Frame
from polypda.evaluation.cases.run_metadata import SOURCE_ONLY
from polypda.evaluation.estimation.confidence import ConfidenceCounts, confidence_counts
from polypda.evaluation.estimation.estimated_dice import PairCounts
from polypda.evaluation.scoring.metrics import DEFAULT_THRESHOLD
from polypda.evaluation.scoring.predictions import predict_native
from polypda.files import write_json, write_png, write_table
from polypda.networks.weights import training_identity
from polypda.reporting.pages.page import OverlayImage, file_name
from polypda.reporting.pages.unscored_page import UnscoredPage, write_unscored
from polypda.training.progress import Progress
from polypda.workflows.scoring.label_free import (
    ModelPair,
    evenly_spaced_places,
)
from polypda.workflows.scoring.label_free_evidence import UnscoredRun, gathered_evidence, overlap
from polypda.workflows.scoring.prediction_overlay import unscored_overlay

NOT_SCORED = "not scored (no labels)"
MASKS = "masks"
PREDICTIONS, EVIDENCE = "predictions.csv", "evidence.json"
DIFFERING, SPACED = "the two models differ most here", "evenly spaced"


def report_unscored(run: UnscoredRun, why: str, overlays: int | None, progress: Progress) -> Path:
    """Predict every frame, weigh what can be weighed without labels, and write the folder; returns its page.

    No label of the target is opened. Args: why: nothing can be scored, in words. overlays: how many, None for all.
    Raises: DataError E_WRITE_FAILED, E_REPORT_EXISTS.
    """
    before, after = run.models.values()
    frames = [frame.without_label() for frame in run.target.frames]
    with write_unscored(run.folder) as page:
        table, counts = _predict_all(run, frames, page.folder, progress)
        evidence, table = gathered_evidence(run, ModelPair(before, after, run.asked), frames, table, counts, progress)
        write_table(page.folder / PREDICTIONS, table)
        identities = {name: training_identity(model) for name, model in run.models.items()}
        write_json(page.folder / EVIDENCE, {"models": identities, **evidence.as_json()})
        chosen = choose_unscored(table, len(frames) if overlays is None else overlays)
        page.complete(UnscoredPage(run.run_metadata, evidence, why), _overlays(run, frames, chosen))
    return run.folder / "index.html"


def _predict_all(
    run: UnscoredRun, frames: Sequence[Frame], folder: Path, progress: Progress
) -> tuple[pd.DataFrame, PairCounts]:
    """A mask of every frame and a row of what was marked; all pixels by confidence."""
    (folder / MASKS).mkdir()
    rows: list[dict[str, object]] = []
    seen: tuple[list[ConfidenceCounts], list[ConfidenceCounts]] = ([], [])
    taken: Counter[str] = Counter()
    progress.begin(f"predicting {run.target.id}", 0, len(frames))
    try:
        for number, one in enumerate(predict_native(run.models, frames, run.asked, scored=False), 1):
            before, after = one.probabilities.values()
            marked = [(map_ >= DEFAULT_THRESHOLD) & one.valid for map_ in (before, after)]
            name = _mask_name(one.frame, taken)
            write_png(folder / MASKS / name, marked[1].astype(np.uint8) * 255)
            area = max(1, int(one.valid.sum()))
            rows.append(
                {
                    "frame": one.frame.frame,
                    "mask": f"{MASKS}/{name}",
                    "split": str(one.frame.split or ""),
                    "patient": one.frame.patient or "",
                    "sequence": one.frame.sequence or "",
                    "foreground_before": marked[0].sum() / area,
                    "foreground_after": marked[1].sum() / area,
                    "agreement": overlap(marked[0], marked[1]),
                }
            )
            for index, map_ in enumerate((before, after)):
                seen[index].append(confidence_counts(map_, one.valid))
            progress.advance(number)
    finally:
        progress.end()
    return pd.DataFrame(rows), PairCounts(*(ConfidenceCounts.joined(counts) for counts in seen))


def known_answers(folder: Path, identities: Mapping[str, str], frames: Sequence[Frame]) -> pd.DataFrame | None:
    """The table of predictions in a folder that :func:`report_unscored` wrote, a row per frame in their order.

    None where it was made by other models or lacks a frame. identities: model name → identity of its weights.
    """
    try:
        told = json.loads((folder / EVIDENCE).read_text(encoding="utf-8"))
        table = pd.read_csv(folder / PREDICTIONS, dtype={"frame": str}, keep_default_na=False).set_index("frame")
        if told["models"] != dict(identities):
            return None
        return table.loc[[frame.frame for frame in frames]].reset_index()
    except (OSError, ValueError, KeyError):
        return None


def _mask_name(frame: Frame, taken: Counter[str]) -> str:
    stem = file_name(frame.frame)
    taken[stem.casefold()] += 1
    again = taken[stem.casefold()]
    return f"{stem}.png" if again == 1 else f"{stem}~{again}.png"


def choose_unscored(table: pd.DataFrame, count: int) -> list[tuple[int, str]]:
    """(place, why) of frames to look at: a third where the models differ most, the rest evenly spaced.

    At most one frame of a sequence as long as others are left. table: with columns frame, sequence, agreement.
    """
    group = table["sequence"].where(table["sequence"] != "", table["frame"])
    agreement = table["agreement"]
    differing = [int(index) for index in agreement.sort_values(kind="stable").index if agreement[index] < 1]
    chosen: dict[int, str] = {}

    def take(indices: Iterable[int], most: int, why: str, *, repeated: bool = False) -> None:
        shown = {group[index] for index in chosen}
        for index in indices:
            if len(chosen) == most:
                return
            if index not in chosen and (repeated or group[index] not in shown):
                chosen[index] = why
                shown.add(group[index])

    take(differing, count // 3, DIFFERING)
    spaced = evenly_spaced_places(len(table), count - len(chosen))
    for indices, repeated in ((spaced, False), (range(len(table)), False), ([*spaced, *range(len(table))], True)):
        take(indices, count, SPACED, repeated=repeated)
    return [
        (index, f"{why} (agreement {agreement[index]:.2f})" if why == DIFFERING else why)
        for index, why in chosen.items()
    ]


def _overlays(run: UnscoredRun, frames: Sequence[Frame], chosen: Sequence[tuple[int, str]]) -> Iterator[OverlayImage]:
    names = (SOURCE_ONLY, run.run_metadata.method)
    seen = predict_native(run.models, [frames[index] for index, _ in chosen], run.asked, scored=False)
    for (_, why), one in zip(chosen, seen, strict=True):
        image = unscored_overlay(one, run.target, names, why)
        yield OverlayImage(run.target.id, one.frame.frame, why, image)
