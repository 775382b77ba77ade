"""De-interlacing: whole frames of one moment out of frames woven of two.

``bwdif`` (libavfilter, by way of PyAV) interpolates the second field from its neighbours in image and time, and needs a
video. ``field`` keeps the first field of a frame and interpolates the lines between: half of its detail is lost.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterator
from dataclasses import dataclass, replace
from enum import StrEnum
from functools import partial
from itertools import islice, pairwise
from typing import Any

import numpy as np
from numpy.typing import NDArray

from polypda.importing.contract import DecodedImage, ImportedFrame, Pixels, Remark
from polypda.importing.images.videos import Video, VideoFrame, pyav, rgb
from polypda.quality.interlacing import Comb, Scan, ScanDecision, decide, measure_comb

PROBED_FRAMES, PROBED_STEP = 75, 3
"""Of the first three seconds of a PAL video every third frame is looked at."""
SURER = 1.05
"""A field order is believed when the other one makes motion this much less even."""


class Deinterlace(StrEnum):
    """What ``-O deinterlace=`` takes. ``auto``: bwdif for videos that the detector calls interlaced."""

    AUTO = "auto"
    OFF = "off"
    BWDIF = "bwdif"
    FIELD = "field"


@dataclass(frozen=True)
class VideoScan:
    """How a video was recorded: what its pixels tell, what it says of itself.

    top_first: whether the even lines (0, 2…) are the earlier ones; None where nothing moved.
    """

    decision: ScanDecision
    coded_interlaced: bool
    top_first: bool | None

    @property
    def interlaced(self) -> bool:
        """By its pixels; where these tell nothing (a scope that stood still), by what it says."""
        known = self.decision.scan is not Scan.UNKNOWN
        return self.decision.scan is Scan.INTERLACED if known else self.coded_interlaced


def probe_scan(video: Video) -> VideoScan:
    """Look at the beginning of a video, which is gone through by this: open it anew for its frames."""
    combs: list[Comb] = []
    greens: list[NDArray[np.uint8]] = []
    evenness = [0.0, 0.0]
    for frame in islice(video.frames(), PROBED_FRAMES):
        if frame.index % PROBED_STEP < 2:  # neighbours, for the order of fields
            pixels = rgb(frame.image)
            greens = [*greens[-1:], pixels[..., 1]]
            for earlier, later in pairwise(greens):
                for index, jump in enumerate(_jumps(earlier, later)):
                    evenness[index] += jump
            if frame.index % PROBED_STEP == 0:
                combs.append(measure_comb(pixels))
                greens = greens[-1:]
    top, bottom = evenness
    known = max(top, bottom) > SURER * min(top, bottom)
    return VideoScan(decide(combs), video.coded_interlaced, top < bottom if known else None)


def _jumps(earlier: NDArray[np.uint8], later: NDArray[np.uint8]) -> tuple[float, float]:
    """How far neighbouring fields differ across two frames, were the even lines first, and were the odd ones.

    With the right order they are one field apart, with the wrong one three.
    """
    if earlier.shape != later.shape or earlier.shape[0] < 4:
        return 0.0, 0.0
    (even_0, odd_0), (even_1, odd_1) = _fields(earlier), _fields(later)
    return float(np.abs(even_1 - odd_0).mean()), float(np.abs(odd_1 - even_0).mean())


def _fields(green: NDArray[np.uint8]) -> tuple[NDArray[np.int16], NDArray[np.int16]]:
    """The even lines, and the odd ones brought to their places, so that a still image gives the same twice."""
    lines = green[: green.shape[0] // 2 * 2].astype(np.int16)
    return lines[2::2], (lines[1:-1:2] + lines[3::2]) >> 1


def bwdif(video: Video, frames: Iterator[VideoFrame], *, top_first: bool | None) -> Iterator[VideoFrame]:
    """The video's frames, each of one moment, in the same number; index and time stay."""
    av = pyav()
    parity = "auto" if top_first is None else "tff" if top_first else "bff"
    graph, form = None, None
    waiting: deque[VideoFrame] = deque()
    for frame in frames:
        image = frame.image
        if graph is None or form != (image.width, image.height, image.format.name):
            if graph is not None:
                yield from _flushed(av, graph, waiting)
            graph, form = _graph(av, video, image, parity), (image.width, image.height, image.format.name)
        waiting.append(frame)
        image.pts, image.time_base = frame.index, video.stream.time_base
        graph.vpush(image)
        yield from _pulled(av, graph, waiting)
    if graph is not None:
        yield from _flushed(av, graph, waiting)


def _graph(av: Any, video: Video, image: Any, parity: str) -> Any:
    graph = av.filter.Graph()
    source = graph.add_buffer(
        width=image.width, height=image.height, format=image.format, time_base=video.stream.time_base
    )
    deinterlacer = graph.add("bwdif", f"mode=send_frame:parity={parity}:deint=all")
    graph.link_nodes(source, deinterlacer, graph.add("buffersink")).configure()
    return graph


def _pulled(av: Any, graph: Any, waiting: deque[VideoFrame]) -> Iterator[VideoFrame]:
    while True:
        try:
            image = graph.vpull()
        except (av.BlockingIOError, av.EOFError):
            return
        yield replace(waiting.popleft(), image=image)


def _flushed(av: Any, graph: Any, waiting: deque[VideoFrame]) -> Iterator[VideoFrame]:
    graph.vpush(None)
    yield from _pulled(av, graph, waiting)
    waiting.clear()


def of_one_moment(frame: ImportedFrame) -> ImportedFrame:
    """The frame, which keeps one field only where a comb is seen when it is read; nothing is read here."""
    return replace(frame, read=partial(_read, frame))


def _read(frame: ImportedFrame) -> DecodedImage:
    image = frame.read()
    comb = measure_comb(image.pixels)
    if not comb.combed:
        return image
    what = f"it held two moments in alternate lines (score {comb.score:.2f}): the even lines are kept, the others are"
    remark = Remark("N_DEINTERLACED", f"{what} interpolated from them.")
    return replace(image, pixels=one_field(image.pixels), encoded=None, remarks=(*image.remarks, remark))


def one_field(pixels: Pixels, *, top: bool = True) -> Pixels:
    """One field, the lines between interpolated from it (four taps, −1 9 9 −1); same size.

    Args:
        pixels: uint8 H×W×3. top: keep the even lines (0, 2…), else the odd ones.
    """
    start = 0 if top else 1
    field = pixels[start::2].astype(np.int16)
    if field.shape[0] == 0:
        return pixels.copy()
    padded = np.concatenate([field[:1], field[:1], field, field[-1:], field[-1:]])
    between = 9 * (padded[1:-2] + padded[2:-1]) - padded[:-3] - padded[3:]  # before, within and after the field
    lines = np.clip((between + 8) >> 4, 0, 255).astype(np.uint8)
    result = pixels.copy()
    missing = result[1 - start :: 2]
    first = 0 if start else 1
    missing[:] = lines[first : first + missing.shape[0]]
    return result
