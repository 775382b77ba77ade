"""The formats that can be imported. To add one: its file, and a line here, the more specific format first."""

from __future__ import annotations

from collections.abc import Mapping

from polypda.errors import DataError, UsageError, nearest
from polypda.importing.contract import Reader, SourceTree
from polypda.importing.readers.coco import CocoReader
from polypda.importing.readers.cvat import CvatReader
from polypda.importing.readers.folders import FoldersReader
from polypda.importing.readers.labelme import LabelMeReader
from polypda.importing.readers.labelstudio import LabelStudioReader
from polypda.importing.readers.polydeep import PolyDeepReader
from polypda.importing.readers.polypsset import PolypsSetReader
from polypda.importing.readers.sun import SunReader

AUTO = "auto"

READERS: dict[str, type[Reader]] = {
    reader.name: reader
    for reader in (
        SunReader,
        PolypsSetReader,
        PolyDeepReader,
        CocoReader,
        LabelMeReader,
        CvatReader,
        LabelStudioReader,
        FoldersReader,
    )
}
"""By the name that ``--format`` takes. ``auto`` asks in this order; ``folders``, which takes any pictures, is last."""


def reader_for(name: str, tree: SourceTree, options: Mapping[str, str]) -> Reader:
    """The reader that ``--format`` names, or for ``auto`` the first that recognises the tree.

    Raises: UsageError E_FORMAT, E_OPTION; DataError E_FORMAT_UNKNOWN when no format recognises the tree.
    """
    if name != AUTO:
        if name not in READERS:
            known = [AUTO, *READERS]
            what = f"no format is called '{name}'.{nearest(name, known)}"
            raise UsageError("E_FORMAT", what, fix=f"formats are {', '.join(known)}.")
        return READERS[name].with_options(options)
    if not tree.files():
        raise DataError(
            "E_SOURCE_EMPTY", "there is no file in it.", where=tree.name, fix="name the folder with frames."
        )
    for kind in READERS.values():
        if kind().recognises(tree):
            return kind.with_options(options)
    raise DataError(
        "E_FORMAT_UNKNOWN",
        f"none of {len(tree.files())} files is a picture, a video or an annotation that a format here knows.",
        where=tree.name,
        fix=f"name the format: --format {'|'.join(READERS)}.",
    )
