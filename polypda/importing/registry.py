"""The formats that can be imported. To add one: its file, and a line here, the more specific format first; or an entry
point of another package (``polypda.readers``, see :mod:`polypda.plugins`), which is asked before those here.
"""

from __future__ import annotations

from collections.abc import Mapping

from polypda.cohorts.frames_table import TABLE_NAMES
from polypda.cohorts.manifest import Manifest
from polypda.errors import DataError, UsageError, nearest
from polypda.importing.contract import Reader, SourceTree
from polypda.importing.readers.coco import CocoReader
from polypda.importing.readers.cvat import CvatReader
from polypda.importing.readers.dicom import DicomReader
from polypda.importing.readers.folders import FoldersReader
from polypda.importing.readers.labelme import LabelMeReader
from polypda.importing.readers.labelstudio import LabelStudioReader
from polypda.importing.readers.polydeep import PolyDeepReader
from polypda.importing.readers.public_sets import PolypsSetReader, SunReader
from polypda.importing.readers.release import ReleaseReader, release_reader
from polypda.importing.readers.video import VideoReader
from polypda.plugins import Registry, plugins, register

AUTO = "auto"

READERS: Registry[type[Reader]] = Registry(
    {
        reader.name: reader
        for reader in (
            SunReader,
            PolypsSetReader,
            PolyDeepReader,
            CocoReader,
            LabelMeReader,
            CvatReader,
            LabelStudioReader,
            DicomReader,
            VideoReader,
            FoldersReader,
        )
    },
    lambda: {reader.name: reader for reader in plugins("polypda.readers", Reader)},
    added_first=True,
)
"""By the name that ``--format`` takes. ``auto`` asks in this order; ``folders``, which takes any images, is last."""


def register_reader(reader: type[Reader]) -> type[Reader]:
    """Add a format in this process; ``auto`` asks it before the formats here. A decorator of a :class:`Reader`.

    Raises: UsageError E_NAME_TAKEN, E_REGISTER.
    """
    return register(READERS, reader, Reader)


def format_names() -> tuple[str, ...]:
    """What ``--format`` takes."""
    return (AUTO, ReleaseReader.name, *READERS)


def check_format(name: str, options: Mapping[str, str]) -> None:
    """Check ``--format`` and its options before the source is looked at.

    Raises: UsageError E_FORMAT, E_OPTION.
    """
    if name == ReleaseReader.name:
        return
    if name != AUTO:
        _named(name).with_options(options)
        return
    problem = None
    for kind in READERS.values():
        try:
            kind.with_options(options)
            return
        except UsageError as error:
            problem = error
    if problem is not None:  # no format takes them
        raise problem


def _named(name: str) -> type[Reader]:
    if name not in READERS:
        known_names = format_names()
        what = f"no format is called '{name}'.{nearest(name, known_names)}"
        raise UsageError("E_FORMAT", what, fix=f"formats are {', '.join(known_names)}.")
    return READERS[name]


def reader_for(name: str, tree: SourceTree, options: Mapping[str, str], known: Manifest | None = None) -> Reader:
    """The reader that ``--format`` names, or for ``auto`` the first that recognises the tree.

    known: the cohort's manifest; where the tree lies as one of its layouts says, that layout is read (``auto`` without
    options, or ``release``).

    Raises: UsageError E_FORMAT, E_OPTION; DataError E_FORMAT_UNKNOWN when no format recognises the tree,
        E_RELEASE_LAYOUT.
    """
    release = release_reader(tree, known) if known is not None and name in (AUTO, ReleaseReader.name) else None
    if name == ReleaseReader.name:
        if release is None:
            what = "the files do not lie as any layout of the cohort's manifest says."
            raise DataError("E_RELEASE_LAYOUT", what, where=tree.name, fix="use --format folders.")
        return release
    if name != AUTO:
        return _named(name).with_options(options)
    if not tree.files():
        fix = "name the folder with frames."
        raise DataError("E_SOURCE_EMPTY", "there is no file in it.", where=tree.name, fix=fix)
    if release is not None and not options and not set(TABLE_NAMES) & set(tree.files()):
        return release
    for kind in READERS.values():
        if kind().recognises(tree):
            return kind.with_options(options)
    raise DataError(
        "E_FORMAT_UNKNOWN",
        f"none of {len(tree.files())} files is a picture, a video or an annotation that a format here knows.",
        where=tree.name,
        fix=f"name the format: --format {'|'.join(READERS)}.",
    )
