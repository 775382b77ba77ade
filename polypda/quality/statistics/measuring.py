"""Measuring many frames, in this process or in two."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import partial

import cv2

from polypda.cohorts.frames import Frame
from polypda.processes import WorkerPool
from polypda.quality.statistics.figure_store import FigureStore
from polypda.quality.statistics.frame_files import MeasuredFrame, measure_files, stored_figures

MOST_PROCESSES = 2
WORTH_A_PROCESS = 60
"""Frames below which starting processes takes longer than measuring."""
FRAMES_AT_ONCE = 8


def measure_frames(
    frames: Sequence[Frame],
    store: FigureStore,
    *,
    processes: int = MOST_PROCESSES,
    on_frame: Callable[[], None] | None = None,
) -> list[MeasuredFrame]:
    """Each frame's figures, in the frames' order. What is in the store is not decoded again.

    on_frame: called once per frame, as it is done. processes: at most 2; figures do not depend on it.
    """
    told = on_frame or (lambda: None)
    measured: dict[int, MeasuredFrame] = {}
    for place, frame in enumerate(frames):
        known = stored_figures(frame, store)
        if known is not None:
            measured[place] = known
            told()
    missing = [place for place in range(len(frames)) if place not in measured]
    work = partial(measure_files, store=store)
    wanted = [frames[place] for place in missing]
    if min(processes, MOST_PROCESSES) < 2 or len(missing) < WORTH_A_PROCESS:
        for place, frame in zip(missing, wanted, strict=True):
            measured[place] = work(frame)
            told()
    else:
        with WorkerPool(MOST_PROCESSES, cv2.setNumThreads, (1,)) as pool:
            try:
                for place, done in zip(missing, pool.map(work, wanted, chunksize=FRAMES_AT_ONCE), strict=True):
                    measured[place] = done
                    told()
            except BaseException:
                pool.shutdown(wait=False, cancel_futures=True)
                raise
    return [measured[place] for place in range(len(frames))]
