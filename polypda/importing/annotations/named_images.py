"""Which file of the tree an annotation means, and what a frame is called after its file.

Tools write paths of other machines, or nothing but a name.
"""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterable, Sequence
from pathlib import PurePosixPath

from polypda.cohorts.image_files import IMAGE_SUFFIXES
from polypda.errors import DataError
from polypda.importing.contract import SourceTree


def is_image(path: str) -> bool:
    """Whether a path ends as a picture does."""
    return PurePosixPath(path).suffix.lower() in IMAGE_SUFFIXES


def without_suffix(path: str) -> str:
    """A path without its last suffix; a dot within a folder's or a hidden file's name is none."""
    suffix = PurePosixPath(path).suffix
    return path[: -len(suffix)] if suffix else path


def wished_names(paths: Sequence[str]) -> dict[str, str]:
    """Path → the name for its frame: its stem, where no other path has it, else with its folders before it."""
    stems = Counter(_stem(path).casefold() for path in paths)
    shared = 0  # folders that all have in common tell nothing
    folders = [path.split("/")[:-1] for path in paths]
    while paths and all(len(each) > shared and each[shared] == folders[0][shared] for each in folders):
        shared += 1
    return {
        path: _stem(path) if stems[_stem(path).casefold()] == 1 else "-".join((*own[shared:], _stem(path)))
        for path, own in zip(paths, folders, strict=True)
    }


class NamedImages:
    """The pictures of a tree by the ends of their paths.

    An annotation's path is matched from its file name up: the pictures that share the most of the last parts with it
    are meant. Upper and lower case are told apart only where that decides. Nothing outside the tree is ever looked at.
    """

    def __init__(self, tree: SourceTree) -> None:
        self.paths = tuple(path for path in tree.files() if is_image(path))
        self.used: set[str] = set()
        """The pictures that an annotation named so far."""
        self.names = wished_names(self.paths)
        """Path → the name for its frame."""
        self._by_name: defaultdict[str, list[str]] = defaultdict(list)
        for path in self.paths:
            self._by_name[_name(path).casefold()].append(path)

    def find(self, written: str, *, beside: str = "") -> str:
        """The picture that ``written`` means; ``beside``: the annotation file, whose folder goes before others.

        Raises: DataError E_IMAGE_MISSING, E_IMAGE_AMBIGUOUS, E_IMAGE_TWICE (annotated before).
        """
        parts = [part for part in written.replace("\\", "/").split("/") if part not in ("", ".", "..")]
        candidates = self._by_name.get(parts[-1].casefold(), []) if parts else []
        if len(candidates) > 1:
            ranked = [(_rank(path, parts, beside), path) for path in candidates]
            best = max(rank for rank, _ in ranked)
            candidates = [path for rank, path in ranked if rank == best]
        if len(candidates) > 1:
            what = f"the annotation's '{written}' could be any of {', '.join(candidates[:3])}."
            fix = "import each folder by itself, or export with paths."
            raise DataError("E_IMAGE_AMBIGUOUS", what, where=beside or written, fix=fix)
        if not candidates:
            what = f"the annotation names '{written[:200]}', which is not there."
            raise DataError(
                "E_IMAGE_MISSING", what, where=beside or written, fix="lay the pictures (or the film) beside it."
            )
        if candidates[0] in self.used:
            what = f"'{written[:200]}' means {candidates[0]}, which was annotated before; the first counts."
            raise DataError("E_IMAGE_TWICE", what, where=beside or written, fix="keep one annotation of it.")
        self.used.add(candidates[0])
        return candidates[0]

    def unannotated(self) -> list[str]:
        """Pictures in the folders of those that were named which no annotation names."""
        folders = {_folder(path) for path in self.used}
        return [path for path in self.paths if path not in self.used and _folder(path) in folders]


def _rank(path: str, parts: list[str], beside: str) -> tuple[int, bool, int, int]:
    """How well a picture fits: shared last parts, same case, nearness to the annotation file."""
    own = path.split("/")
    return (
        _shared([part.casefold() for part in reversed(own)], [part.casefold() for part in reversed(parts)]),
        own[-1] == parts[-1],
        _shared(own[:-1], beside.split("/")[:-1]),
        -len(own),
    )


def _shared(first: Iterable[str], second: Iterable[str]) -> int:
    shared = 0
    for one, other in zip(first, second, strict=False):
        if one != other:
            break
        shared += 1
    return shared


def _name(path: str) -> str:
    return path.rsplit("/", 1)[-1]


def _stem(path: str) -> str:
    return without_suffix(_name(path))


def _folder(path: str) -> str:
    return path.rsplit("/", 1)[0] if "/" in path else ""


def shortest_names(paths: Iterable[str]) -> dict[str, str]:
    """Path → its stem, with as many folders before it, and at last its suffix, as it takes to be the only one."""
    parts = {path: PurePosixPath(path) for path in paths}
    names = {path: index.stem for path, index in parts.items()}
    for depth in range(1, max((len(index.parts) for index in parts.values()), default=1)):
        often = _folded(names)
        for path, name in names.items():
            if often[name.casefold()] > 1:
                names[path] = "-".join([*parts[path].parts[:-1][-depth:], parts[path].stem])
    often = _folded(names)  # v.mp4 beside v.avi
    return {
        path: f"{name}-{parts[path].suffix.lower()[1:] or 'file'}" if often[name.casefold()] > 1 else name
        for path, name in names.items()
    }


def _folded(names: dict[str, str]) -> Counter[str]:
    return Counter(name.casefold() for name in names.values())
