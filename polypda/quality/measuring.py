"""From frames' files to their figures, measured once and kept by the content of the files."""

from __future__ import annotations

import base64
import binascii
import hashlib
import json
import zlib
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any, TypeVar

import cv2
import numpy as np
from numpy.typing import NDArray

from polypda.cache import Store
from polypda.cohorts.frames import Frame, LabelState
from polypda.cohorts.images import Image, mask_size_error, read_image, read_mask
from polypda.cohorts.stored_masks import FellowMasks
from polypda.errors import DataError
from polypda.integrity import sha256_of
from polypda.processes import WorkerPool
from polypda.quality.frame_figures import (
    MAP_SIDE,
    NO_POLYP,
    ImageFigures,
    PolypFigures,
    ReducedImage,
    box_figures,
    image_figures,
    mask_figures,
    reduced_image,
)

FIGURES_VERSION = 2
"""Raise it whenever a figure is measured differently: older entries are then never found."""
Figures = TypeVar("Figures", ImageFigures, PolypFigures)


@dataclass(frozen=True)
class FigureStore:
    """Figures that were measured before, one small JSON file each; an image's and its label's are separate entries.

    folder None: nothing is kept.
    """

    folder: Path | None

    def find(self, kind: type[Figures], files: tuple[Path, ...], beside: str = "") -> Figures | None:
        """The figures made from these files and what is known beside them; None where there are none."""
        name = _name(kind, files, beside)
        stored = None if name is None else Store(self.folder).read(name)
        if stored is None:
            return None
        try:
            values = json.loads(stored).items()
            known: dict[str, Any] = {name: _map(v) if isinstance(v, dict) else v for name, v in values}
            return kind(**known)
        except (ValueError, LookupError, TypeError, AttributeError, zlib.error, binascii.Error):
            return None  # damaged: it is measured again

    def keep(self, figures: ImageFigures | PolypFigures, files: tuple[Path, ...], beside: str = "") -> None:
        """Keep figures for the next time. A store that cannot be written to is no reason to stop measuring."""
        name = _name(type(figures), files, beside)
        if name is not None:
            Store(self.folder).keep(name, json.dumps(_packed(figures)).encode())


def _name(kind: type[ImageFigures] | type[PolypFigures], files: tuple[Path, ...], beside: str) -> str | None:
    digest = hashlib.sha256(f"{FIGURES_VERSION} {kind.__name__} {beside}".encode())
    try:
        for file in files:
            digest.update(bytes.fromhex(sha256_of(file)))
    except OSError:
        return None
    return f"{digest.hexdigest()[:40]}.json"


def _packed(figures: ImageFigures | PolypFigures) -> dict[str, Any]:
    packed = {}
    for name, value in vars(figures).items():
        pixels = base64.b64encode(zlib.compress(value.tobytes())).decode() if isinstance(value, np.ndarray) else ""
        packed[name] = {"map": pixels} if pixels else value
    return packed


def _map(value: dict[str, str]) -> NDArray[np.uint8]:
    pixels = np.frombuffer(zlib.decompress(base64.b64decode(value["map"])), np.uint8)
    return pixels.reshape(MAP_SIDE, MAP_SIDE)


@dataclass(frozen=True)
class MeasuredFrame:
    """A frame with its figures. image: None where it cannot be read. polyps: None without a label. problem: why."""

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
    done_one = on_frame or (lambda: None)
    measured: dict[int, MeasuredFrame] = {}
    for index, frame in enumerate(frames):
        known = stored_figures(frame, store)
        if known is not None:
            measured[index] = known
            done_one()
    missing = [index for index in range(len(frames)) if index not in measured]
    work = partial(measure_files, store=store)
    wanted = [frames[index] for index in missing]
    if min(processes, MOST_PROCESSES) < 2 or len(missing) < WORTH_A_PROCESS:
        for index, frame in zip(missing, wanted, strict=True):
            measured[index] = work(frame)
            done_one()
    else:
        with WorkerPool(MOST_PROCESSES, cv2.setNumThreads, (1,)) as pool:
            try:
                for index, done in zip(missing, pool.map(work, wanted, chunksize=FRAMES_AT_ONCE), strict=True):
                    measured[index] = done
                    done_one()
            except BaseException:
                pool.shutdown(wait=False, cancel_futures=True)
                raise
    return [measured[index] for index in range(len(frames))]
