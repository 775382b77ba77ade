"""What a model is to be applied to: images, folders, archives, globs, videos, a camera, DICOM objects, a cohort.

Nothing is decoded here before it is asked for, and by the decoders that an import uses: images come upright by their
EXIF orientation, videos by what their header says, and what would be guessed is refused with a code.
"""

from __future__ import annotations

import glob
import sys
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from enum import StrEnum
from functools import partial
from pathlib import Path

from polypda.cohorts.catalogue import load_catalogue
from polypda.cohorts.image_files import is_image_name
from polypda.cohorts.images import is_blank, read_image
from polypda.cohorts.opening import open_cohort
from polypda.cohorts.sub_cohorts import whole_cohort
from polypda.errors import DataError, PolypdaError, UsageError, nearest
from polypda.importing.contract import DecodedImage, Remark, SourceTree
from polypda.importing.images.decoded_image import read_image as read_stored_image
from polypda.importing.images.deinterlacing import Deinterlace, VideoScan, bwdif, probe_scan
from polypda.importing.images.videos import (
    Video,
    VideoFrame,
    pyav,
    rgb,
    upright,
    video_of,
)
from polypda.importing.images.videos import (
    open_video as open_recording,
)
from polypda.importing.readers.annotated import shortest_names
from polypda.importing.readers.dicom import DicomReader, is_dicom
from polypda.importing.readers.video import is_video_name, video_remarks
from polypda.importing.source_tree import open_source
from polypda.importing.writing.records import FrameNames, readable

FIX_INPUT = "give images, folders, archives, globs, videos, DICOM files, a camera's number, or a cohort's id."


class InputKind(StrEnum):
    """What an input is."""

    IMAGE = "image"
    VIDEO = "video"
    DICOM = "dicom"
    COHORT = "cohort"
    CAMERA = "camera"

    @property
    def moves(self) -> bool:
        """Whether its frames are moments of one recording that becomes an overlay video."""
        return self in (InputKind.VIDEO, InputKind.CAMERA)


@dataclass(frozen=True)
class InputFrame:
    """One frame of an input. read: decodes it, uint8 RGB, upright. t_s: seconds since the recording's first frame."""

    name: str
    index: int
    read: Callable[[], DecodedImage]
    t_s: float | None = None


@dataclass(frozen=True)
class Input:
    """One file, object or recording.

    origin: what it is called in tables: its path within what the user named, never a place on this machine.
    name: of its outputs, unique and safe on every file system. file: on disk, where its bytes lie there as they are.
    """

    origin: str
    name: str
    kind: InputKind
    frames: Callable[[], Iterator[InputFrame]] = field(repr=False)
    file: Path | None = None


@dataclass(frozen=True)
class _Found:
    origin: str
    kind: InputKind
    tree: SourceTree
    path: str


def find_inputs(
    texts: Sequence[str], data_root: Path | None, unpacked: Path, out: Path
) -> tuple[list[Input], list[DataError]]:
    """All inputs that the user's words name, in order; and what was left out of folders and archives.

    Args: unpacked: a folder for the contents of archives, which the caller removes. data_root: of cohorts. out: where
        predictions are written, which are no inputs.
    Raises: DataError E_INPUT_ABSENT, E_INPUT_EMPTY, E_ARCHIVE_…; what opening a cohort raises.
    """
    found: list[_Found] = []
    whole: list[Input] = []
    left_out: list[DataError] = []
    labels: dict[str, int] = {}
    names = FrameNames()
    for number, text in enumerate(texts):
        paths = _paths(text)
        if paths is None:
            whole += _camera_or_cohort(text, data_root, names)
            continue
        for index, path in enumerate(paths):
            tree = open_source(path, unpacked / f"{number}-{index}")
            label = _label(tree, path, labels)
            files = [one for one in tree.files() if not tree.local(one).is_relative_to(out.resolve())]
            mine = [one for one in map(partial(_classified, tree, label), files) if one is not None]
            left_out += [
                DataError(line.code, line.what, where=f"{label}/{line.origin}", fix=line.fix) for line in tree.refused
            ]
            if not mine:
                what = "holds no image, video or DICOM object." if path.is_dir() else "is no image, video or DICOM."
                raise DataError("E_INPUT_EMPTY", what, where=text, fix=FIX_INPUT)
            found += mine
    wished = shortest_names([one.origin for one in found])
    inputs = []
    for one in found:
        name = names.give(wished[one.origin])
        if name is None:  # the same file named twice
            continue
        inputs.append(_input(one, name))
    return [*inputs, *whole], left_out


def _paths(text: str) -> list[Path] | None:
    """The files and folders that a word names; None where it names none as a path.

    Raises: DataError E_INPUT_ABSENT for a glob that fits nothing.
    """
    path = Path(text).expanduser()
    if path.exists():
        return [path]
    if any(mark in text for mark in "*?["):
        matches = sorted(glob.glob(str(path), recursive=True))  # noqa: PTH207 - a pattern may be absolute
        if not matches:
            raise DataError("E_INPUT_ABSENT", "nothing fits this pattern.", where=text, fix="check the path.")
        return [Path(match) for match in matches]
    return None


def _label(tree: SourceTree, path: Path, labels: dict[str, int]) -> str:
    """What stands before a tree's paths: a folder's or an archive's own name, numbered where it comes again."""
    if path.is_file() and list(tree.files()) == [path.name]:
        return ""
    name = readable(tree.name)
    labels[name] = labels.get(name, 0) + 1
    return name if labels[name] == 1 else f"{name}-{labels[name]}"


def _classified(tree: SourceTree, label: str, path: str) -> _Found | None:
    origin = f"{label}/{readable(path)}" if label else readable(path)
    if is_image_name(path):
        return _Found(origin, InputKind.IMAGE, tree, path)
    if is_video_name(path):
        return _Found(origin, InputKind.VIDEO, tree, path)
    return _Found(origin, InputKind.DICOM, tree, path) if is_dicom(tree, path) else None


def _input(one: _Found, name: str) -> Input:
    tree, path = one.tree, one.path
    file = tree.local(path)
    if one.kind is InputKind.IMAGE:
        frame = InputFrame(name, 0, partial(read_stored_image, tree, path))
        return Input(one.origin, name, one.kind, partial(_once, frame), file)
    if one.kind is InputKind.DICOM:
        return Input(one.origin, name, one.kind, partial(_dicom_frames, tree, path, name), file)
    return Input(one.origin, name, one.kind, lambda: iter(()), file)  # read by open_video


def _dicom_frames(tree: SourceTree, path: str, name: str) -> Iterator[InputFrame]:
    for index, frame in enumerate(DicomReader().of_object(tree, path, name)):
        yield InputFrame(frame.name, index, frame.read, frame.t_s)


def _camera_or_cohort(text: str, data_root: Path | None, names: FrameNames) -> list[Input]:
    if text.isdecimal():
        return [Input(text, f"camera-{text}", InputKind.CAMERA, lambda: iter(()))]
    known = load_catalogue(data_root)
    if whole_cohort(text) not in known:
        what = f"there is no file, folder or cohort of this name.{nearest(text, known)}"
        raise DataError("E_INPUT_ABSENT", what, where=text, fix=FIX_INPUT)
    cohort = open_cohort(text, data_root, labels=False, allow_leakage=True)
    inputs = []
    for frame in cohort.frames:
        # as the cohort's frames are always read: masks carry no orientation, so none is followed
        name = names.give(frame.frame.replace("/", "-"))
        if name is not None:
            read = partial(_cohort_frame, frame.image)
            one = partial(_once, InputFrame(name, 0, read, frame.t_s))
            inputs.append(Input(f"{cohort.id}/{frame.frame}", name, InputKind.COHORT, one, frame.image))
    return inputs


def _once(frame: InputFrame) -> Iterator[InputFrame]:
    yield frame


def _cohort_frame(path: Path) -> DecodedImage:
    pixels = read_image(path)
    blank = (Remark("W_IMAGE_BLANK", "all of one colour: nothing can be seen on it."),) if is_blank(pixels) else ()
    return DecodedImage(pixels, remarks=blank)


@dataclass
class OpenedVideo:
    """A video or camera under way. scan: how it was recorded; None where that was not looked for."""

    recording: Video
    scan: VideoScan | None
    deinterlace: Deinterlace

    def frames(self, name: str) -> Iterator[InputFrame]:
        """Its frames, upright, de-interlaced where it was recorded in fields; once."""
        steady = self.recording.frames()
        if self.scan is not None and self.scan.interlaced:
            steady = bwdif(self.recording, steady, top_first=self.scan.top_first)
        for frame in steady:
            yield InputFrame(f"{name}_{frame.index:06d}", frame.index, partial(_video_image, frame), frame.t_s)

    @property
    def count(self) -> int:
        """About how many frames it has; 0 where it does not tell."""
        return round((self.recording.duration_s or 0.0) * self.recording.rate)

    def remarks(self) -> list[str]:
        """What is worth knowing of it, once its frames were read."""
        return [f"{one.code} {one.what}" for one in video_remarks(self.recording, self.scan, self.deinterlace)]


@contextmanager
def open_video(one: Input, deinterlace: Deinterlace) -> Iterator[OpenedVideo]:
    """Open a video or a camera for the length of the block.

    Raises: UsageError E_EXTRA_MISSING; DataError E_CAMERA, E_VIDEO_….
    """
    if one.kind is InputKind.CAMERA:
        with _camera(int(one.origin)) as recording:
            yield OpenedVideo(recording, None, Deinterlace.OFF)
        return
    assert one.file is not None
    scan = None
    if deinterlace is Deinterlace.AUTO:
        with open_recording(one.file, one.origin) as recording:
            scan = probe_scan(recording)
    with open_recording(one.file, one.origin) as recording:
        yield OpenedVideo(recording, scan, deinterlace)


def _video_image(frame: VideoFrame) -> DecodedImage:
    pixels = upright(rgb(frame.image), frame.quarter_turns)
    blank = (Remark("W_IMAGE_BLANK", "all of one colour: nothing can be seen on it."),) if is_blank(pixels) else ()
    return DecodedImage(pixels, remarks=blank)


@contextmanager
def _camera(index: int) -> Iterator[Video]:
    """A camera by its number. Raises: UsageError E_EXTRA_MISSING; DataError E_CAMERA."""
    av = pyav()
    device, form = (f"/dev/video{index}", "v4l2") if sys.platform.startswith("linux") else (str(index), "avfoundation")
    try:
        container = av.open(device, format=form)
    except (av.FFmpegError, OSError, ValueError) as error:
        what = f"camera {index} cannot be opened ({getattr(error, 'strerror', None) or error})."
        fix = "check that it is plugged in, that no other program uses it, and that you may read it."
        raise DataError("E_CAMERA", what, fix=fix) from error
    with container:
        yield video_of(container, f"camera {index}")


def as_data_error(error: Exception, where: str) -> PolypdaError:
    """A decoder's error on one frame as one of ours."""
    if isinstance(error, UsageError):
        raise error  # a missing module is no broken frame
    if isinstance(error, PolypdaError):
        return error
    what = f"could not be decoded ({type(error).__name__})."
    return DataError("E_FRAME_FAILED", what, where=where, fix="look at the file, or convert it.")
