"""Short films of the phantom for tests, encoded as cameras and capture cards do; everything is made by script."""

from __future__ import annotations

import struct
from collections.abc import Sequence
from fractions import Fraction
from functools import lru_cache
from pathlib import Path

import av
import numpy as np
from numpy.typing import NDArray

from polypda.cohorts.catalogue import load_catalogue
from polypda.phantom.renderer import video_moments, woven

Pixels = NDArray[np.uint8]
WIDTH, HEIGHT = 192, 160
PAL = Fraction(25)


@lru_cache(maxsize=4)
def moments(count: int = 24, scene: int = 0) -> tuple[Pixels, ...]:
    """Progressive pictures of one scene while the scope moves quickly."""
    look = load_catalogue()["zju2"].phantom
    assert look is not None
    small = look.model_copy(
        update={"sizes_px": ((WIDTH, HEIGHT),), "softness_px": 0.4, "motion_blurred_fraction": 0.0, "noise_sd": 1.0}
    )
    return tuple(video_moments(small, seed=3, moments=count, scene=scene))


def progressive(count: int = 12) -> list[Pixels]:
    """Every second moment: what a progressive camera of 25 frames per second sees."""
    return list(moments(2 * count)[::2])


def interlaced(count: int = 12, *, top_first: bool = True) -> list[Pixels]:
    """The same film from an interlaced camera: 50 fields per second."""
    return list(woven(iter(moments(2 * count)), top_first=top_first))


def write_video(
    path: Path,
    frames: Sequence[Pixels],
    *,
    codec: str = "libx264",
    options: dict[str, str] | None = None,
    times_s: Sequence[float] | None = None,
    audio_streams: int = 0,
    sample_aspect: Fraction | None = None,
) -> Path:
    """Encode frames; times_s: their presentation times where the rate varies."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with av.open(str(path), "w") as container:
        stream = container.add_stream(codec, rate=PAL, options=options or {"crf": "12", "preset": "veryfast"})
        assert isinstance(stream, av.VideoStream)
        stream.width, stream.height = frames[0].shape[1], frames[0].shape[0]
        stream.pix_fmt = "yuv420p"
        if sample_aspect is not None:
            stream.codec_context.sample_aspect_ratio = sample_aspect
        if times_s is not None:
            stream.codec_context.time_base = stream.time_base = Fraction(1, 1000)
        voices = [container.add_stream("aac", rate=8000) for _ in range(audio_streams)]
        for index, pixels in enumerate(frames):
            frame = av.VideoFrame.from_ndarray(pixels, format="rgb24")
            frame.pts = index if times_s is None else round(1000 * times_s[index])
            frame.time_base = Fraction(1, 25) if times_s is None else Fraction(1, 1000)
            container.mux(stream.encode(frame))
        container.mux(stream.encode(None))
        for voice in voices:
            _hum(container, voice)
    return path


def write_pal(path: Path, frames: Sequence[Pixels], codec: str = "mpeg2video") -> Path:
    """Interlaced as PAL recorders write it: MPEG-2 or H.264 coded by fields, and flagged so."""
    if codec == "mpeg2video":
        options = {"flags": "+ildct+ilme", "b": "8000000", "qmin": "1", "top": "1", "field_order": "tt"}
    else:
        options = {"crf": "12", "preset": "veryfast", "x264-params": "tff=1"}
    return write_video(path, frames, codec=codec, options=options, sample_aspect=Fraction(16, 15))


def write_voice(path: Path) -> Path:
    """A file with nothing but sound."""
    with av.open(str(path), "w") as container:
        _hum(container, container.add_stream("aac", rate=8000))
    return path


def cut(path: Path, share: float, out: Path) -> Path:
    """The first part of a file's bytes."""
    data = path.read_bytes()
    out.write_bytes(data[: int(share * len(data))])
    return out


def turned(path: Path, degrees: int, out: Path) -> Path:
    """An MP4 whose header says that players have to turn it clockwise by 90, 180 or 270 degrees."""
    data = bytearray(path.read_bytes())
    cosine, sine = {90: (0, 1), 180: (-1, 0), 270: (0, -1)}[degrees]
    one = 0x10000
    matrix = struct.pack(">9i", cosine * one, sine * one, 0, -sine * one, cosine * one, 0, 0, 0, 0x40000000)
    index = data.index(b"tkhd") + 4 + 40
    data[index : index + 36] = matrix
    out.write_bytes(bytes(data))
    return out


def _hum(container: av.container.OutputContainer, voice: av.AudioStream) -> None:
    frame = av.AudioFrame.from_ndarray(np.zeros((1, 1024), np.float32), format="fltp", layout="mono")
    frame.rate = 8000
    frame.pts = 0
    container.mux(voice.encode(frame))
    container.mux(voice.encode(None))
