"""Format ``video``: videos, decoded in order, sampled, de-interlaced where they were recorded in fields.

One sequence per video. Times are the video's own, from its first frame. Pixels are kept as coded: where a video says
that they are not square, that is noted and nothing is stretched, since capture cards say so wrongly as often as not.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from functools import partial
from itertools import islice
from pathlib import PurePosixPath
from typing import ClassVar, TypeVar

import cv2

from polypda.cohorts.image_files import is_image_name, suffix_of
from polypda.errors import DataError, UsageError, nearest
from polypda.importing.contract import (
    DecodedImage,
    ImportedFrame,
    Ledger,
    Reader,
    Remark,
    SourceTree,
    check_option_names,
)
from polypda.importing.images.deinterlacing import Deinterlace, VideoScan, bwdif, one_field, probe_scan
from polypda.importing.images.videos import (
    VIDEO_SUFFIXES,
    Video,
    VideoFrame,
    first_of_each,
    new_scenes,
    open_video,
    rgb,
    sharpest_of_each,
    upright,
)
from polypda.importing.readers.annotated import shortest_names
from polypda.importing.readers.folder_words import PatientRule, meaning_of
from polypda.importing.readers.frame_tables import TableRow, Tables
from polypda.quality.interlacing import Scan

_Choice = TypeVar("_Choice", bound=StrEnum)
OPTIONS = {
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
    """See ``OPTIONS``. every_s 0: every frame. None: not asked for."""

    every_s: float = DEFAULT_EVERY_S
    sharpest: bool = False
    scenes: float | None = None
    most_frames: int | None = None
    deinterlace: Deinterlace = Deinterlace.AUTO
    names: FrameNaming = FrameNaming.NUMBER
    jpeg: int | None = None
    patient_folder: int | None = None

    @classmethod
    def parse(cls, given: Mapping[str, str]) -> VideoOptions:
        """Raises: UsageError E_OPTION."""
        check_option_names("video", given, OPTIONS)
        if "every-s" in given and "per-second" in given:
            what = "every-s and per-second were both given."
            raise UsageError("E_OPTION", what, fix="leave one out.")
        scenes = _number(given, "scenes", 0.0, 1.0)
        rate = _number(given, "per-second", 1e-4, 1000.0)
        every_s = _number(given, "every-s", 0.0, 86400.0)
        if every_s is None:
            every_s = 1.0 / rate if rate is not None else DEFAULT_EVERY_S if scenes is None else 0.0
        sharpest = given.get("sharpest", "no").strip().lower()
        if sharpest not in ("yes", "no"):
            raise _wrong("sharpest", given["sharpest"])
        if sharpest == "yes" and (every_s == 0 or scenes is not None):
            what = "the sharpest frame is sought within intervals."
            raise UsageError("E_OPTION", what, fix="give every-s or per-second beside sharpest, and no scenes.")
        return cls(
            every_s=every_s,
            sharpest=sharpest == "yes",
            scenes=scenes,
            most_frames=_whole(given, "max-frames-per-video", 1, 10_000_000),
            deinterlace=_choice(given, "deinterlace", Deinterlace.AUTO),
            names=_choice(given, "names", FrameNaming.NUMBER),
            jpeg=_whole(given, "jpeg", 80, 100),
            patient_folder=_whole(given, "patient-folder", 1, 20),
        )


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


def _choice(given: Mapping[str, str], name: str, default: _Choice) -> _Choice:
    known = [member.value for member in type(default)]
    value = given.get(name, default.value)
    if value not in known:
        raise _wrong(name, value, nearest(value, known))
    return type(default)(value)


def _wrong(name: str, value: str, hint: str = "") -> UsageError:
    return UsageError("E_OPTION", f"{name} is '{value}'.{hint}", fix=f"{name}: {OPTIONS[name]}.")


@dataclass(frozen=True)
class VideoReader(Reader):
    """Videos in folders, or a single one. See ``OPTIONS``."""

    name: ClassVar[str] = "video"
    title: ClassVar[str] = "films (any container and codec that ffmpeg knows)"
    deinterlaces: ClassVar[bool] = True
    resumable: ClassVar[bool] = True

    options: VideoOptions = field(default_factory=VideoOptions)

    @classmethod
    def with_options(cls, options: Mapping[str, str]) -> VideoReader:
        """Raises: UsageError E_OPTION."""
        return cls(VideoOptions.parse(options))

    def recognises(self, tree: SourceTree) -> bool:
        """Videos and no images: among images, videos are often only where these come from."""
        return any(map(is_video_name, tree.files())) and not any(map(is_image_name, tree.files()))

    def frames(self, tree: SourceTree, ledger: Ledger) -> Iterator[ImportedFrame]:
        """Raises: DataError E_SOURCE_EMPTY; UsageError E_EXTRA_MISSING."""
        videos = [path for path in tree.files() if is_video_name(path)]
        if not videos:
            fix = "name the folder that holds the films, or another --format."
            raise DataError("E_SOURCE_EMPTY", "there is no film in it.", where=tree.name, fix=fix)
        resumed = bool(ledger.finished)
        # the journal has what was said before
        tables = Tables(tree, Ledger() if resumed else ledger, videos, of_videos=True)
        names = shortest_names(videos)
        for path in videos:
            if path not in ledger.finished:
                yield from self._of_video(tree, path, names[path], tables, ledger)
                ledger.finish(path)
        if tables.matched:  # else the tables are about other things
            for origin, problem in tables.unused():
                ledger.leave_out(origin, problem)
        if any(map(is_image_name, tree.files())):
            what = "there are pictures beside the films. To add them: the same command with --format folders --update."
            ledger.remark(tree.name, "N_VIDEO_PICTURES", what)

    def _of_video(
        self, tree: SourceTree, path: str, name: str, tables: Tables, ledger: Ledger
    ) -> Iterator[ImportedFrame]:
        how = self.options.deinterlace
        try:
            row = tables.row(path) or TableRow(name)
            scan = None
            if how is not Deinterlace.OFF:
                with open_video(tree.local(path), path) as video:
                    scan = probe_scan(video)
            with open_video(tree.local(path), path) as video:
                frames = video.frames()
                if how is Deinterlace.BWDIF or (how is Deinterlace.AUTO and scan is not None and scan.interlaced):
                    frames = bwdif(video, frames, top_first=scan.top_first if scan else None)
                for frame in sampled(frames, self.options, video.duration_s):
                    ledger.advance(path, frame.t_s / video.duration_s if video.duration_s else 0.0)
                    yield self._frame(path, name, row, frame, scan, tree.name)
                if video.decoded == 0:
                    what = f"no frame of it can be decoded{f' ({video.broken})' if video.broken else ''}."
                    raise DataError("E_VIDEO_NO_FRAME", what, where=path, fix="fetch it again, or leave it out.")
                if video.broken is not None:
                    fix = "what came before is taken; fetch the film again for the rest."
                    ledger.leave_out(path, DataError("E_VIDEO_BROKEN", f"{video.broken}.", where=path, fix=fix))
                for remark in video_remarks(video, scan, how):
                    ledger.remark(path, remark.code, remark.what)
        except DataError as error:
            ledger.leave_out(path, error)
        except (OSError, ValueError, RuntimeError) as error:  # PyAV's errors are all of these
            what = f"failed while it was decoded: {type(error).__name__}."
            ledger.leave_out(path, DataError("E_VIDEO_FAILED", what, where=path, fix="convert it to H.264."))

    def _frame(
        self, path: str, name: str, row: TableRow, frame: VideoFrame, scan: VideoScan | None, tree_name: str
    ) -> ImportedFrame:
        folders = PurePosixPath(path).parts[:-1]
        meaning, outer = meaning_of(folders), meaning_of((tree_name,))
        level = self.options.patient_folder
        by_level = folders[-level] if level is not None and level <= len(folders) else None
        by_time = self.options.names is FrameNaming.TIME
        patient, _, by = PatientRule().of(path, tree_name, video=True)
        return ImportedFrame(
            name=f"{name}_{round(1000 * frame.t_s):08d}ms" if by_time else f"{name}_{frame.index:06d}",
            origin=path,
            read=partial(self._image, frame, scan is None or scan.top_first is not False),
            patient=row.patient or by_level or patient,
            patient_by=None if row.patient or by_level else by,
            sequence=row.sequence or name,
            t_s=round(frame.t_s, 6),
            split=row.split or meaning.split,
            mode=row.mode or meaning.mode or outer.mode,
        )

    def _image(self, frame: VideoFrame, top: bool) -> DecodedImage:
        pixels = rgb(frame.image)
        if self.options.deinterlace is Deinterlace.FIELD:
            pixels = one_field(pixels, top=top)
        pixels = upright(pixels, frame.quarter_turns)
        if self.options.jpeg is None:
            return DecodedImage(pixels)
        quality = [cv2.IMWRITE_JPEG_QUALITY, self.options.jpeg]
        done, data = cv2.imencode(".jpg", cv2.cvtColor(pixels, cv2.COLOR_RGB2BGR), quality)
        return DecodedImage(pixels, data.tobytes() if done else None, ".jpg")


def sampled(frames: Iterator[VideoFrame], options: VideoOptions, duration_s: float | None) -> Iterator[VideoFrame]:
    """The frames that the options ask for.

    duration_s: by the video's header; None where it gives none: then ``most_frames`` are the first ones.
    """
    every_s = interval_s(options, duration_s)
    if options.scenes is not None:
        chosen = new_scenes(frames, options.scenes, every_s)
    elif options.sharpest:
        chosen = sharpest_of_each(frames, every_s)
    else:
        chosen = first_of_each(frames, every_s)
    return islice(chosen, options.most_frames)


def interval_s(options: VideoOptions, duration_s: float | None) -> float:
    """Seconds between frames, at least those asked for; longer where a video would give too many."""
    if options.most_frames is None or duration_s is None or options.scenes is not None:
        return options.every_s
    return max(options.every_s, duration_s / options.most_frames)


def is_video_name(path: str) -> bool:
    """Whether a file's name promises a video."""
    return suffix_of(path) in VIDEO_SUFFIXES


def video_remarks(video: Video, scan: VideoScan | None, how: Deinterlace) -> Iterator[Remark]:
    """What is worth knowing of a video whose frames were taken. scan: None where it was not looked for."""
    aspect = video.pixel_aspect
    if aspect is not None and aspect != 1:
        what = f"says that its pixels are {aspect.numerator}:{aspect.denominator}, not square; "
        yield Remark("N_VIDEO_PIXEL_ASPECT", f"{what}they are kept as they are.")
    if video.turned_degrees:
        yield Remark("N_VIDEO_ROTATED", f"turned upright by {video.turned_degrees} degrees as it says.")
    if video.without_times:
        what = "some frames carry no time: it was counted from their number and the frame rate."
        yield Remark("W_VIDEO_TIMES", what)
    if video.clock_set_back:
        what = "its clock goes back within it, as where recordings were joined: times go on from the frame before."
        yield Remark("W_VIDEO_TIMES", what)
    if scan is not None:
        yield _scan_remark(scan, how)


def _scan_remark(scan: VideoScan, how: Deinterlace) -> Remark:
    """What the interlace detector saw, what the video says of itself, and what was done."""
    seen = scan.decision
    looks = f"{seen.scan.value} ({seen.combed} of {seen.judged} frames combed, {seen.confidence:.0%} sure)"
    done = f"de-interlaced by {how.value}"
    if how is Deinterlace.AUTO:
        done = "de-interlaced by bwdif" if scan.interlaced else "left as it is"
    says = "interlaced" if scan.coded_interlaced else "progressive"
    code = "N_VIDEO_SCAN" if seen.scan.value in (says, Scan.UNKNOWN.value) else "W_VIDEO_SCAN"
    return Remark(code, f"looks {looks}, says {says}; {done}.")


class FramesOfVideo:
    """A video's frames by their number. Numbers should rise: then it is decoded once, from first to last."""

    def __init__(self, tree: SourceTree, path: str) -> None:
        self.path = path
        self.stem = PurePosixPath(path).stem
        self._tree = tree
        self._frames: Iterator[VideoFrame] = self._decoded()
        self._next = 0

    def image(self, number: int) -> DecodedImage:
        """Frame ``number`` (from 0), upright. Raises: DataError E_VIDEO_FRAME, and what opening a video raises."""
        if number < self._next:
            self._frames, self._next = self._decoded(), 0
        for frame in self._frames:
            self._next = frame.index + 1
            if frame.index == number:
                return DecodedImage(upright(rgb(frame.image), frame.quarter_turns))
        what = f"frame {number} is annotated, and the film has {self._next}."
        raise DataError("E_VIDEO_FRAME", what, where=self.path, fix="find the film that was annotated.")

    def _decoded(self) -> Iterator[VideoFrame]:
        with open_video(self._tree.local(self.path), self.path) as video:
            yield from video.frames()


def only_video(tree: SourceTree, path: str, named: set[str]) -> FramesOfVideo | None:
    """The video in the folder of an annotation file or below that has one of these names, else the only one there."""
    folder = PurePosixPath(path).parent.as_posix()
    near = [each for each in tree.files() if is_video_name(each) and (folder == "." or each.startswith(f"{folder}/"))]
    found = [each for each in near if PurePosixPath(each).name in named] or near
    return FramesOfVideo(tree, found[0]) if len(found) == 1 else None
