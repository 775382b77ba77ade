"""How far a video has been predicted, so that a stopped command goes on within it.

A video is gone through in segments of whole batches, so that the network sees the same batches however often it is
stopped. After each segment its overlay, the smoothed map and the counts are kept in ``.videos/NAME``; a later command
reads over the frames that are done, which costs their decoding alone. What comes out is the same, byte for byte.
"""

from __future__ import annotations

import json
import math
import shutil
from collections.abc import Iterable
from contextlib import ExitStack, suppress
from dataclasses import asdict, dataclass, field
from fractions import Fraction
from pathlib import Path

import numpy as np

from polypda.cohorts.field_of_view import Box
from polypda.files import whole_file, write_failed, write_json
from polypda.prediction.inputs import Input
from polypda.prediction.model import Image
from polypda.prediction.outputs import FrameRow, PredictionTable
from polypda.prediction.pipeline import TemporalSmoothing
from polypda.prediction.video_overlay import VideoWriter, join_segments, video_segment

FOLDER = ".videos"
STATE, MAP = "state.json", "smoothed.npz"
SEGMENT_FRAMES = 256
"""About so many, ten seconds: what a stopped command loses at most."""


@dataclass
class Counts:
    """What has been done of a video. digest: of its file, see :attr:`Input.digest`. last: time of the last drawn frame,
    see VideoWriter."""

    digest: str = ""
    frames: int = 0
    broken: int = 0
    marked: int = 0
    segments: int = 0
    last: int = -1
    size: tuple[int, int] | None = None


@dataclass
class VideoProgress:
    """One video under way. drawn: whether an overlay video is made of it; rate, pixel_aspect: of that."""

    one: Input
    folder: Path
    batch_size: int
    rate: float
    pixel_aspect: Fraction | None
    drawn: bool
    done: Counts = field(default_factory=Counts)

    def __enter__(self) -> VideoProgress:
        self._open = ExitStack()
        self._writer: VideoWriter | None = None
        try:
            self.folder.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise write_failed(self.folder, error) from error
        return self

    def __exit__(self, *error: object) -> None:
        self._open.__exit__(*error)  # type: ignore[arg-type]  # of an error nothing half-written stays

    @property
    def every(self) -> int:
        """Frames of a segment: whole batches."""
        return self.batch_size * math.ceil(SEGMENT_FRAMES / self.batch_size)

    def draw(self, image: Image, t_s: float) -> None:
        """Add a frame to the overlay video."""
        if self._writer is None:
            path = self._segment(self.done.segments)
            writer = video_segment(path, self.rate, self.pixel_aspect, self.done.last, self.done.size)
            self._writer = self._open.enter_context(writer)
        self._writer.add(image, t_s)
        self.done.last, self.done.size = self._writer.last, self._writer.size

    def count(self, row: FrameRow, table: PredictionTable, smoothing: TemporalSmoothing | None) -> None:
        """A frame is written; with the last of a segment all is made sure of."""
        self.done.frames += 1
        self.done.broken += bool(row.error)
        self.done.marked += bool(row.regions)
        if self.done.frames % self.every == 0:
            self._end_segment()
            table.sync()
            try:
                _keep_map(self.folder / MAP, smoothing)
                write_json(self.folder / STATE, asdict(self.done))
            except OSError as error:
                raise write_failed(self.folder, error) from error

    def _segment(self, number: int) -> Path:
        return self.folder / f"{number:06d}.nut"

    def _end_segment(self) -> None:
        if self._writer is not None:
            self._open.close()
            self._writer = None
            self.done.segments += 1

    def finish(self, overlay: Path) -> None:
        """The last frame is written: one overlay video is made of the segments."""
        self._end_segment()
        if self.done.segments:
            join_segments(map(self._segment, range(self.done.segments)), overlay)

    def remove(self) -> None:
        """Nothing of the video is left to be done."""
        shutil.rmtree(self.folder, ignore_errors=True)
        with suppress(OSError):  # another video's
            self.folder.parent.rmdir()


def progress_folder(out: Path, one: Input) -> Path:
    """Where a video's progress is kept while it is predicted."""
    return out / FOLDER / one.name


def recorded(out: Path, inputs: Iterable[Input], batch_size: int) -> dict[str, Counts]:
    """Of each video that was stopped within, by its origin, what is done; not where another file is meant by now."""
    found = {}
    for one in inputs:
        state = progress_folder(out, one) / STATE
        if not one.kind.moves or one.file is None or not state.is_file():
            continue
        try:
            values = json.loads(state.read_text(encoding="utf-8"))
            done = Counts(**values | {"size": tuple(values["size"]) if values["size"] else None})
        except (ValueError, TypeError, KeyError):
            continue
        folder, segments = state.parent, range(done.segments)
        whole = all((folder / f"{number:06d}.nut").is_file() for number in segments)
        if whole and done.digest == one.digest and done.frames % batch_size == 0:
            found[one.origin] = done
    return found


def _keep_map(path: Path, smoothing: TemporalSmoothing | None) -> None:
    if smoothing is None or smoothing.before is None:
        return
    probability, t_s, crop = smoothing.before
    with whole_file(path, durable=False) as temporary, temporary.open("wb") as file:
        np.savez(file, probability=probability, t_s=t_s, crop=[crop.left, crop.top, crop.right, crop.bottom])


def resume_smoothing(smoothing: TemporalSmoothing, folder: Path) -> None:
    """Let the map of the last frame before be remembered."""
    if (folder / MAP).is_file():
        with np.load(folder / MAP) as kept:
            crop = Box(*(int(side) for side in kept["crop"]))
            smoothing.before = (kept["probability"], float(kept["t_s"]), crop)
