"""An overlay video: each frame at its own time, as the recording had it."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from fractions import Fraction
from pathlib import Path
from typing import Any

import cv2

from polypda.errors import DataError
from polypda.files import whole_file
from polypda.importing.images.videos import HIGH_DEFINITION_PX, pyav
from polypda.prediction.facts import INTENDED_USE
from polypda.prediction.model import Image

TIME_BASE = Fraction(1, 90_000)
"""Of all usual rates (24, 25, 30000/1001, 50…) every frame's time is a whole number of these."""
CODECS = (("libx264", {"crf": "20", "preset": "veryfast", "bf": "0"}), ("mpeg4", {"q": "4", "bf": "0"}))
"""The first that the installed PyAV has. Frames lean on earlier ones alone, so that segments follow each other."""


class VideoWriter:
    """Encodes frames as they come; memory does not grow with them.

    last: time of the last frame, in TIME_BASE; -1 before the first. size: width and height of the first frame, which
    all others are brought to; of a later segment, that of the first.
    """

    def __init__(
        self,
        container: Any,
        rate: float,
        pixel_aspect: Fraction | None,
        last: int = -1,
        size: tuple[int, int] | None = None,
    ) -> None:
        self._container = container
        self.last, self.size = last, size
        self._rate = Fraction(rate).limit_denominator(1001)
        self._pixel_aspect = pixel_aspect
        self._stream: Any = None

    def add(self, image: Image, t_s: float) -> None:
        """A frame, uint8 H×W×3 RGB, shown from ``t_s`` seconds on; times rise. All frames have one size."""
        av = pyav()
        if self._stream is None:
            self._stream = self._opened(av, image)
        height, width = image.shape[:2]
        image = cv2.copyMakeBorder(image, 0, height % 2, 0, width % 2, cv2.BORDER_REPLICATE)  # type: ignore[assignment]
        if (image.shape[1], image.shape[0]) != (self._stream.width, self._stream.height):
            size = (self._stream.width, self._stream.height)
            image = cv2.resize(image, size, interpolation=cv2.INTER_AREA)  # type: ignore[assignment]
        matrix = "ITU709" if image.shape[0] >= HIGH_DEFINITION_PX else "ITU601"
        frame = av.VideoFrame.from_ndarray(image, format="rgb24").reformat(format="yuv420p", dst_colorspace=matrix)
        self.last = max(self.last + 1, round(t_s / TIME_BASE))
        frame.pts, frame.time_base = self.last, TIME_BASE
        self._container.mux(self._stream.encode(frame))

    def finish(self) -> None:
        """Write what the encoder holds back."""
        if self._stream is not None:
            self._container.mux(self._stream.encode(None))

    def _opened(self, av: Any, image: Image) -> Any:
        codec, options = next((name, options) for name, options in CODECS if name in av.codecs_available)
        stream = self._container.add_stream(codec, rate=self._rate, options=options)
        height, width = image.shape[:2]
        self.size = self.size or (width + width % 2, height + height % 2)
        stream.width, stream.height, stream.pix_fmt = *self.size, "yuv420p"
        stream.codec_context.time_base = stream.time_base = TIME_BASE
        if self._pixel_aspect is not None:
            stream.codec_context.sample_aspect_ratio = self._pixel_aspect
        return stream


@contextmanager
def video_segment(
    path: Path,
    rate: float,
    pixel_aspect: Fraction | None = None,
    last: int = -1,
    size: tuple[int, int] | None = None,
) -> Iterator[VideoWriter]:
    """Write a part of an overlay video (NUT, which keeps times as they are), whole or not at all.

    Args: rate: what players are told; times are those of the frames. last, size: see :class:`VideoWriter`.
    Raises: UsageError E_EXTRA_MISSING; DataError E_VIDEO_WRITE.
    """
    av = pyav()
    with _told_errors(path), whole_file(path) as temporary, av.open(str(temporary), "w", format="nut") as container:
        writer = VideoWriter(container, rate, pixel_aspect, last, size)
        yield writer
        writer.finish()


def join_segments(segments: Iterable[Path], path: Path) -> None:
    """Make one MP4 of segments, whole or not at all; nothing is encoded again.

    Raises: UsageError E_EXTRA_MISSING; DataError E_VIDEO_WRITE.
    """
    av = pyav()
    with _told_errors(path), whole_file(path) as temporary, av.open(str(temporary), "w", format="mp4") as container:
        container.metadata["comment"] = f"Outlines: marked by a model. {INTENDED_USE}"
        joined = None
        for segment in segments:
            with av.open(str(segment)) as part:
                own = part.streams.video[0]
                if joined is None:
                    joined = container.add_stream_from_template(own)
                    joined.time_base = TIME_BASE
                for packet in part.demux(own):
                    if packet.dts is not None:  # the last one only says that there are no more
                        packet.stream = joined
                        container.mux(packet)


@contextmanager
def _told_errors(path: Path) -> Iterator[None]:
    av = pyav()
    try:
        yield
    except av.FFmpegError as error:
        what = f"the overlay video could not be written ({error.strerror or error})."
        fix = "free some space, or leave the overlays out: --no-overlays."
        raise DataError("E_VIDEO_WRITE", what, where=path.name, fix=fix) from error
