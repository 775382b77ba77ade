"""From frames' files to their figures, in this process or in two; what cannot be read is told, never raised."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import cv2

from polypda.cohorts.frames import Frame, LabelState
from polypda.cohorts.images import Image, mask_size_error, read_image, read_mask
from polypda.cohorts.stored_masks import FellowMasks
from polypda.errors import DataError
from polypda.processes import WorkerPool
from polypda.quality.statistics.figure_store import FigureStore
from polypda.quality.statistics.image import (
    ImageFigures,
    ReducedImage,
    image_figures,
    reduced_image,
)
from polypda.quality.statistics.polyps import NO_POLYP, PolypFigures, box_figures, mask_figures


@dataclass(frozen=True)
class MeasuredFrame:
    """A frame with its figures. picture: None where the image cannot be read. polyps: None without a label.

    problem: why image or label could not be used.
    """

    frame: Frame
    image: ImageFigures | None
    polyps: PolypFigures | None
    problem: DataError | None = None


def measure_files(frame: Frame, store: FigureStore) -> MeasuredFrame:
    """The frame's figures, from the store or from its files. Only a frame that carries a label has its mask opened.

    Pixels that the cohort says to ignore (burned-in text, insets) are no part of the field of view.
    """
    known = stored_figures(frame, store)
    if known is not None:
        return known
    try:
        image = read_image(frame.image)
        reduced = reduced_image(image)
        if frame.ignore is not None:
            reduced = reduced.without(_mask_of(frame, frame.ignore, image))
        decoded = image_figures(image, reduced)
        store.keep(decoded, _image_files(frame))
    except DataError as problem:
        return MeasuredFrame(frame, None, None, problem)
    try:
        polyps = _labelled(frame, image, reduced)
        if polyps is not None:
            store.keep(polyps, _label_files(frame), _beside(frame))
    except DataError as problem:
        return MeasuredFrame(frame, decoded, None, problem)
    return MeasuredFrame(frame, decoded, polyps)


def stored_figures(frame: Frame, store: FigureStore) -> MeasuredFrame | None:
    """The frame's figures where all of them are in the store, else None."""
    decoded = store.find(ImageFigures, _image_files(frame))
    if decoded is None:
        return None
    if frame.label_state is LabelState.NONE:
        return MeasuredFrame(frame, decoded, None)
    polyps = store.find(PolypFigures, _label_files(frame), _beside(frame))
    return None if polyps is None else MeasuredFrame(frame, decoded, polyps)


def _labelled(frame: Frame, image: Image, reduced: ReducedImage) -> PolypFigures | None:
    if frame.mask is not None:
        return mask_figures(reduced, _mask_of(frame, frame.mask, image, frame.fellows))
    if frame.boxes:
        return box_figures(reduced, [(box.x0, box.y0, box.x1, box.y1) for box in frame.boxes], image.shape)
    return NO_POLYP if frame.label_state is LabelState.NEGATIVE else None


def _image_files(frame: Frame) -> tuple[Path, ...]:
    return (frame.image, frame.ignore) if frame.ignore is not None else (frame.image,)


def _label_files(frame: Frame) -> tuple[Path, ...]:
    return (*_image_files(frame), frame.mask) if frame.mask is not None else _image_files(frame)


def _beside(frame: Frame) -> str:
    """What decides the label beside the frame's own files: its boxes, rows of a table of the whole cohort, or all masks
    of the cohort, which tell how its own is read."""
    if frame.mask is None:
        return repr([box[:4] for box in frame.boxes])
    return frame.fellows.identity.hex() if frame.fellows is not None else ""


def _mask_of(frame: Frame, path: Path, image: Image, fellows: FellowMasks | None = None) -> Image:
    mask = read_mask(path, fellows)
    if mask.shape != image.shape[:2]:
        raise mask_size_error(
            f"{frame.cohort}/{frame.frame}", (image.shape[1], image.shape[0]), (mask.shape[1], mask.shape[0])
        )
    return mask


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
    for index, frame in enumerate(frames):
        known = stored_figures(frame, store)
        if known is not None:
            measured[index] = known
            told()
    missing = [index for index in range(len(frames)) if index not in measured]
    work = partial(measure_files, store=store)
    wanted = [frames[index] for index in missing]
    if min(processes, MOST_PROCESSES) < 2 or len(missing) < WORTH_A_PROCESS:
        for index, frame in zip(missing, wanted, strict=True):
            measured[index] = work(frame)
            told()
    else:
        with WorkerPool(MOST_PROCESSES, cv2.setNumThreads, (1,)) as pool:
            try:
                for index, done in zip(missing, pool.map(work, wanted, chunksize=FRAMES_AT_ONCE), strict=True):
                    measured[index] = done
                    told()
            except BaseException:
                pool.shutdown(wait=False, cancel_futures=True)
                raise
    return [measured[index] for index in range(len(frames))]
