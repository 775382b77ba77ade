"""Format ``video``: films, decoded in order, sampled, de-interlaced where they were recorded in fields.

One sequence per film. Times are the film's own, from its first frame. Pixels are kept as coded: where a film says that
they are not square, that is noted and nothing is stretched, since capture cards say so wrongly as often as not. Tables
beside films are read as tables of frames are, but that the column that names a film may be headed ``video``.
"""

from __future__ import annotations

import csv
import io
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path, PurePosixPath
from typing import ClassVar

import cv2

from polypda.cohorts.image_files import is_image_name, suffix_of
from polypda.errors import DataError
from polypda.importing.annotations.annotation_files import decoded_text
from polypda.importing.annotations.named_images import shortest_names
from polypda.importing.contract import DecodedImage, ImportedFrame, Ledger, Reader, SourceTree
from polypda.importing.folders.folder_words import meaning_of, words_of
from polypda.importing.folders.frame_tables import COLUMN_NAMES, TableRow, is_table_name, table_rows
from polypda.importing.folders.patient_names import PatientRule
from polypda.importing.folders.table_lookup import Tables
from polypda.importing.images.deinterlacing import Deinterlace, VideoScan, bwdif, one_field, probe_scan
from polypda.importing.images.video_options import FrameNaming, VideoOptions, video_remarks
from polypda.importing.images.video_sampling import sampled
from polypda.importing.images.videos import VIDEO_SUFFIXES, Video, VideoFrame, open_video, rgb, upright


@dataclass(frozen=True)
class VideoReader(Reader):
    """Films in folders, or a single one. See ``polypda.importing.images.film_options`` for the options."""

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
        """Films and no pictures: among pictures, films are often only where these come from."""
        return any(map(is_video_name, tree.files())) and not any(map(is_image_name, tree.files()))

    def frames(self, tree: SourceTree, ledger: Ledger) -> Iterator[ImportedFrame]:
        """Raises: DataError E_SOURCE_EMPTY; UsageError E_EXTRA_MISSING."""
        videos = [path for path in tree.files() if is_video_name(path)]
        if not videos:
            fix = "name the folder that holds the films, or another --format."
            raise DataError("E_SOURCE_EMPTY", "there is no film in it.", where=tree.name, fix=fix)
        resumed = bool(ledger.finished)
        tables = video_tables(tree, Ledger() if resumed else ledger)  # what was told is in the journal
        names = shortest_names(videos)
        matched = False
        for path in videos:
            matched |= _has_row(tables, path)
            if path not in ledger.finished:
                yield from self._of_video(tree, path, names[path], tables, ledger)
                ledger.finish(path)
        if matched:  # else the tables tell of other things
            for moment_index, nowhere in tables.unused():
                ledger.leave_out(moment_index, nowhere)
        if any(map(is_image_name, tree.files())):
            what = "there are pictures beside the films. To add them: the same command with --format folders --update."
            ledger.remark(tree.name, "N_VIDEO_PICTURES", what)

    def _of_video(
        self, tree: SourceTree, path: str, name: str, tables: Tables, ledger: Ledger
    ) -> Iterator[ImportedFrame]:
        try:
            row = tables.row(path) or TableRow(name)
            scan = self._scan(tree, path)
            with open_video(tree.local(path), path) as video:
                for frame in sampled(self._steady(video, scan), self.options, video.duration_s):
                    ledger.advance(path, frame.t_s / video.duration_s if video.duration_s else 0.0)
                    yield self._frame(path, name, row, frame, scan, tree.name)
                if video.decoded == 0:
                    what = f"no frame of it can be decoded{f' ({video.broken})' if video.broken else ''}."
                    raise DataError("E_VIDEO_NO_FRAME", what, where=path, fix="fetch it again, or leave it out.")
                self._tell(video, scan, path, ledger)
        except DataError as error:
            ledger.leave_out(path, error)
        except (OSError, ValueError, RuntimeError) as error:  # PyAV's errors are all of these
            what = f"failed while it was decoded: {type(error).__name__}."
            ledger.leave_out(path, DataError("E_VIDEO_FAILED", what, where=path, fix="convert it to H.264."))

    def _scan(self, tree: SourceTree, path: str) -> VideoScan | None:
        if self.options.deinterlace is Deinterlace.OFF:
            return None
        with open_video(tree.local(path), path) as video:
            return probe_scan(video)

    def _steady(self, video: Video, scan: VideoScan | None) -> Iterator[VideoFrame]:
        """The film's frames, de-interlaced in time where that is asked for."""
        how = self.options.deinterlace
        if how is Deinterlace.BWDIF or (how is Deinterlace.AUTO and scan is not None and scan.interlaced):
            return bwdif(video, video.frames(), top_first=scan.top_first if scan else None)
        return video.frames()

    def _frame(
        self, path: str, name: str, row: TableRow, frame: VideoFrame, scan: VideoScan | None, tree_name: str
    ) -> ImportedFrame:
        folders = PurePosixPath(path).parts[:-1]
        meaning, outer = meaning_of(folders), meaning_of((tree_name,))
        level = self.options.patient_folder
        by_level = folders[-level] if level is not None and level <= len(folders) else None
        if self.options.names is FrameNaming.TIME:
            own = f"{name}_{round(1000 * frame.t_s):08d}ms"
        else:
            own = f"{name}_{frame.index:06d}"
        top = scan is None or scan.top_first is not False
        patient, _, by = PatientRule().of(path, tree_name, video=True)
        return ImportedFrame(
            name=own,
            origin=path,
            read=partial(self._image, frame, top),
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

    def _tell(self, video: Video, scan: VideoScan | None, path: str, ledger: Ledger) -> None:
        """Lines on the film as a whole."""
        if video.broken is not None:
            fix = "what came before is taken; fetch the film again for the rest."
            ledger.leave_out(path, DataError("E_VIDEO_BROKEN", f"{video.broken}.", where=path, fix=fix))
        for remark in video_remarks(video, scan, self.options.deinterlace):
            ledger.remark(path, remark.code, remark.what)


def _has_row(tables: Tables, path: str) -> bool:
    try:
        return tables.row(path) is not None
    except DataError:  # told when the film is read
        return True


def is_video_name(path: str) -> bool:
    """Whether a file's name promises a film."""
    return suffix_of(path) in VIDEO_SUFFIXES


class FramesOfVideo:
    """A film's frames by their number. Numbers should rise: then the film is decoded once, from first to last."""

    def __init__(self, tree: SourceTree, path: str) -> None:
        self.path = path
        self.stem = PurePosixPath(path).stem
        self._tree = tree
        self._frames: Iterator[VideoFrame] = iter(())
        self._next = 0
        self._begun = False

    def image(self, number: int) -> DecodedImage:
        """Frame ``number`` (from 0), upright. Raises: DataError E_VIDEO_FRAME, and what opening a film raises."""
        if not self._begun or number < self._next:
            self._frames, self._next, self._begun = self._decoded(), 0, True
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
    """The film in the folder of an annotation file or below that has one of these names, else the only one there."""
    folder = PurePosixPath(path).parent.as_posix()
    near = [each for each in tree.files() if is_video_name(each) and (folder == "." or each.startswith(f"{folder}/"))]
    found = [each for each in near if PurePosixPath(each).name in named] or near
    return FramesOfVideo(tree, found[0]) if len(found) == 1 else None


VIDEO_HEADINGS = ("video", "video id", "video name", "clip", "film", "视频", "视频编号")


def video_tables(tree: SourceTree, ledger: Ledger) -> Tables:
    """What all tables of the tree say of its videos; what cannot be read goes into the ledger."""
    return Tables.of(_HeadedByVideo(tree), ledger)


class _HeadedByVideo:
    """The same tree, its tables headed ``frame`` where they say ``video``."""

    def __init__(self, tree: SourceTree) -> None:
        self._tree = tree
        self.name = tree.name
        self.refused = tree.refused

    def files(self) -> Sequence[str]:
        return [path for path in self._tree.files() if is_table_name(path)]

    def local(self, path: str) -> Path:
        return self._tree.local(path)

    def read(self, path: str) -> bytes:
        data = self._tree.read(path)
        try:
            rows = table_rows(decoded_text(data, path, "E_TABLE"))
        except (csv.Error, DataError):
            return data  # whoever reads it as a table says what is wrong
        start = next((index for index, row in enumerate(rows) if any(row)), None)
        if start is None:
            return data
        header = [words_of(heading) for heading in rows[start]]
        videos = [moment_index for moment_index, heading in enumerate(header) if heading in VIDEO_HEADINGS]
        if not videos or any(heading in COLUMN_NAMES["frame"] for heading in header):
            return data
        rows[start][videos[0]] = "frame"
        text = io.StringIO()
        csv.writer(text).writerows(rows)
        return text.getvalue().encode()
