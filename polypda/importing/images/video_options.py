"""What ``-O NAME=VALUE`` says for films, and what the ledger says of a film as a whole."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from enum import StrEnum
from typing import TypeVar

from polypda.errors import UsageError, nearest
from polypda.importing.contract import Remark
from polypda.importing.images.deinterlacing import Deinterlace, VideoScan
from polypda.importing.images.videos import Video
from polypda.quality.interlacing import Scan

_Choice = TypeVar("_Choice", bound=StrEnum)
MEANINGS = {
    "every-s": "seconds between frames that are taken (default 1; 0 takes every frame)",
    "per-second": "frames per second that are taken, instead of every-s",
    "sharpest": "yes takes the sharpest frame of each such interval (default no: its first)",
    "scenes": "0–1: takes a frame when it is so unlike the last one taken (0.3: a new view), every-s at most",
    "max-frames-per-video": "spreads at most so many frames over each video",
    "deinterlace": "auto (default), off, bwdif or field",
    "names": "number (default: VIDEO_000123, counted in the film's frames) or time (VIDEO_00004920ms)",
    "jpeg": "80–100: write JPEG of this quality (a fifth of the space), else PNG",
    "patient-folder": "which folder above the video names the patient: 1 the next one, 2 the one above…",
}
DEFAULT_EVERY_S = 1.0


class FrameNaming(StrEnum):
    NUMBER = "number"
    TIME = "time"


@dataclass(frozen=True)
class VideoOptions:
    """See ``MEANINGS``. every_s 0: every frame. None: not asked for."""

    every_s: float = DEFAULT_EVERY_S
    sharpest: bool = False
    scenes: float | None = None
    most_frames: int | None = None
    deinterlace: Deinterlace = Deinterlace.AUTO
    names: FrameNaming = FrameNaming.NUMBER
    jpeg: int | None = None
    patient_folder: int | None = None

    @classmethod
    def parse(cls, given: Mapping[str, str], format_name: str = "video") -> VideoOptions:
        """Raises: UsageError E_OPTION."""
        for name in given:
            if name not in MEANINGS:
                told = "; ".join(f"{known}: {meaning}" for known, meaning in MEANINGS.items())
                what = f"format '{format_name}' has no option '{name}'.{nearest(name, MEANINGS)}"
                raise UsageError("E_OPTION", what, fix=told)
        if "every-s" in given and "per-second" in given:
            what = "every-s and per-second were both given."
            raise UsageError("E_OPTION", what, fix="leave one out.")
        scenes = _number(given, "scenes", 0.0, 1.0)
        default = DEFAULT_EVERY_S if scenes is None else 0.0
        rate = _number(given, "per-second", 1e-4, 1000.0)
        every_s = _number(given, "every-s", 0.0, 86400.0)
        if every_s is None:
            every_s = default if rate is None else 1.0 / rate
        sharpest = _value(given, "sharpest", {"yes": True, "no": False}.get) or False
        if sharpest and (every_s == 0 or scenes is not None):
            what = "the sharpest frame is sought within intervals."
            raise UsageError("E_OPTION", what, fix="give every-s or per-second beside sharpest, and no scenes.")
        return cls(
            every_s=every_s,
            sharpest=sharpest,
            scenes=scenes,
            most_frames=_whole(given, "max-frames-per-video", 1, 10_000_000),
            deinterlace=_choice(given, "deinterlace", Deinterlace, Deinterlace.AUTO),
            names=_choice(given, "names", FrameNaming, FrameNaming.NUMBER),
            jpeg=_whole(given, "jpeg", 80, 100),
            patient_folder=_whole(given, "patient-folder", 1, 20),
        )


def _value(given: Mapping[str, str], name: str, read: Callable[[str], bool | None]) -> bool | None:
    if name not in given:
        return None
    value = read(given[name].strip().lower())
    if value is None:
        raise _wrong(name, given[name])
    return value


def _number(given: Mapping[str, str], name: str, least: float, most: float) -> float | None:
    if name not in given:
        return None
    try:
        value = float(given[name])
    except ValueError:
        value = math.nan
    if not least <= value <= most:
        raise _wrong(name, given[name])
    return value


def _whole(given: Mapping[str, str], name: str, least: int, most: int) -> int | None:
    value = _number(given, name, least, most)
    if value is not None and value != int(value):
        raise _wrong(name, given[name])
    return None if value is None else int(value)


def _choice(given: Mapping[str, str], name: str, kind: type[_Choice], default: _Choice) -> _Choice:
    if name not in given:
        return default
    known = [member.value for member in kind]
    if given[name] not in known:
        raise _wrong(name, given[name], nearest(given[name], known))
    return kind(given[name])


def _wrong(name: str, value: str, hint: str = "") -> UsageError:
    return UsageError("E_OPTION", f"{name} is '{value}'.{hint}", fix=f"{name}: {MEANINGS[name]}.")


def video_remarks(video: Video, scan: VideoScan | None, how: Deinterlace) -> Iterator[Remark]:
    """What is worth knowing of a film whose frames were taken. scan: None where it was not looked for."""
    if video.pixel_aspect is not None and video.pixel_aspect != 1:
        aspect = video.pixel_aspect
        what = (
            f"says that its pixels are {aspect.numerator}:{aspect.denominator}, not square; they are kept as they are."
        )
        yield Remark("N_VIDEO_PIXEL_ASPECT", what)
    if video.turned_degrees:
        yield Remark("N_VIDEO_ROTATED", f"turned upright by {video.turned_degrees} degrees as it says.")
    if video.without_times:
        what = "some frames carry no time: it was counted from their number and the frame rate."
        yield Remark("W_VIDEO_TIMES", what)
    if video.clock_set_back:
        what = "its clock goes back within it, as where recordings were joined: times go on from the frame before."
        yield Remark("W_VIDEO_TIMES", what)
    if scan is not None:
        yield scan_remark(scan, how)


def scan_remark(scan: VideoScan, how: Deinterlace) -> Remark:
    """What the interlace detector saw, what the film says of itself, and what was done."""
    decision = scan.decision
    seen = (
        f"{decision.scan.value} ({decision.combed} of {decision.judged} frames combed, {decision.confidence:.0%} sure)"
    )
    if how is Deinterlace.AUTO:
        done = "de-interlaced by bwdif" if scan.interlaced else "left as it is"
    else:
        done = f"de-interlaced by {how.value}"
    says = "interlaced" if scan.coded_interlaced else "progressive"
    code = "N_VIDEO_SCAN" if decision.scan.value in (says, Scan.UNKNOWN.value) else "W_VIDEO_SCAN"
    return Remark(code, f"looks {seen}, says {says}; {done}.")
