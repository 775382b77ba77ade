"""Decoding videos from the first frame to the last, what is broken named and not hidden; and choosing frames of them.

Frames pass through in order and none is held but the best of the interval that is open, so a video of hours costs no
more memory than one of seconds.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from fractions import Fraction
from pathlib import Path
from typing import TYPE_CHECKING, Any

import cv2
import numpy as np
from numpy.typing import NDArray

from polypda.errors import DataError
from polypda.git_lfs import is_pointer_file, pointer_error
from polypda.importing.contract import Pixels, extra_module

if TYPE_CHECKING:
    import av

VIDEO_SUFFIXES = (
    *(".mp4", ".m4v", ".mov", ".avi", ".mkv", ".webm", ".mpg", ".mpeg", ".m2v", ".vob", ".ts", ".m2ts", ".mts"),
    *(".wmv", ".asf", ".flv", ".3gp", ".dv", ".mxf", ".ogv"),
)
"""Names that promise a video. What a file is, its bytes decide."""
LARGEST_PX = 64_000_000
MOST_ERRORS = 50
"""Packets in a row that cannot be decoded, after which nothing more is expected of a video."""
MISSING_S = 0.5
"""A video that ends this much before the length that its header gives is called cut off."""
ENCRYPTED = (b"encv", b"drmi")
"""Sample entries of protected MP4 and QuickTime videos; they stand in the header, at either end of the file."""
HEADER_BYTES = 1 << 20
HIGH_DEFINITION_PX = 720
"""Videos of at least this height that do not name their colour matrix are BT.709, smaller ones BT.601."""
UNSPECIFIED = 2
"""libav's number of a colour matrix that is not named."""


@dataclass(frozen=True)
class VideoFrame:
    """A decoded frame: its number from 0, its seconds since the video's first frame, and the decoder's image.

    quarter_turns: how often it must be turned counter-clockwise by 90 degrees to be upright.
    """

    index: int
    t_s: float
    image: av.VideoFrame
    quarter_turns: int = 0


@dataclass
class Video:
    """An open video. ``frames`` can be gone through once; afterwards ``broken`` says what was wrong, if anything.

    width, height: px as coded. duration_s: by the header, None where it gives none. pixel_aspect: width of a pixel over
    its height, None where not given. coded_interlaced, turned_degrees (clockwise): what its first frame says.
    """

    where: str
    container: av.container.InputContainer
    stream: av.VideoStream
    width: int
    height: int
    duration_s: float | None
    rate: float
    pixel_aspect: Fraction | None
    decoded: int = 0
    broken: str | None = None
    coded_interlaced: bool = False
    without_times: bool = False
    clock_set_back: bool = False
    turned_degrees: int = 0
    _last_s: float = field(default=0.0, repr=False)

    def frames(self) -> Iterator[VideoFrame]:
        """Every frame that can be decoded, in order of presentation. Damaged ones are passed over."""
        first: float | None = None
        latest = -1.0 / self.rate
        for index, image in enumerate(self._images()):
            if self.decoded == 0:
                self.coded_interlaced = bool(image.interlaced_frame)
                self.turned_degrees = 90 * (-quarter_turns(image) % 4)
            if image.pts is None or image.time_base is None:
                self.without_times = True
                moment = index / self.rate
            else:
                moment = float(image.pts * image.time_base)
            first = moment if first is None else first
            if moment - first < latest:  # recordings that were joined: each has a clock of its own
                self.clock_set_back = True
                first = moment - latest - 1.0 / self.rate
            latest = moment - first
            if image.is_corrupt:
                self._note_broken(latest, "a damaged frame was left out")
                continue
            self.decoded += 1
            self._last_s = latest
            yield VideoFrame(index, latest, image, quarter_turns(image))
        missing = (self.duration_s or 0.0) - self._last_s - 1.0 / self.rate
        if self.broken is None and self.decoded and missing > MISSING_S:
            self.broken = f"it ends at {self._last_s:.2f} s of the {self.duration_s:.2f} s that its header tells"

    def _images(self) -> Iterator[av.VideoFrame]:
        import av

        in_a_row = 0
        packets = self.container.demux(self.stream)
        while True:
            try:
                packet = next(packets, None)
                if packet is None:
                    return
                images = packet.decode()
            except (av.FFmpegError, ValueError) as error:
                in_a_row += 1
                self._note_broken(self._last_s, _reason(error))
                if in_a_row >= MOST_ERRORS:
                    return
                continue
            in_a_row = 0
            for image in images:
                if isinstance(image, av.VideoFrame):
                    yield image

    def _note_broken(self, moment_s: float, why: str) -> None:
        if self.broken is None:
            self.broken = f"from {moment_s:.2f} s on not all of it can be decoded ({why})"


@contextmanager
def open_video(path: Path, where: str) -> Iterator[Video]:
    """Open a video for the length of the block. Audio and data are never decoded. where: its path in the source.

    Raises: UsageError E_EXTRA_MISSING; DataError E_VIDEO_EMPTY_FILE, E_VIDEO_LFS_POINTER, E_VIDEO_UNREADABLE,
        E_VIDEO_NO_STREAM, E_VIDEO_ENCRYPTED, E_VIDEO_CODEC, E_VIDEO_TOO_LARGE.
    """
    av = pyav()
    if path.stat().st_size == 0:
        raise DataError("E_VIDEO_EMPTY_FILE", "the file is empty.", where=where, fix="fetch it again.")
    if is_pointer_file(path):
        raise pointer_error("E_VIDEO", where)
    try:
        container = av.open(str(path), metadata_errors="replace")
    except (av.FFmpegError, OSError, ValueError) as error:
        what = f"no film that can be opened ({_reason(error)}). A recording that was cut off may lack its index."
        raise DataError("E_VIDEO_UNREADABLE", what, where=where, fix="fetch it again, or repair it.") from error
    with container:
        yield video_of(container, where)


def pyav() -> Any:
    """The module av. Raises: UsageError E_EXTRA_MISSING."""
    return extra_module("av", "films are read by PyAV", logger="libav")


def video_of(container: av.container.InputContainer, where: str) -> Video:
    """The largest video in an open container. Raises: DataError as :func:`open_video`."""
    import av

    found = list(container.streams.video)
    if any(stream.codec_context is None for stream in found):
        raise _no_codec(container, where)
    cover = av.stream.Disposition.attached_pic
    streams = [stream for stream in found if not stream.disposition & cover]
    if not streams:
        kinds = sorted({stream.type for stream in container.streams})
        what = f"there is no video in it, only {', '.join(kinds) or 'nothing'}."
        raise DataError("E_VIDEO_NO_STREAM", what, where=where, fix="leave the file out.")
    stream = max(streams, key=lambda each: (each.width or 0) * (each.height or 0))
    if not stream.width or not stream.height or not stream.codec_context.pix_fmt:
        what = "its header tells neither size nor kind of the picture: damaged, or of an unknown codec."
        raise DataError("E_VIDEO_CODEC", what, where=where, fix="convert it to H.264, or export it again.")
    if stream.width * stream.height > LARGEST_PX:
        what = f"{stream.width}×{stream.height} px, more than {LARGEST_PX // 1_000_000} million."
        raise DataError("E_VIDEO_TOO_LARGE", what, where=where, fix="no endoscope records this: check the file.")
    stream.thread_type = "AUTO"
    rate = stream.average_rate or stream.guessed_rate or Fraction(25)
    return Video(
        where=where,
        container=container,
        stream=stream,
        width=stream.width,
        height=stream.height,
        duration_s=_duration_s(container, stream),
        rate=float(rate) or 25.0,
        pixel_aspect=stream.sample_aspect_ratio or None,
    )


def _no_codec(container: av.container.InputContainer, where: str) -> DataError:
    with Path(container.name).open("rb") as file:
        ends = file.read(HEADER_BYTES)
        file.seek(-min(HEADER_BYTES, len(ends)), 2)
        ends += file.read()
    if any(entry in ends for entry in ENCRYPTED):
        return DataError("E_VIDEO_ENCRYPTED", "it is encrypted.", where=where, fix="export it without protection.")
    return DataError("E_VIDEO_CODEC", "its codec is not known.", where=where, fix="convert it to H.264.")


def _duration_s(container: av.container.InputContainer, stream: av.VideoStream) -> float | None:
    if stream.duration and stream.time_base:
        return float(stream.duration * stream.time_base)
    only_one = len(container.streams) == 1  # of several, another may be the longest
    return container.duration / 1e6 if container.duration and only_one else None


def _reason(error: Exception) -> str:
    """ffmpeg's words without the path."""
    return str(getattr(error, "strerror", None) or error or type(error).__name__).split(":")[0].strip().lower()


def rgb(image: av.VideoFrame) -> Pixels:
    """uint8 H×W×3, RGB, as coded: not turned, none of its pixels resampled."""
    unnamed = int(image.colorspace) == UNSPECIFIED and "yuv" in image.format.name
    matrix = "ITU709" if image.height >= HIGH_DEFINITION_PX else "ITU601"
    reformatted = image.reformat(format="rgb24", src_colorspace=matrix if unnamed else None)
    return np.asarray(reformatted.to_ndarray(), np.uint8)


def upright(pixels: Pixels, quarter_turns: int) -> Pixels:
    """Pixels turned counter-clockwise by so many quarters (see :func:`quarter_turns`)."""
    return np.ascontiguousarray(np.rot90(pixels, quarter_turns))


def quarter_turns(image: av.VideoFrame) -> int:
    """How often the frame must be turned counter-clockwise by 90 degrees to be upright, 0–3."""
    return round(image.rotation / 90) % 4


def grey(image: av.VideoFrame, longer_side_px: int) -> NDArray[np.uint8]:
    """uint8 h×w, reduced to a longer side of at most ``longer_side_px`` (never enlarged); not turned."""
    scale = min(1.0, longer_side_px / max(image.width, image.height))
    width, height = max(2, round(image.width * scale)), max(2, round(image.height * scale))
    return np.asarray(image.reformat(width=width, height=height, format="gray").to_ndarray(), np.uint8)


SHARPNESS_LONGER_SIDE_PX = 360
"""Sharpness is compared on reduced frames: noise of single pixels is none."""
SCENE_LONGER_SIDE_PX = 48
DARKEST, BRIGHTEST = 25, 240
"""Grey levels beyond which a pixel is border or highlight, whose edges are sharp in a blurred frame as well."""
TIME_TOLERANCE_S = 1e-6
Grey = NDArray[np.uint8]


def first_of_each(frames: Iterator[VideoFrame], every_s: float) -> Iterator[VideoFrame]:
    """The first frame at or after each multiple of ``every_s`` (0: all), by real times: the rate may vary."""
    due = -math.inf
    for frame in frames:
        if frame.t_s >= due - TIME_TOLERANCE_S:
            yield frame
            due = (_interval(frame.t_s, every_s) + 1) * every_s if every_s > 0 else -math.inf


def sharpest_of_each(
    frames: Iterator[VideoFrame], every_s: float, measure: Callable[[VideoFrame], float] | None = None
) -> Iterator[VideoFrame]:
    """The sharpest frame of each interval [k, k+1) · ``every_s``; of equally sharp ones the first."""
    measure = measure or (lambda frame: sharpness(grey(frame.image, SHARPNESS_LONGER_SIDE_PX)))
    best: VideoFrame | None = None
    best_value, open_interval = -math.inf, -1
    for frame in frames:
        interval = _interval(frame.t_s, every_s)
        if best is not None and interval != open_interval:
            yield best
            best, best_value = None, -math.inf
        value = measure(frame)
        if best is None or value > best_value:
            best, best_value = frame, value
        open_interval = interval
    if best is not None:
        yield best


def new_scenes(
    frames: Iterator[VideoFrame], least_change: float, every_s: float, look: Callable[[VideoFrame], Grey] | None = None
) -> Iterator[VideoFrame]:
    """Frames that are at least ``least_change`` unlike the one taken before (see :func:`unlikeness`)."""
    look = look or (lambda frame: grey(frame.image, SCENE_LONGER_SIDE_PX))
    before: Grey | None = None
    due = -math.inf
    for frame in frames:
        if frame.t_s < due - TIME_TOLERANCE_S:
            continue
        now = look(frame)
        if before is None or unlikeness(before, now) >= least_change:
            yield frame
            before, due = now, frame.t_s + every_s


def sharpness(image: Grey) -> float:
    """Mean squared Laplacian of a grey image (uint8 h×w) where it is neither border nor highlight; 0 or more."""
    used = cv2.erode(((image >= DARKEST) & (image <= BRIGHTEST)).astype(np.uint8), np.ones((5, 5), np.uint8)) > 0
    return float(np.square(cv2.Laplacian(image, cv2.CV_32F)[used]).mean()) if used.any() else 0.0


def unlikeness(first: Grey, second: Grey) -> float:
    """Half of 1 − correlation of two small grey images: 0 same, 0.5 unrelated, 1 inverted; blind to exposure.

    Images of different sizes are wholly unlike; two without any structure are alike.
    """
    if first.shape != second.shape:
        return 1.0
    one, other = first.astype(np.float64) - first.mean(), second.astype(np.float64) - second.mean()
    flat = (float(np.abs(one).max()) < 1.0, float(np.abs(other).max()) < 1.0)
    if any(flat):
        return 0.0 if all(flat) else 0.5
    correlation = float((one * other).sum() / math.sqrt(float((one * one).sum() * (other * other).sum())))
    return min(1.0, max(0.0, (1.0 - correlation) / 2))


def _interval(t_s: float, every_s: float) -> int:
    return math.floor((t_s + TIME_TOLERANCE_S) / every_s)
