"""Keyed hashes for patients, sequences and frames: the secret key, the pseudonyms, and the table of who is who.

Who has the key can tell which person a pseudonym belongs to; so can who has the table. Both lie outside the cohort,
readable by their owner alone.
"""

from __future__ import annotations

import base64
import csv
import hashlib
import hmac
import io
import os
import re
import secrets
import stat
import unicodedata
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from polypda.errors import DataError, UsageError
from polypda.files import require_writable, whole_file

KEY_BYTES = 32
OTHERS = stat.S_IRWXG | stat.S_IRWXO


@dataclass(frozen=True)
class Key:
    """secret: 32 bytes or more. created: whether it was made just now."""

    secret: bytes = field(repr=False)
    created: bool = False

    def digest(self, *parts: str) -> bytes:
        """HMAC-SHA256 of some texts; no two lists of texts are the same message."""
        message = b"".join(len(part.encode()).to_bytes(8, "big") + part.encode() for part in parts)
        return hmac.new(self.secret, message, hashlib.sha256).digest()

    @property
    def fingerprint(self) -> str:
        """Tells whether two keys are the same, and nothing else of them."""
        return self.digest("fingerprint").hex()[:12]


def load_key(path: Path, forbidden: Sequence[Path]) -> Key:
    """The key in a file; a missing one is made, readable by its owner alone.

    forbidden: folders that may be passed on with the frames; the key must not lie in them.

    Raises: UsageError E_KEY_PLACE; DataError E_KEY_UNREADABLE, E_KEY_SHORT, E_KEY_EXPOSED, E_KEY_NOT_MADE.
    """
    file = path.expanduser()
    if _lies_in(file, forbidden):
        what = "the key would lie among the frames: whoever gets these could tell who they are of."
        raise UsageError("E_KEY_PLACE", what, where=path, fix="name a file elsewhere with --key.")
    if not file.exists():
        _make(file)
        return Key(_read(file), created=True)
    if os.name == "posix" and file.stat().st_mode & OTHERS:
        what = "others on this machine may read or change the key."
        raise DataError("E_KEY_EXPOSED", what, where=path, fix=f"chmod 600 '{path}'.")
    return Key(_read(file))


def _lies_in(file: Path, folders: Sequence[Path]) -> bool:
    return any(file.resolve().is_relative_to(folder.resolve()) for folder in folders)


def _read(path: Path) -> bytes:
    try:
        secret = bytes.fromhex(path.read_text(encoding="ascii").strip())
    except (OSError, ValueError) as error:
        fix = "a key is 64 hexadecimal digits; take the right file, or name one that does not exist yet to make a key."
        raise DataError("E_KEY_UNREADABLE", "this is no key.", where=path, fix=fix) from error
    if len(secret) < KEY_BYTES:
        what = f"the key has {8 * len(secret)} bits: it could be guessed."
        raise DataError("E_KEY_SHORT", what, where=path, fix="name a file that does not exist yet to make a new key.")
    return secret


def _make(path: Path) -> None:
    """Whole, and not over a key that another command made meanwhile: two commands at once end with one key."""
    try:
        path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
        with whole_file(path, private=True, over_former=False) as temporary:
            temporary.write_text(f"{secrets.token_hex(KEY_BYTES)}\n", encoding="ascii")
    except OSError as error:
        what = f"the key cannot be written ({error.strerror})."
        raise DataError("E_KEY_NOT_MADE", what, where=path, fix="name another file with --key.") from error


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
            parts = self._counted(name)
            if parts:
                self._there[parts["group"], parts["tag"]] = name

    def _counted(self, name: str) -> re.Match[str] | None:
        """A frame's name in its parts; None where it has no number. Its group is numbered on from there."""
        parts = NUMBERED.fullmatch(name)
        if parts:
            self._last[parts["group"]] = max(self._last[parts["group"]], int(parts["number"]))
        return parts

    def resume(self, name: str) -> None:
        """A frame has been given this name already, before an interruption."""
        parts = self._counted(name)
        self._given.add((parts["group"], parts["tag"]) if parts else ("", name))

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


COLUMNS = ("cohort", "kind", "original", "pseudonym")
Row = tuple[str, str, str, str]


def check_crosswalk(path: Path, forbidden: Sequence[Path]) -> None:
    """Raises: UsageError E_CROSSWALK_PLACE where it would lie among the frames; DataError E_CROSSWALK_UNREADABLE,
    E_WRITE_FAILED."""
    file = path.expanduser()
    if _lies_in(file, forbidden):
        what = "the crosswalk would lie among the frames that it names."
        raise UsageError("E_CROSSWALK_PLACE", what, where=path, fix="name a file elsewhere with --crosswalk.")
    _former(file)
    require_writable(file.parent)


def require_complete(path: Path, names: Iterable[str]) -> None:
    """Whether the crosswalk tells of these frames. Raises: DataError E_CROSSWALK_INCOMPLETE, E_CROSSWALK_UNREADABLE."""
    there = {row[3] for row in _former(path.expanduser()) if row[1] == "frame"}
    missing = sum(name not in there for name in names)
    if missing:
        what = f"it lacks {missing} frames that an interrupted import has written: their names are told nowhere else."
        fix = "put the file back, or remove the hidden folder .ID.importing in the data root to import from the start."
        raise DataError("E_CROSSWALK_INCOMPLETE", what, where=path, fix=fix)


def write_crosswalk(path: Path, rows: Sequence[Row]) -> None:
    """Add rows to the table; it appears whole or not at all, with mode 0600.

    Raises: DataError E_CROSSWALK_UNREADABLE, E_WRITE_FAILED.
    """
    file = path.expanduser()
    every = list(dict.fromkeys([*_former(file), *rows]))
    text = io.StringIO()
    csv.writer(text, lineterminator="\n").writerows([COLUMNS, *every])
    try:
        file.parent.mkdir(parents=True, exist_ok=True)
        with whole_file(file, private=True) as temporary:
            temporary.write_bytes(text.getvalue().encode("utf-8", "surrogateescape"))
    except OSError as error:
        what = f"{error.strerror or error}."
        raise DataError("E_WRITE_FAILED", what, where=path, fix="name another file with --crosswalk.") from error


def _former(path: Path) -> list[Row]:
    if not path.exists():
        return []
    try:
        rows = list(csv.reader(io.StringIO(path.read_text(encoding="utf-8", errors="surrogateescape"))))
    except (OSError, csv.Error) as error:
        rows = [[str(error)]]
    if not rows or tuple(rows[0]) != COLUMNS or any(len(row) != len(COLUMNS) for row in rows):
        what = "a file lies there that is no crosswalk."
        raise DataError("E_CROSSWALK_UNREADABLE", what, where=path, fix="name another file with --crosswalk.")
    return [(row[0], row[1], row[2], row[3]) for row in rows[1:]]
