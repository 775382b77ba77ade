"""A source tree that knows which of its files were looked at: for progress, and for what a reader passed over."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Sequence
from pathlib import Path, PurePosixPath

from polypda.importing.contract import LedgerLine, SourceTree

_PICTURES = "png jpg jpeg bmp tif tiff gif webp heic dcm mp4 avi mov mkv mpg mpeg wmv"
_TEXTS = "json jsonl xml csv tsv txt yaml yml md pdf doc docx xls xlsx html npy npz mat ini cfg log db xmp zip tar gz"
KNOWN_SUFFIXES = frozenset(f".{suffix}" for suffix in f"{_PICTURES} {_TEXTS}".split())


class CountedTree:
    """The same tree. on_read: called with the number of files looked at so far and of all."""

    def __init__(self, tree: SourceTree, on_read: Callable[[int, int], None] | None = None) -> None:
        self._tree = tree
        self._seen: set[str] = set()
        self._on_read = on_read
        self.name = tree.name

    @property
    def refused(self) -> Sequence[LedgerLine]:
        return self._tree.refused

    def files(self) -> Sequence[str]:
        return self._tree.files()

    def read(self, path: str) -> bytes:
        self._count(path)
        return self._tree.read(path)

    def local(self, path: str) -> Path:
        self._count(path)
        return self._tree.local(path)

    def unseen(self, told: set[str]) -> Counter[str]:
        """Files that were neither looked at nor told of in the ledger, by their suffix."""
        left = set(self.files()) - self._seen - told
        return Counter(_suffix(path) for path in left)

    def _count(self, path: str) -> None:
        self._seen.add(path)
        if self._on_read is not None:
            self._on_read(len(self._seen), len(self._tree.files()))


def _suffix(path: str) -> str:
    """The suffix where it is a usual one: what follows the last dot of "report.meier" is somebody's name."""
    suffix = PurePosixPath(path).suffix.lower()
    return suffix if suffix in KNOWN_SUFFIXES else "other suffix" if suffix else "no suffix"
