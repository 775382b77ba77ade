"""What the words of an annotation stand for: which classes are polyps, and what free fields tell of a frame.

Without the option ``classes`` a class is a polyp when a word for one stands in its name (English or 中文); words for
instruments, artefacts and plain mucosa say that it is none. Any other class is unknown: it is named in the ledger, and
a frame that shows nothing else stays without a label rather than becoming a negative. The only class of an annotation
is taken as the polyp whatever it is called, unless its name says the opposite.

Tools have no field for patient, sequence, imaging mode and split, but let people name their own (CVAT attributes,
Label Studio's task data, LabelMe flags, extra keys of COCO images). The names that are understood are listed here;
every other field is ignored.
"""

from __future__ import annotations

import re
from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass, field
from enum import Enum
from pathlib import PurePosixPath

from polypda.cohorts.frames import Split
from polypda.errors import UsageError, nearest
from polypda.importing.annotations.annotation_files import text
from polypda.importing.folders.folder_words import meaning_of, mode_of, split_of
from polypda.importing.folders.patient_names import PatientRule

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


_PATIENT = ("patient", "patient_id", "patientid", "case", "case_id")
_SEQUENCE = ("sequence", "sequence_id", "video", "video_id", "video_name", "clip")
_MODE = ("mode", "modality", "imaging", "imaging_mode", "light")
_SPLIT = ("split", "subset", "partition")


@dataclass(frozen=True)
class FrameFacts:
    """As the fields of an imported frame of the same names."""

    patient_by: str | None = field(default=None, kw_only=True)
    patient: str | None = None
    sequence: str | None = None
    mode: str | None = None
    split: Split | None = None


def facts_in(fields: Mapping[str, object]) -> FrameFacts:
    """The facts among free fields; upper and lower case, spaces and hyphens in a field's name do not matter."""
    plain = {re.sub(r"[\s-]+", "_", name.casefold()): text(value) for name, value in fields.items()}
    return FrameFacts(
        _first(plain, _PATIENT), _first(plain, _SEQUENCE), mode_of(_first(plain, _MODE) or ""), _split(plain)
    )


def facts_of(told: FrameFacts, image: str) -> FrameFacts:
    """What is told of a frame; the rest is taken from the folders that the image lies in (``train/患者1``)."""
    lies = meaning_of(PurePosixPath(image).parts[:-1])
    patient, clip, by = (told.patient, None, None) if told.patient else PatientRule().of(image)
    return FrameFacts(
        patient,
        told.sequence or lies.sequence or clip,
        told.mode or lies.mode,
        told.split or lies.split,
        patient_by=by,
    )


def mode_of_path(parts: Iterable[str]) -> str | None:
    """The imaging mode that the last folder names which names one (``NBI``, ``polyps_WL``…)."""
    for part in reversed(list(parts)):
        for word in [part, *re.split(r"[\s_-]+", part)]:
            mode = mode_of(word)
            if mode:
                return mode
    return None


def _first(fields: Mapping[str, str], names: Iterable[str]) -> str | None:
    return next((fields[name] for name in names if fields.get(name)), None)


def _split(fields: Mapping[str, str]) -> Split | None:
    return split_of(_first(fields, _SPLIT) or "")
