"""Which images the rows of tables mean: by what they write, and by where the table lies.

A table speaks of the images below the innermost folder above it in which any of its rows names one: of its own folder's
first, of all others only where none of its rows names one there. A row that names several images of that place means
none of them for certain.
"""

from __future__ import annotations

import unicodedata
from collections import defaultdict
from collections.abc import Collection, Iterable
from pathlib import PurePosixPath

from polypda.importing.readers.annotated import common_length, without_suffix


class NamedByTables:
    """Images by what tables call them: a path from any folder above, a file's name, or a stem; whatever its case and
    composition. written: every name that stands in a table."""

    def __init__(self, images: Iterable[str], written: Iterable[str]) -> None:
        wanted = {folded(name) for name in written}
        self._whole: defaultdict[str, list[str]] = defaultdict(list)
        self._bare: defaultdict[str, list[str]] = defaultdict(list)
        for image in images if wanted else ():
            for by_end, path in ((self._whole, folded(image)), (self._bare, folded(without_suffix(image)))):
                parts = path.split("/")
                for end in ("/".join(parts[start:]) for start in range(len(parts))):
                    if end in wanted:
                        by_end[end].append(image)

    def meant(self, table: str, written: Collection[str]) -> dict[str, list[str]]:
        """What each name in a table means: several files, where they are not one image in several formats, are told
        apart by nothing (:func:`are_several`)."""
        called = {name: self._called(name) for name in written}
        folder = PurePosixPath(table).parts[:-1]
        shared = (common_length([folder, image.split("/")[:-1]]) for found in called.values() for image in found)
        place = folder[: max(shared, default=0)]
        return {name: _in_place(name, found, place, folder) for name, found in called.items()}

    def _called(self, written: str) -> list[str]:
        """With the suffix before without, and in the same case before others."""
        found = self._whole.get(folded(written)) or self._bare.get(folded(written)) or []
        plain = _plain(written)
        same = [
            image for image in found if _plain(image).endswith(plain) or _plain(without_suffix(image)).endswith(plain)
        ]
        return same or found


def are_several(images: Collection[str]) -> bool:
    """Whether files are more than one image in several formats."""
    return len({folded(without_suffix(image)) for image in images}) > 1


def folded(name: str) -> str:
    """A path for comparison: with forward slashes, composed, without regard to case."""
    return unicodedata.normalize("NFC", _plain(name).casefold())


def _in_place(written: str, found: list[str], place: tuple[str, ...], folder: tuple[str, ...]) -> list[str]:
    """Those of the images of a name that a table may mean. place: the folder that it speaks of; folder: its own."""
    near = [image for image in found if PurePosixPath(image).parts[: len(place)] == place]
    near = near or [image for image in found if _is(image, written)]  # a whole path means its image wherever it lies
    for start in (folder, place, ()):
        exact = [image for image in near if _is(image, "/".join((*start, _plain(written))))]
        if exact:
            return exact
    return near


def _is(image: str, path: str) -> bool:
    return folded(path) in (folded(image), folded(without_suffix(image)))


def _plain(name: str) -> str:
    return unicodedata.normalize("NFC", name.replace("\\", "/")).removeprefix("./")
