"""What inputs are called: in the table so that each is told from every other, and on disk so that none is written over.

A file keeps in an output folder the name that it was given there first, whatever it is named together with later.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from polypda.importing.writing.records import FrameNames, safe_name

FINISHED = ".finished"
BEGUN = "begun  "
READ = re.compile(r"(?P<digest>[0-9a-f]{64}) read  (?P<name>.+)\n")
_OF_SEVERAL = re.compile(r"(.+)_\d{6,}")
"""How the frames of an object that has several are called."""


@dataclass(frozen=True)
class Place:
    """Where a file lies. named: the absolute path that the user named, in parts. title: what that is called.

    inner: the file's path within it; empty for a file that was named itself.
    """

    named: tuple[str, ...]
    title: str
    inner: str = ""

    def origin(self, parents: int) -> str:
        """What the file is called in tables, with so many folders before what was named."""
        title = "/".join(self.named[-1 - parents :]) if parents else self.title
        return f"{title}/{self.inner}" if self.inner else title


def parents_needed(places: Sequence[Place]) -> dict[tuple[str, ...], int]:
    """What was named → how many of the folders before it have to be told, so that no two files are called the same."""
    parents = {place.named: 0 for place in places}
    while True:
        origins = [place.origin(parents[place.named]) for place in places]
        often = Counter(origins)
        alike = {place.named for place, origin in zip(places, origins, strict=True) if often[origin] > 1}
        grown = [named for named in alike if parents[named] < len(named) - 1]
        if not grown:
            return parents
        for named in grown:
            parents[named] += 1


class OutputNames:
    """The names of inputs' files in an output folder.

    former: what each input is called that was predicted there before.
    """

    def __init__(self, former: Mapping[str, str]) -> None:
        self._former = former
        self._names = FrameNames()
        self._of_several: set[str] = set()
        self._numbered: set[str] = set()
        for name in former.values():
            self._names.reserve(name)
            self._numbered |= _stem_of_several(name)

    def give(self, origin: str, wishes: Iterable[str], *, several: bool = False) -> str:
        """The name of an input: that of before, else the first wish that is free, else the last with a number.

        Args: several: it may have several frames, whose names are this one and a number.
        """
        if origin in self._former:
            return self._former[origin]
        wish = ""
        for wish in wishes:
            if (name := self._given(wish, several)) is not None:
                return name
        number = 2
        while (name := self._given(f"{wish}-{number}", several)) is None:
            number += 1
        return name

    def _given(self, wish: str, several: bool) -> str | None:
        cleaned = safe_name(wish).casefold()
        if _stem_of_several(cleaned) & self._of_several or (several and cleaned in self._numbered):
            return None
        name = self._names.give(wish)
        if name is not None:
            self._numbered |= _stem_of_several(name)
            self._of_several |= {name.casefold()} if several else set()
        return name


def _stem_of_several(name: str) -> set[str]:
    matched = _OF_SEVERAL.fullmatch(name.casefold())
    return {matched[1]} if matched else set()


def names_before(out: Path) -> dict[str, str]:
    """What the inputs' files are called that were predicted into a folder before; {} where none were."""
    names, origin = {}, ""
    try:
        with (out / FINISHED).open(encoding="utf-8", errors="replace", newline="\n") as marks:
            for mark in marks:
                if mark.startswith(BEGUN):
                    origin = mark.removeprefix(BEGUN).rstrip("\n")
                elif (read := READ.fullmatch(mark)) is not None and safe_name(read["name"]) == read["name"]:
                    names[origin] = read["name"]
    except OSError:
        return {}
    return names
