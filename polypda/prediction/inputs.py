"""What a model is to be applied to: images, folders, archives, globs, videos, a camera, DICOM objects, a cohort.

Nothing is decoded here before it is asked for, and by the decoders that an import uses: images come upright by their
EXIF orientation, videos by what their header says, and what would be guessed is refused with a code.
"""

from __future__ import annotations

import glob
import os
import sys
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from enum import StrEnum
from functools import cache, cached_property, partial
from pathlib import Path, PurePosixPath

from polypda.cohorts.catalogue import load_catalogue
from polypda.cohorts.image_files import is_image_name, name_some, number_of
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
from polypda.importing.source_tree import ArchiveTree, SingleFile, open_source
from polypda.importing.writing.records import readable
from polypda.integrity import fingerprint_of, sha256_of
from polypda.prediction.naming import OutputNames, Place, names_before, parents_needed

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

    origin: what it is called in tables: its path within what the user named, with as many of the folders before that as
    tell it from others, never a place on this machine.
    name: of its outputs, unique and safe on every file system. file: on disk, where its bytes lie there as they are.
    """

    origin: str
    name: str
    kind: InputKind
    frames: Callable[[], Iterator[InputFrame]] = field(repr=False)
    file: Path | None = None

    @cached_property
    def digest(self) -> str:
        """What tells its bytes from others', 64 hexadecimal digits: the SHA-256 of a file, of a recording
        :func:`~polypda.integrity.fingerprint_of`. Empty of a camera and of what cannot be read. Found out once."""
        if self.file is None:
            return ""
        try:
            return fingerprint_of(self.file) if self.kind.moves else sha256_of(self.file)
        except OSError:
            return ""


@dataclass(frozen=True)
class _Found:
    place: Place
    kind: InputKind
    tree: SourceTree
    path: str


class _Once:
    """Tells what has been named before. twice: what was named again, in the user's words."""

    def __init__(self) -> None:
        self._seen: set[tuple[str, ...]] = set()
        self._resolved = cache(Path.resolve)
        self.twice: list[str] = []

    def first_file(self, words: str, path: Path, *more: str) -> bool:
        """Whether a file was not named before. Folders' links are followed; links to one file are several files: they
        have a name each, and some stores keep all files of the same bytes as links to one."""
        return self.first(words, str(self._resolved(path.parent) / path.name), *more)

    def first(self, words: str, *key: str) -> bool:
        """Whether this was not named before. key: equal where the same is meant."""
        first = key not in self._seen
        self._seen.add(key)
        if not first:
            self.twice.append(words)
        return first


def find_inputs(
    texts: Sequence[str], data_root: Path | None, unpacked: Path, out: Path
) -> tuple[list[Input], list[DataError]]:
    """All inputs that the user's words name, in order, cameras and cohorts last; and what was left out.

    A file that is named twice, by itself and with its folder, is one input; files of one name are as many as they are.

    Args: unpacked: a folder for the contents of archives, which the caller removes. data_root: of cohorts. out: where
        predictions are written, which are no inputs.
    Returns: inputs; what was left out of folders and archives, and as N_INPUT_TWICE what was named twice.
    Raises: DataError E_INPUT_ABSENT, E_INPUT_EMPTY, E_ARCHIVE_…; what opening a cohort raises.
    """
    found: list[_Found] = []
    refused: list[tuple[Place, DataError]] = []
    others: list[str] = []
    once, own = _Once(), out.resolve()
    for number, text in enumerate(texts):
        paths = _paths(text)
        if paths is None:
            others.append(text)
            continue
        for index, path in enumerate(paths):
            tree = open_source(path, unpacked / f"{number}-{index}")
            files = [one for one in tree.files() if not tree.local(one).is_relative_to(own)]
            mine = [one for one in map(partial(_classified, tree, path), files) if one is not None]
            refused += [
                (_place(tree, path, line.origin), DataError(line.code, line.what, fix=line.fix))
                for line in tree.refused
            ]
            if not mine:
                what = "holds no image, video or DICOM object." if path.is_dir() else "is no image, video or DICOM."
                raise DataError("E_INPUT_EMPTY", what, where=text, fix=FIX_INPUT)
            found += [one for one in mine if _is_first(one, path, once)]
    names = OutputNames(names_before(out))
    parents = parents_needed([one.place for one in found])
    inputs = _named(found, [one.place.origin(parents[one.place.named]) for one in found], names)
    for text in others:
        inputs += _camera_or_cohort(text, data_root, names, once)
    left_out = [
        DataError(error.code, error.what, where=place.origin(parents.get(place.named, 0)), fix=error.fix)
        for place, error in refused
    ]
    if once.twice:
        what = f"named more than once, predicted once: {name_some(once.twice)}."
        left_out.append(DataError("N_INPUT_TWICE", what))
    return inputs, left_out


def _named(found: Sequence[_Found], origins: Sequence[str], names: OutputNames) -> list[Input]:
    wished = shortest_names(origins)
    inputs = []
    for one, origin in zip(found, origins, strict=True):
        whole = PurePosixPath(origin)
        wishes = (wished[origin], "-".join(whole.with_suffix("").parts), "-".join(whole.parts))
        name = names.give(origin, wishes, several=one.kind is InputKind.DICOM)
        inputs.append(_input(one, origin, name))
    return inputs


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


def _place(tree: SourceTree, path: Path, inner: str) -> Place:
    named = tuple(map(readable, Path(os.path.abspath(path)).parts[1:]))  # noqa: PTH100 - links keep their own names
    if isinstance(tree, SingleFile):
        return Place(named, readable(path.name))
    return Place(named, readable(tree.name), readable(inner))


def _is_first(one: _Found, named: Path, once: _Once) -> bool:
    if isinstance(one.tree, ArchiveTree):
        return once.first_file(one.place.origin(0), named, one.path)
    return once.first_file(one.place.origin(0), one.tree.local(one.path))


def _classified(tree: SourceTree, named: Path, path: str) -> _Found | None:
    place = _place(tree, named, path)
    if is_image_name(path):
        return _Found(place, InputKind.IMAGE, tree, path)
    if is_video_name(path):
        return _Found(place, InputKind.VIDEO, tree, path)
    return _Found(place, InputKind.DICOM, tree, path) if is_dicom(tree, path) else None


def _input(one: _Found, origin: str, name: str) -> Input:
    tree, path = one.tree, one.path
    file = tree.local(path)
    if one.kind is InputKind.IMAGE:
        frame = InputFrame(name, 0, partial(read_stored_image, tree, path))
        return Input(origin, name, one.kind, partial(_once, frame), file)
    if one.kind is InputKind.DICOM:
        return Input(origin, name, one.kind, partial(_dicom_frames, tree, path, name), file)
    return Input(origin, name, one.kind, lambda: iter(()), file)  # read by open_video


def _dicom_frames(tree: SourceTree, path: str, name: str) -> Iterator[InputFrame]:
    for index, frame in enumerate(DicomReader().of_object(tree, path, name)):
        yield InputFrame(frame.name, index, frame.read, frame.t_s)


def _camera_or_cohort(text: str, data_root: Path | None, names: OutputNames, once: _Once) -> list[Input]:
    if number_of(text) is not None:
        camera = Input(text, f"camera-{text}", InputKind.CAMERA, lambda: iter(()))
        return [camera] if once.first(text, InputKind.CAMERA) else []
    known = load_catalogue(data_root)
    if whole_cohort(text) not in known:
        what = f"there is no file, folder or cohort of this name.{nearest(text, known)}"
        raise DataError("E_INPUT_ABSENT", what, where=text, fix=FIX_INPUT)
    cohort = open_cohort(text, data_root, labels=False, allow_leakage=True)
    inputs = []
    for frame in cohort.frames:
        origin = f"{cohort.id}/{frame.frame}"
        if not once.first_file(origin, frame.image, InputKind.COHORT):
            continue
        name = names.give(origin, (frame.frame.replace("/", "-"), origin.replace("/", "-")))
        # as the cohort's frames are always read: masks carry no orientation, so none is followed
        read = partial(_cohort_frame, frame.image)
        one = partial(_once, InputFrame(name, 0, read, frame.t_s))
        inputs.append(Input(origin, name, InputKind.COHORT, one, frame.image))
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
