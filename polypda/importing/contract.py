"""The contract of a reader: it turns one tool's files into frames, lazily; the writer makes a cohort folder of them.

A reader opens nothing that it need not and decodes nothing by itself: each frame carries functions that do. What they
raise (a DataError with its code) becomes a line of the ledger, and the import goes on with the next frame.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import ClassVar

import numpy as np
from numpy.typing import NDArray

from polypda.cohorts.frames import PolypBox, Split
from polypda.errors import DataError, PolypdaError, UsageError, nearest
from polypda.plugins import extra_module as extra_module

Pixels = NDArray[np.uint8]
"""uint8 H×W×3, RGB."""
MaskPixels = NDArray[np.uint8]
"""uint8 H×W, 1 is polyp, 0 is not."""


LARGEST_READ_BYTES = 4 << 30
"""A file beyond this is not read into memory; videos are read piece by piece."""


class SourceTree(ABC):
    """What is imported, a folder or an archive, read only. Paths are relative, with forward slashes.

    name: the folder's or archive's own name, without its place.
    """

    name: str

    @property
    def refused(self) -> Sequence[LedgerLine]:
        """What the tree itself left out: links that lead outside, archive entries that must not be unpacked."""
        return ()

    @abstractmethod
    def files(self) -> Sequence[str]:
        """Every file, in natural order; nothing hidden, no link that leads outside."""

    @abstractmethod
    def local(self, path: str) -> Path:
        """A file on disk with these bytes, for decoders that seek (videos); never to be written to."""

    def read(self, path: str) -> bytes:
        """A file's bytes. Raises: DataError E_FILE_UNREADABLE, E_FILE_TOO_LARGE."""
        try:
            file = self.local(path)
            if file.stat().st_size > LARGEST_READ_BYTES:
                what = f"{file.stat().st_size / 1e9:.1f} GB, and it would be read as a whole."
                raise DataError(
                    "E_FILE_TOO_LARGE", what, where=path, fix="no frame or annotation is so large: check it."
                )
            return file.read_bytes()
        except OSError as error:
            raise unreadable(path, error.strerror or type(error).__name__) from error


def unreadable(path: str, reason: str) -> DataError:
    """The error for a file that the disk or the archive does not give."""
    fix = "check the file's permissions and the disk, or leave the file out."
    return DataError("E_FILE_UNREADABLE", f"cannot be read ({reason}).", where=path, fix=fix)


@dataclass(frozen=True)
class Remark:
    """Something that a person should know about a frame that is taken all the same. ``code`` is stable (W_…, N_…)."""

    code: str
    what: str


def mode_unknown(text: str) -> Remark:
    """The remark on a frame whose imaging mode is given in words that name none, or several."""
    what = f"its mode is given as '{text[:80]}', which names none that is known: left out. Write WL, NBI, FICE…"
    return Remark("W_MODE_UNKNOWN", what)


@dataclass(frozen=True)
class DecodedImage:
    """A decoded frame.

    encoded, suffix: the file as it is and its suffix (``.jpg``, ``.png``), where the cohort can keep it unchanged:
    8-bit RGB or grey without orientation. None: the writer encodes ``pixels`` as PNG.
    orientation: the EXIF orientation (1–8) that ``pixels`` have been turned by; 1 is none.
    """

    pixels: Pixels
    encoded: bytes | None = None
    suffix: str = ".png"
    orientation: int = 1
    remarks: tuple[Remark, ...] = ()


@dataclass(frozen=True)
class MaskLabel:
    """A mask; ``read`` is given the image's (height, width) and returns a mask of that size.

    For an image that was turned by its EXIF orientation, the writer asks for the upright size first and after
    E_MASK_SIZE for the size as stored, and turns the mask as it turned the image.

    Raises when called: DataError E_MASK_SIZE, E_MASK_UNREADABLE, E_MASK_NOT_BINARY, E_MASK_CLASS…
    """

    read: Callable[[tuple[int, int]], MaskPixels]


@dataclass(frozen=True)
class BoxLabel:
    """All boxes of a frame that has at least one polyp.

    size: (height, width) of the image that the tool says they were drawn on; None where it does not say.
    """

    boxes: tuple[PolypBox, ...]
    size: tuple[int, int] | None = None


@dataclass(frozen=True)
class NegativeLabel:
    """The owner says that the frame shows no polyp."""


@dataclass(frozen=True)
class UnknownLabel:
    """Nothing is known of the frame's polyps: it can be adapted to, not scored."""


Label = MaskLabel | BoxLabel | NegativeLabel | UnknownLabel


@dataclass(frozen=True)
class ImportedFrame:
    """One frame as a reader found it.

    name: the id that it would like; the writer makes it safe and refuses a second one. origin: its path in the tree,
    for the ledger. mode: imaging mode (WL, NBI, FICE…). t_s: seconds from the start of its video. remarks: go into the
    ledger if the frame is taken. patient_by: how the patient was found where a name was understood so, not given by a
    table or field: it is summed up at the import's end.
    """

    name: str
    origin: str
    read: Callable[[], DecodedImage]
    label: Label = field(default_factory=UnknownLabel)
    patient: str | None = None
    sequence: str | None = None
    t_s: float | None = None
    split: Split | None = None
    mode: str | None = None
    remarks: tuple[Remark, ...] = ()
    patient_by: str | None = None


@dataclass(frozen=True)
class LedgerLine:
    """What was left out, or taken with a remark. ``code`` is stable; ``taken`` tells whether a frame came of it."""

    origin: str
    code: str
    what: str
    taken: bool = False
    fix: str = ""


@dataclass
class Ledger:
    """How many files there were, how many frames were taken, what was left out and why.

    finished: files (videos…) whose frames had all been written when an earlier attempt was interrupted. A resumable
    reader passes over these, and calls :meth:`finish` when it has yielded the last frame of a file.
    """

    files: int = 0
    taken: int = 0
    lines: list[LedgerLine] = field(default_factory=list)
    finished: set[str] = field(default_factory=set)
    on_finish: Callable[[str], None] | None = None
    on_advance: Callable[[str, float], None] | None = None

    def leave_out(self, origin: str, error: PolypdaError) -> None:
        """Note a file or frame that is left out."""
        self.lines.append(LedgerLine(origin, error.code, error.what, fix=error.fix))

    def remark(self, origin: str, code: str, what: str) -> None:
        """Note something about the source or a frame that is taken; a frame's own belong into its ``remarks``."""
        self.lines.append(LedgerLine(origin, code, what, taken=True))

    def finish(self, path: str) -> None:
        """All frames of this file have been yielded (and so written): a repeated command need not read it again."""
        self.finished.add(path)
        if self.on_finish is not None:
            self.on_finish(path)

    def advance(self, path: str, fraction: float) -> None:
        """How much of a large file (a video) has been gone through, 0–1: for people who watch."""
        if self.on_advance is not None:
            self.on_advance(path, fraction)


class Reader(ABC):
    """One format. ``frames`` is lazy: with 10,000 frames nothing but the annotation is held in memory.

    The writer writes each frame before it asks for the next, so a reader may reuse a decoder's state between frames.

    name: as ``--format`` takes it. title: what it reads, in a few words. deinterlaces: whether it has an option of its
    own for frames that hold two moments, since it sees their neighbours in time. resumable: whether an interrupted
    import keeps what is done and a repeated command goes on (see :class:`Ledger`).
    """

    name: ClassVar[str]
    title: ClassVar[str]
    deinterlaces: ClassVar[bool] = False
    resumable: ClassVar[bool] = False

    @classmethod
    def with_options(cls, options: Mapping[str, str]) -> Reader:
        """A reader with what ``-O NAME=VALUE`` of the command says. Raises: UsageError E_OPTION (by default any)."""
        check_option_names(cls.name, options, {})
        return cls()

    def with_original_names(self) -> Reader:
        """A reader that keeps names as the source has them, for a treatment that makes pseudonyms itself."""
        return self

    @abstractmethod
    def recognises(self, tree: SourceTree) -> bool:
        """Whether the tree looks like this format; cheap, for ``--format auto``."""

    @abstractmethod
    def frames(self, tree: SourceTree, ledger: Ledger) -> Iterator[ImportedFrame]:
        """Every frame of the tree. What cannot be one is noted in the ledger.

        Raises: DataError where the tree as a whole cannot be read as this format.
        """


def check_option_names(format_name: str, given: Mapping[str, str], known: Mapping[str, str]) -> None:
    """known: name → its meaning. Raises: UsageError E_OPTION for a name that the format does not know."""
    for name in given:
        if name not in known:
            what = f"format '{format_name}' has no option '{name}'.{nearest(name, known)}"
            fix = "; ".join(f"{option}: {meaning}" for option, meaning in known.items())
            raise UsageError("E_OPTION", what, fix=fix or "leave -O out.")


def option_choice(given: Mapping[str, str], name: str, choices: Sequence[str]) -> str:
    """One of several words, the first by default. Raises: UsageError E_OPTION."""
    value = given.get(name, choices[0])
    if value not in choices:
        what = f"{name} is '{value}'.{nearest(value, choices)}"
        raise UsageError("E_OPTION", what, fix=f"write one of {', '.join(choices)}.")
    return value
