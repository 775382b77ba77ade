"""Picture files below a folder, and how a path tells its frame."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path

from polypda.cohorts.image_kinds import IMAGE_SUFFIXES
from polypda.cohorts.ordering import natural_key
from polypda.errors import DataError

SYSTEM_FILES = {"thumbs.db", "desktop.ini", "ehthumbs.db"}
SYSTEM_FOLDERS = {"__macosx", "$recycle.bin", "system volume information", "@eadir"}
MOST_NAMED = 5
"""How many frames a message names before it says how many more there are."""


def is_hidden(path: str) -> bool:
    """Whether a path with forward slashes is an operating system's own: hidden (macOS leaves "._name.jpg" beside each
    file on foreign disks), a folder's thumbnails, a recycle bin."""
    parts = path.split("/")
    if any(part.startswith(".") or part.lower() in SYSTEM_FOLDERS for part in parts):
        return True
    return parts[-1].lower() in SYSTEM_FILES


def name_some(frames: Sequence[str]) -> str:
    """The first few of many ids, and how many more there are."""
    more = f" and {len(frames) - MOST_NAMED} more" if len(frames) > MOST_NAMED else ""
    return ", ".join(frames[:MOST_NAMED]) + more


def image_files(folder: Path, patterns: Iterable[str]) -> Iterator[Path]:
    """The picture files that match the globs, as the disk lists them."""
    for pattern in patterns:
        for path in folder.glob(pattern):
            if path.suffix.lower() in IMAGE_SUFFIXES and not is_hidden(path.relative_to(folder).as_posix()):
                yield path


def files_by_frame(
    folder: Path, patterns: Iterable[str], name: str, what: str
) -> dict[str, tuple[Path, dict[str, str | None]]]:
    """Frame → (file, the named groups of its path), for all picture files that match the globs.

    Raises: DataError E_FRAME_NAME, E_FRAME_TWICE.
    """
    pattern = re.compile(name)
    found: dict[str, tuple[Path, dict[str, str | None]]] = {}
    for path in sorted(set(image_files(folder, patterns)), key=lambda path: natural_key(path.as_posix())):
        match = pattern.fullmatch(path.relative_to(folder).with_suffix("").as_posix())
        relative = path.relative_to(folder.parent).as_posix()
        if match is None:
            fix = "take the file out of the folder, or correct its name."
            raise DataError("E_FRAME_NAME", f"the {what}'s name does not fit {name}", where=relative, fix=fix)
        frame_id = match["frame"]
        if frame_id in found:
            other = found[frame_id][0].relative_to(folder.parent).as_posix()
            what_twice = f"frame '{frame_id}' has a second {what}, {other}."
            raise DataError("E_FRAME_TWICE", what_twice, where=relative, fix="keep one of them.")
        found[frame_id] = path, match.groupdict()
    return found
