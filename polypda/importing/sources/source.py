"""What ``polypda cohorts import`` is given: a folder, an archive, or a single file."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from polypda.errors import DataError
from polypda.importing.contract import SourceTree
from polypda.importing.sources.archives import open_archive
from polypda.importing.sources.source_tree import FolderTree


class SingleFile(FolderTree):
    """One file as a tree of its own, e.g. a video."""

    def __init__(self, path: Path) -> None:
        super().__init__(path.parent)
        self.name = path.stem
        self._only = path.name

    @property
    def refused(self) -> Sequence:
        return ()

    def files(self) -> Sequence[str]:
        """The one."""
        return (self._only,)


def open_source(path: Path, unpacked: Path) -> SourceTree:
    """The source as a tree; archives are unpacked below ``unpacked``, which the caller removes.

    Raises: DataError E_SOURCE_ABSENT, E_ARCHIVE_….
    """
    if path.is_dir():
        return FolderTree(path)
    if path.is_file():
        return open_archive(path, unpacked) or SingleFile(path)
    fix = "name a folder, an archive (zip, tar) or a file that exists."
    raise DataError("E_SOURCE_ABSENT", "there is nothing of this name.", where=path, fix=fix)
