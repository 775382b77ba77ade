"""Statistics of cohorts: open them, measure some of their frames, compare, write the page."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

import cv2
import numpy as np
import pandas as pd

from polypda import __version__
from polypda.cache import FIGURES, trim
from polypda.cohorts.frames import Frame, LabelState, OpenedCohort
from polypda.cohorts.image_files import name_some
from polypda.cohorts.images import Image, read_image
from polypda.cohorts.opening import open_cohort
from polypda.errors import DataError, UsageError
from polypda.evaluation.cohort_differences import compare_cohorts
from polypda.evaluation.statistics.clusters import clusters_of
from polypda.quality.frame_table import drawn_evenly, frame_table, place_maps
from polypda.quality.measuring import MOST_PROCESSES, FigureStore, MeasuredFrame, measure_frames
from polypda.reporting.cohort_statistics import CohortStatistics, MeasuredCohort
from polypda.reporting.pages.page import preview

FRAMES = 250
SAMPLE_WIDTH_PX = 320
COMMONEST_SIZES = 3


@dataclass(frozen=True)
class StatsRequest:
    """What is measured. frames: per cohort, drawn evenly; None: all. labels_of: whose labels may be read; None: all.

    samples: frames shown per cohort. seed: of the draw and of every random choice.
    """

    cohorts: tuple[str, ...]
    frames: int | None = FRAMES
    seed: int = 0
    labels_of: tuple[str, ...] | None = None
    samples: int = 0


Told = Callable[[str, int, int], None]
"""Called after each frame with the cohort, the number done and the number of all."""


def cohort_statistics(
    request: StatsRequest,
    data_root: Path | None,
    *,
    cache: Path | None = None,
    processes: int = MOST_PROCESSES,
    told: Told | None = None,
) -> CohortStatistics:
    """Measure and compare cohorts. Masks and boxes of cohorts that are not in ``labels_of`` are never opened.

    cache: folder in which figures are kept by the content of the files; None: nowhere.

    Raises: UsageError E_COHORT_TWICE, E_LABELS_OF and E_COHORT_UNKNOWN; DataError E_STATS_UNREADABLE where no frame of
    a cohort can be read, and what :func:`~polypda.cohorts.opening.open_cohort` raises.
    """
    _check(request)
    opened = {name: _opened(name, data_root, _may_read(request, name)) for name in request.cohorts}
    store = FigureStore(None if cache is None else cache / FIGURES.name)
    measured = {
        name: _measured(name, cohort, request, store, processes, told) for name, (cohort, _) in opened.items()
    }  # fmt: skip
    if cache is not None:
        trim(cache)
    tables = {name: frame_table(name, frames) for name, frames in measured.items()}
    maps = {name: place_maps(frames) for name, frames in measured.items()}
    facts = [
        _facts(name, cohort, unread, measured[name], tables[name]) for name, (cohort, unread) in opened.items()
    ]  # fmt: skip
    return CohortStatistics(
        differences=compare_cohorts(pd.concat(list(tables.values()), ignore_index=True), seed=request.seed),
        maps={name: one for name, one in maps.items() if one is not None},
        facts=facts,
        settings=_settings(request),
        samples={name: _samples(frames, request) for name, frames in measured.items()} if request.samples else {},
    )


def _check(request: StatsRequest) -> None:
    twice = [name for name, count in Counter(request.cohorts).items() if count > 1]
    if twice:
        raise UsageError("E_COHORT_TWICE", f"'{twice[0]}' is named twice.", fix="name each cohort once.")
    strange = [name for name in request.labels_of or () if name not in request.cohorts]
    if strange:
        raise UsageError(
            "E_LABELS_OF",
            f"labels of '{strange[0]}' are allowed, but it is not among the cohorts.",
            fix=f"name one of {', '.join(request.cohorts)}.",
        )


def _may_read(request: StatsRequest, name: str) -> bool:
    return request.labels_of is None or name in request.labels_of


def _opened(name: str, data_root: Path | None, labels: bool) -> tuple[OpenedCohort, str]:
    """The cohort, and why its labels are not read, in words; a cohort with too few masks is measured without them."""
    if not labels:
        return open_cohort(name, data_root, labels=False), "not read, as was asked"
    try:
        return open_cohort(name, data_root), ""
    except DataError as error:
        if error.code not in ("E_MASK_MISSING", "E_BOX_MISSING"):
            raise
        return open_cohort(name, data_root, labels=False), f"not read: {error.what}"


def _measured(
    name: str, cohort: OpenedCohort, request: StatsRequest, store: FigureStore, processes: int, told: Told | None
) -> list[MeasuredFrame]:
    drawn = drawn_evenly(cohort.frames, request.frames, name=name, seed=request.seed)
    done = 0

    def on_frame() -> None:
        nonlocal done
        done += 1
        if told is not None:
            told(name, done, len(drawn))

    measured = measure_frames(drawn, store, processes=processes, on_frame=on_frame)
    if all(one.image is None for one in measured):
        first = next(one.problem for one in measured if one.problem is not None)
        raise DataError(
            "E_STATS_UNREADABLE",
            f"none of {len(measured)} frames can be read; the first: {first.code} {first.what}",
            where=name,
            fix=f"`polypda cohorts check {name}` names every file. {first.fix}",
        )
    return measured


def _facts(
    name: str, cohort: OpenedCohort, unread: str, measured: Sequence[MeasuredFrame], table: pd.DataFrame
) -> MeasuredCohort:
    clusters = clusters_of(table)
    states = Counter(str(label) for label in table["label"])
    counted = ", ".join(f"{states[state.value]} {WORDS[state]}" for state in LabelState if states[state.value])
    return MeasuredCohort(
        cohort=name,
        frames=len(cohort.frames),
        measured=len(table),
        labels=unread or counted,
        labels_read=not unread and set(states) != {"none"},
        clusters=f"{clusters.count} ({clusters.unit}s)" if clusters.known else "unknown",
        sizes=_sizes(measured),
        phantom=cohort.phantom,
        problems=tuple(_problems(measured)),
    )


WORDS = {
    LabelState.MASK: "with mask", LabelState.BOX: "with boxes", LabelState.NEGATIVE: "declared free of polyps",
    LabelState.NONE: "without label",
}  # fmt: skip


def _sizes(measured: Sequence[MeasuredFrame]) -> str:
    sizes = Counter((one.image.width_px, one.image.height_px) for one in measured if one.image is not None)
    told = [f"{width}×{height} ({count})" for (width, height), count in sizes.most_common(COMMONEST_SIZES)]
    more = len(sizes) - len(told)
    return ", ".join(told) + (f" and {more} more" if more else "")


def _problems(measured: Sequence[MeasuredFrame]) -> list[str]:
    by_code: dict[str, list[MeasuredFrame]] = {}
    for one in measured:
        if one.problem is not None:
            by_code.setdefault(one.problem.code, []).append(one)
    return [
        f"{len(group)} of {len(measured)} {'masks' if group[0].image is not None else 'frames'} could not be used "
        f"({code}): {name_some([one.frame.frame for one in group])}."
        for code, group in by_code.items()
    ]


def _settings(request: StatsRequest) -> dict[str, str]:
    drawn = "all" if request.frames is None else f"at most {request.frames} per cohort, drawn evenly over each"
    return {
        "command": f"polypda cohorts stats {' '.join(request.cohorts)}",
        "frames": f"{drawn} (seed {request.seed}); all parts of the split",
        "version": f"polypda {__version__}",
    }


def _samples(measured: Sequence[MeasuredFrame], request: StatsRequest) -> list[bytes]:
    held: list[Frame] = [one.frame for one in measured if one.image is not None]
    shown = drawn_evenly(held, request.samples, name="samples", seed=request.seed)
    return [preview(_small(read_image(frame.image))) for frame in shown]


def _small(image: Image) -> Image:
    scale = SAMPLE_WIDTH_PX / image.shape[1]
    size = (SAMPLE_WIDTH_PX, max(1, round(image.shape[0] * scale)))
    return image if scale >= 1 else np.asarray(cv2.resize(image, size, interpolation=cv2.INTER_AREA), np.uint8)
