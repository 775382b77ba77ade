"""Names for the files of a tree: as short as they can be with each its own."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable
from pathlib import PurePosixPath


def shortest_names(paths: Iterable[str]) -> dict[str, str]:
    """Path → its stem, with as many folders before it, and at last its suffix, as it takes to be the only one."""
    parts = {path: PurePosixPath(path) for path in paths}
    names = {path: place.stem for path, place in parts.items()}
    for depth in range(1, max((len(place.parts) for place in parts.values()), default=1)):
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
