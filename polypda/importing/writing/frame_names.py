"""Names of frames that every file system takes, one of each."""

from __future__ import annotations

import hashlib
import unicodedata

LONGEST_BYTES = 120
"""Of a name in UTF-8, so that with suffixes it stays below every file system's 255 bytes."""
TAG_DIGITS = 8
FORBIDDEN = '/\\:*?"<>|'
RESERVED = {"con", "prn", "aux", "nul", *(f"{port}{n}" for port in ("com", "lpt") for n in range(1, 10))}
"""Names that Windows keeps for devices."""


def safe_name(name: str) -> str:
    """A name that can be a file's on every system; what had to be cut off is stood for by a few digits of its hash.

    Letters of all scripts stay, composed (NFC), so that names typed on different systems are equal.
    """
    composed = unicodedata.normalize("NFC", name)
    cleaned = "".join("_" if _unfit(character) else character for character in composed)
    cleaned = cleaned.strip(" .") or "frame"
    if cleaned.split(".")[0].lower() in RESERVED:
        cleaned = f"_{cleaned}"
    encoded = cleaned.encode()
    if len(encoded) > LONGEST_BYTES:
        kept = encoded[: LONGEST_BYTES - TAG_DIGITS - 1].decode(errors="ignore")
        cleaned = f"{kept}-{name_tag(name)}"
    return cleaned


def name_tag(name: str) -> str:
    """A few hexadecimal digits that stand for a name."""
    return hashlib.sha256(name.encode(errors="surrogatepass")).hexdigest()[:TAG_DIGITS]


def readable(text: str) -> str:
    """Text that any file can hold: bytes of a foreign encoding in a name are written as escapes."""
    return text.encode("utf-8", "backslashreplace").decode()


def _unfit(character: str) -> bool:
    return character in FORBIDDEN or unicodedata.category(character) in ("Cc", "Cf", "Cs", "Co", "Cn", "Zl", "Zp")


class FrameNames:
    """The names that are given so far.

    A name that a former frame *wished* for comes back as a duplicate; different wishes that would be one file on some
    system (by case, or after cleaning) get digits of their hash, so the outcome does not depend on who came first
    beyond that.
    """

    def __init__(self) -> None:
        self._wishes: set[str] = set()
        self._taken: dict[str, str] = {}

    def reserve(self, name: str) -> None:
        """A name that is in the cohort already."""
        self._wishes.add(unicodedata.normalize("NFC", name))
        self._taken[_folded(name)] = name

    def give(self, wish: str) -> str | None:
        """The name for a frame that wishes for one; None where a frame of just this name has been given it."""
        composed = unicodedata.normalize("NFC", wish)
        if composed in self._wishes:
            return None
        self._wishes.add(composed)
        name = safe_name(wish)
        if _folded(name) in self._taken:
            room = LONGEST_BYTES - TAG_DIGITS - 1
            name = f"{name.encode()[:room].decode(errors='ignore')}-{name_tag(composed)}"
        if _folded(name) in self._taken:
            return None
        self._taken[_folded(name)] = name
        return name


def _folded(name: str) -> str:
    return unicodedata.normalize("NFC", name).casefold()
