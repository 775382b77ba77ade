"""Names of patients, sequences and frames as keyed hashes."""

from __future__ import annotations

import base64
import re
import unicodedata
from collections import Counter
from collections.abc import Iterable

from polypda.errors import DataError
from polypda.importing.deidentification.key import Key

GROUP_LETTERS, FRAME_LETTERS = 13, 8
"""65 bits tell patients and sequences apart; 40 bits the frames of one group, beside their number."""
NUMBERED = re.compile(r"(?P<group>[a-z2-7]{13})-(?P<number>\d{5,})-(?P<tag>[a-z2-7]{8})")


class Pseudonyms:
    """The names of one cohort.

    A patient has the same pseudonym in every cohort that is imported with one key. Sequences and frames belong to
    their cohort. Frames of a sequence (else of a patient) are numbered in the order in which they come, so that
    sorting their names keeps it; what the number says of the original name is nothing.

    existing: names of frames that the cohort has already.
    """

    def __init__(self, key: Key, cohort: str, existing: Iterable[str] = ()) -> None:
        self._key, self._cohort = key, cohort
        self._owner: dict[str, str] = {}
        self._last: Counter[str] = Counter()
        self._there: dict[tuple[str, str], str] = {}
        self._given: set[tuple[str, str]] = set()
        for name in existing:
            parts = NUMBERED.fullmatch(name)
            if parts:
                self._last[parts["group"]] = max(self._last[parts["group"]], int(parts["number"]))
                self._there[parts["group"], parts["tag"]] = name

    def patient(self, name: str) -> str:
        """The pseudonym of a patient: upper and lower case and spaces do not matter."""
        return self._unique("patient", " ".join(unicodedata.normalize("NFKC", name).casefold().split()))

    def sequence(self, name: str) -> str:
        """The pseudonym of a sequence of this cohort."""
        return self._unique("sequence", self._cohort, name)

    def frame(self, name: str, group: str | None) -> str:
        """The pseudonym of a frame; group: of its sequence, else of its patient.

        Raises: DataError E_FRAME_TWICE when the group had a frame of this name before.
        """
        if group is None:
            return self._once("", self._unique("frame", self._cohort, name))
        tag = _letters(self._key.digest("frame", self._cohort, group, name), FRAME_LETTERS)
        self._once(group, tag)
        there = self._there.get((group, tag))
        if there is not None:
            return there
        self._last[group] += 1
        return f"{group}-{self._last[group]:05d}-{tag}"

    def file(self, origin: str) -> str:
        """What stands for a file of the source in the ledger."""
        return "file-" + _letters(self._key.digest("file", self._cohort, origin), FRAME_LETTERS)

    def _once(self, group: str, name: str) -> str:
        if (group, name) in self._given:
            what = "a frame of the same name was taken already."
            raise DataError("E_FRAME_TWICE", what, fix="give one of them another name, or take it out.")
        self._given.add((group, name))
        return name

    def _unique(self, *parts: str) -> str:
        pseudonym = _letters(self._key.digest(*parts), GROUP_LETTERS)
        original = "\n".join(parts)
        if self._owner.setdefault(pseudonym, original) != original:
            what = "two names have the same pseudonym, which happens once in billions of imports."
            raise DataError("E_PSEUDONYM_TWICE", what, fix="take another key with --key.")
        return pseudonym


def _letters(digest: bytes, count: int) -> str:
    return base64.b32encode(digest).decode("ascii").lower()[:count]
