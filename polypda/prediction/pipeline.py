"""From frames to predictions, each step in a thread of its own: decoding, the network, and what is made of its maps.

The libraries that do the work let go of Python's lock, so two cores are busy; queues hold few frames, so memory stays
the same over any length of video.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from queue import Empty, Full, Queue
from threading import Event, Thread
from typing import TypeVar

import numpy as np
from numpy.typing import NDArray

from polypda.cohorts.field_of_view import Box
from polypda.data.cache import NativeFrame
from polypda.errors import PolypdaError
from polypda.importing.contract import Remark
from polypda.prediction.inputs import InputFrame, as_data_error
from polypda.prediction.model import ImagePrediction, LoadedModel

BLANK = "W_IMAGE_BLANK"
QUEUED = 8
"""Frames that wait between two steps."""
LOOK_S = 0.1
LONGEST_GAP_S = 0.5
"""Maps further apart in time than this are not smoothed together."""
SAME_FIELD = 0.9
"""Nor those whose fields of view overlap less: by a few pixels its edge moves from frame to frame."""

Item = TypeVar("Item")


@dataclass(frozen=True)
class PreparedFrame:
    """A decoded frame on its way to the network; native and inputs are None where it is broken."""

    frame: InputFrame
    native: NativeFrame | None = None
    inputs: tuple[NDArray[np.uint8], ...] = ()
    remarks: tuple[Remark, ...] = ()
    error: PolypdaError | None = None

    @property
    def blank(self) -> bool:
        """Whether all of it is of one colour: what a network says of that means nothing."""
        return any(one.code == BLANK for one in self.remarks)


@dataclass(frozen=True)
class PredictedFrame:
    """A frame with its prediction; prediction is None where it is broken, and error says why."""

    frame: InputFrame
    native: NativeFrame | None
    prediction: ImagePrediction | None
    remarks: tuple[Remark, ...] = ()
    error: PolypdaError | None = None


class TemporalSmoothing:
    """Maps of a video averaged over the time before: each weighs less by 1/e for every ``seconds`` that have passed.

    Only the past is looked at, so it holds for a camera as well. It begins anew where the field of view is another or
    frames are missing. before: the map of the frame before, its time and its field's box; None where there is none.
    """

    def __init__(self, seconds: float) -> None:
        self.seconds = seconds
        self.before: tuple[NDArray[np.float32], float, Box] | None = None

    def __call__(self, probability: NDArray[np.float32], t_s: float, native: NativeFrame) -> NDArray[np.float32]:
        """The smoothed map of a frame at ``t_s``."""
        crop = native.geometry.crop
        if self.before is not None:
            before, then_s, former = self.before
            passed_s = t_s - then_s
            same = before.shape == probability.shape and _overlap(former, crop) >= SAME_FIELD
            if same and 0 < passed_s <= LONGEST_GAP_S:
                kept = math.exp(-passed_s / self.seconds)
                probability = np.float32(kept) * before + np.float32(1 - kept) * probability
        self.before = (probability, t_s, crop)
        return probability


def _overlap(one: Box, other: Box) -> float:
    """Intersection over union of two boxes."""
    across = min(one.right, other.right) - max(one.left, other.left)
    down = min(one.bottom, other.bottom) - max(one.top, other.top)
    shared = max(0, across) * max(0, down)
    return shared / (one.width * one.height + other.width * other.height - shared)


def predicted_frames(
    model: LoadedModel, frames: Iterator[InputFrame], batch_size: int, smoothing: TemporalSmoothing | None = None
) -> Iterator[PredictedFrame]:
    """Predict frames in order. A frame that cannot be decoded comes with its error; a blank one with an empty map.

    Close the generator (or exhaust it) to end its threads.
    """
    with (
        ahead(prepared(model, frame) for frame in frames) as decoded,
        ahead(_asked(model, decoded, batch_size)) as asked,
    ):
        for one, maps in asked:
            if one.native is None:
                yield PredictedFrame(one.frame, None, None, one.remarks, one.error)
                continue
            shape = one.native.geometry.native
            probability = np.zeros(shape, np.float32) if maps is None else model.asked.to_native(one.native, maps)
            if smoothing is not None and one.frame.t_s is not None and maps is not None:
                probability = smoothing(probability, one.frame.t_s, one.native)
            yield PredictedFrame(one.frame, one.native, model.finish(one.native, probability), one.remarks)


def prepared(model: LoadedModel, frame: InputFrame) -> PreparedFrame:
    """Decode a frame, find its field of view, bring it to the network's sizes."""
    try:
        image = frame.read()
        native = model.prepare(image.pixels)
        return PreparedFrame(frame, native, model.asked.network_inputs(model.network, native), tuple(image.remarks))
    except Exception as error:  # decoders fed foreign bytes raise anything; one frame must not end the job
        return PreparedFrame(frame, error=as_data_error(error, frame.name))


def _asked(
    model: LoadedModel, frames: Iterable[PreparedFrame], batch_size: int
) -> Iterator[tuple[PreparedFrame, tuple[NDArray[np.float32], ...] | None]]:
    """The frames with the network's maps; None for broken and blank ones."""
    batch: list[PreparedFrame] = []
    for frame in frames:
        batch.append(frame)
        if len(batch) == batch_size:
            yield from _maps(model, batch)
            batch = []
    yield from _maps(model, batch)


def _maps(
    model: LoadedModel, batch: list[PreparedFrame]
) -> Iterator[tuple[PreparedFrame, tuple[NDArray[np.float32], ...] | None]]:
    inputs = [one.inputs for one in batch if one.native is not None and not one.blank]
    maps = iter(model.asked.network_maps(model.network, inputs) if inputs else ())
    for one in batch:
        yield one, None if one.native is None or one.blank else next(maps)


class _End:
    """The last item of a queue. error: what ended it, None for the end of the items."""

    def __init__(self, error: BaseException | None = None) -> None:
        self.error = error


@contextmanager
def ahead(items: Iterator[Item], size: int = QUEUED) -> Iterator[Iterator[Item]]:
    """The same items, made by a thread while the block works on earlier ones; at most ``size`` wait.

    What making them raises is raised where they are taken. Leaving the block ends the thread.
    """
    queue: Queue[Item | _End] = Queue(size)
    stop = Event()

    def put(item: Item | _End) -> None:
        while not stop.is_set():
            try:
                queue.put(item, timeout=LOOK_S)
                return
            except Full:
                continue

    def make() -> None:
        end = _End()
        try:
            for item in items:
                put(item)
                if stop.is_set():
                    break
        except BaseException as error:  # raised again where the items are taken
            end = _End(error)
        put(end)

    def taken() -> Iterator[Item]:
        while True:
            try:
                item = queue.get(timeout=LOOK_S)
            except Empty:
                if stop.is_set():
                    return
                continue
            if isinstance(item, _End):
                if item.error is not None:
                    raise item.error
                return
            yield item

    thread = Thread(target=make, daemon=True)
    thread.start()
    try:
        yield taken()
    finally:
        stop.set()
        thread.join()
