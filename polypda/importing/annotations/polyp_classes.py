"""Which of a tool's classes are polyps.

Without the option ``classes`` a class is a polyp when a word for one stands in its name (English or 中文); words for
instruments, artefacts and plain mucosa say that it is none. Any other class is unknown: it is named in the ledger, and
a frame that shows nothing else stays without a label rather than becoming a negative. The only class of an annotation
is taken as the polyp whatever it is called, unless its name says the opposite.
"""

from __future__ import annotations

import re
from collections.abc import Collection, Mapping
from enum import Enum

from polypda.errors import UsageError, nearest

_POLYP = re.compile(
    r"polyp|adenom|hyperplas|serrat|neoplas|lesion|carcinoma|cancer|tumou?r|\b(ssl|ssa|tsa|lst)\b"
    r"|息肉|腺瘤|病变|病灶|肿瘤|增生"
)
_NO_POLYP = re.compile(
    r"\b(no|not|non|without|free of)( an?)? ?(polyp|lesion)s?\b|\b(polyp|lesion)s? (free|negative)\b"
    r"|\bnegatives?\b|\bnormal\b|\bhealthy\b|\bclean mucosa\b|无息肉|阴性|正常"
)
_OTHER = re.compile(
    r"background|mucosa|instrument|\btools?\b|forceps|snare|needle|artefact|artifact|bubble|stool|fa?eces|blood|specular"
    r"|reflection|\btext\b|overlay|lumen|\bfolds?\b|\bwater\b|\bfoam\b|黏膜|粘膜|器械|气泡|粪"
)


class Meaning(Enum):
    """What a class of the tool stands for."""

    POLYP = "polyp"
    NONE = "no polyp"
    UNKNOWN = "unknown"


class PolypClasses:
    """The rule above, for one annotation. ``only``: the names that the user gave; no other class is a polyp then."""

    def __init__(self, only: Collection[str] | None = None, used: Collection[str] = ()) -> None:
        """used: the classes of all that was drawn."""
        self.only = None if only is None else {name.casefold() for name in only}
        plain = {name.casefold() for name in used}
        self.single = next(iter(plain)) if len(plain) == 1 else None

    def meaning(self, name: str) -> Meaning:
        """What the class called ``name`` stands for."""
        plain = name.casefold()
        if self.only is not None:
            return Meaning.POLYP if plain in self.only else Meaning.NONE
        if says_no_polyp(name):
            return Meaning.NONE
        if _POLYP.search(plain) or _POLYP.search(_words(name)):
            return Meaning.POLYP
        if _OTHER.search(_words(name)):
            return Meaning.NONE
        return Meaning.POLYP if plain == self.single else Meaning.UNKNOWN


def says_no_polyp(name: str) -> bool:
    """Whether a class, tag, choice or folder says of the whole frame that it shows no polyp."""
    return _NO_POLYP.search(_words(name)) is not None


def _words(name: str) -> str:
    """Lower case, with one space for whatever stands between words."""
    return re.sub(r"[\W_]+", " ", name.casefold()).strip()


class EveryClass(PolypClasses):
    """For data sets whose annotations are of polyps alone: the classes are kinds of them."""

    def meaning(self, name: str) -> Meaning:
        """A polyp, whatever the class is called."""
        return Meaning.POLYP


def require_classes(only: Collection[str] | None, known: Collection[str]) -> None:
    """Raises: UsageError E_CLASS when a name that the user gave is none of the annotation's classes."""
    plain = {name.casefold() for name in known}
    missing = [name for name in only or () if name.casefold() not in plain]
    if missing:
        what = f"the annotation has no class '{missing[0]}'.{nearest(missing[0], known)}"
        raise UsageError("E_CLASS", what, fix=f"its classes are {', '.join(sorted(known)[:20]) or 'none'}.")


def class_names(options: Mapping[str, str]) -> tuple[str, ...] | None:
    """The option ``classes=A,B``; None where it is not given. Raises: UsageError E_OPTION when it is empty."""
    if "classes" not in options:
        return None
    names = tuple(name.strip() for name in options["classes"].split(",") if name.strip())
    if not names:
        raise UsageError("E_OPTION", "'classes' names no class.", fix="for example -O classes=polyp,adenoma.")
    return names
