"""Reviews of painted predictions: the folder that a clinician opens, without a training."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path

import numpy as np
from PIL import Image

from polypda.cohorts.frames import Frame, LabelState, Split
from polypda.review.decisions import DECISIONS_SCHEMA, checksum
from polypda.review.folder import PredictedCase, ReviewPlan, write_review
from polypda.review.frames import entropy
from polypda.review.record import CaseFigures, ReviewRecord

MODELS = {"before": "source-only", "after": "adaptsegnet"}
SIZES = ("<1 %", "1–5 %", "5–15 %")


def disc(shape: tuple[int, int], x: float, y: float, radius: float) -> np.ndarray:
    rows, columns = np.mgrid[: shape[0], : shape[1]]
    return np.hypot(columns - x, rows - y) < radius


def painted_case(
    owner: Path, images: Path, number: int, *, name: str = "", shape: tuple[int, int] = (144, 192), jpeg: bool = False
) -> PredictedCase:
    """A tissue-coloured frame with a polyp that both models outline, each a little differently."""
    height, width = shape
    rng = np.random.default_rng(number)
    unit = width / 96
    x, y, radius = (48 + number % 7) * unit, (36 - number % 5) * unit, (9 + number % 4) * unit
    pixels = np.clip(np.array((176, 96, 80)) + rng.normal(0, 6, (height, width, 3)), 30, 255)
    polyp = disc(shape, x, y, radius)
    pixels[polyp] = np.clip(pixels[polyp] + (40, 30, 20), 0, 255)
    field = disc(shape, width / 2, height / 2, 0.47 * width)
    pixels[~field] = 0
    pixels = pixels.astype(np.uint8)
    images.mkdir(parents=True, exist_ok=True)
    path = images / f"{number:04d}{'.jpg' if jpeg else '.png'}"
    Image.fromarray(pixels).save(path, **({"quality": 92} if jpeg else {}))
    pixels = np.asarray(Image.open(path))
    negative = number % 5 == 4
    probability = np.where(disc(shape, x + 2 * unit, y, radius * 1.1), 0.95, 0.02).astype(np.float32)
    frame = Frame(
        "haining",
        name or f"frame-{number:04d}",
        path,
        patient=f"p{number // 2}",
        sequence=f"s{number}",
        label_state=LabelState.NONE,
        split=Split.TEST,
        mode=("WL", "NBI")[number % 2],
    )
    return PredictedCase(
        run="run",
        owner=owner,
        frame=frame,
        pixels=pixels,
        field=field,
        before=disc(shape, x - 3 * unit, y + unit, radius * 0.8),
        after=probability >= 0.5,
        trainings={"before": "weights-before", "after": "weights-after"},
        phantom=True,
        reference=np.zeros(shape, bool) if negative else polyp,
        uncertainty={"before": entropy(probability), "after": entropy(probability)},
        figures=CaseFigures(
            dice_before=None if negative else 0.6,
            dice_after=None if negative else 0.85,
            size="" if negative else SIZES[number % 3],
            outcome_before="clean" if negative else "found",
            outcome_after="false_alarm" if negative else "found",
        ),
        centre="Haining",
        device="Fujinon",
        why="worst",
        values={"worth_before": 0.6, "worth_after": 0.01 * number, "disagreement": 0.5 - 0.01 * number},
    )


def write_painted_review(folder: Path, count: int = 6, *, names: Sequence[str] = (), **plan) -> ReviewRecord:
    """A review in ``folder/page`` with its record in ``folder/run``."""
    shape, jpeg = plan.pop("shape", (144, 192)), plan.pop("jpeg", False)
    owner = folder / "run"
    owner.mkdir(parents=True, exist_ok=True)
    named = [names[number] if number < len(names) else "" for number in range(count)]
    cases = (
        painted_case(owner, folder / "images", number, name=name, shape=shape, jpeg=jpeg)
        for number, name in enumerate(named)
    )
    settings = {"models": MODELS, "part": "test", "order": "worst", "panels": False} | plan
    return write_review(folder / "page", cases, ReviewPlan(**settings))


def decisions_document(record: ReviewRecord, answers: Sequence[dict], *, reviewer: str = "Li", **changes) -> dict:
    """A decisions file as the page writes it: the n-th answer is to the n-th case."""
    usual = {"decision": None, "reasons": [], "note": "", "preference": None, "ms": 4000, "decided": None}
    document = {
        "schema": DECISIONS_SCHEMA,
        "review": record.review,
        "version": record.version,
        "reviewer": reviewer,
        "exported": "2026-01-02T03:04:05.678Z",
        "blinded": record.blinded,
        "answers": [
            {**usual, "case": case.case, "prediction": case.prediction, **answer}
            for case, answer in zip(record.cases, answers, strict=False)
        ],
        **changes,
    }
    return {**document, "checksum": checksum(document)}


def write_decisions(path: Path, document: dict) -> Path:
    path.write_text(json.dumps(document, ensure_ascii=False), encoding="utf-8")
    return path
