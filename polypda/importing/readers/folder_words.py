"""What the words in folders' and files' names say: masks, negatives, splits, modes, patients, sequences; and what the
user can say of patients instead."""

from __future__ import annotations

import re
from collections import defaultdict
from dataclasses import dataclass
from enum import Enum
from functools import lru_cache
from pathlib import PurePosixPath

from polypda.cohorts.frames import Split
from polypda.errors import UsageError
from polypda.importing.contract import Ledger

_SPLITS = {
    Split.TRAIN: ("train", "training", "trainset", "train dataset", "训练", "训练集"),
    Split.VALIDATION: ("val", "valid", "validation", "validate", "dev", "验证", "验证集"),
    Split.TEST: (
        *("test", "testing", "testset", "test dataset", "test easy dataset", "test hard dataset"),
        *("测试", "测试集"),
    ),
}
SPLIT_WORDS = {word: split for split, words in _SPLITS.items() for word in words}
MODE_WORDS = {
    **dict.fromkeys(("wl", "wli", "wle", "whitelight", "whitelightimaging", "whitelightendoscopy", "白光"), "WL"),
    **dict.fromkeys(("narrowband", "narrowbandimaging"), "NBI"),
    **dict.fromkeys(("bluelightimaging", "bluelaserimaging"), "BLI"),
    **dict.fromkeys(("linkedcolorimaging", "linkedcolourimaging"), "LCI"),
    **{word: word.upper() for word in ("nbi", "fice", "bli", "lci", "iscan", "tlm", "afi")},
}
"""Imaging modes, without what stands between the words of their names."""
LONGEST_MODE_WORDS = 3
_MASK = (
    r"segmentation ?(?:class|object)(?:es|s)?(?: ?png)?|gt ?polyps?|instances?|masks?|labels?|gts?|ground ?truths?"
    r"|annotations?|segmentations?|segs?|mask ?images?|掩码|掩膜|标注|标签"
)
_IMAGE = r"images?|imgs?|frames?|originals?|pictures?|pics?|jpeg ?images?|jpegs?|bbdd|原图|图像|图片"
_INSTANCE = (
    r"segmentation ?objects?(?: ?png)?|(?:masks? |labels? )?instances?(?: (?:masks?|labels?|ids?|segmentations?))?"
)
_DRAWN = (
    r"edges?|contours?|boundar(?:y|ies)|outlines?|scribbles?|skeletons?|specular(?:s|ity|ities)?|lumens?|voids?"
    r"|polygons?|bbox(?:es)?|box(?:es)?|overlays?|visuali[sz]ations?|heat ?maps?|saliency|predictions?|preds?|轮廓|边缘"
)
_NEGATIVE = r"neg|negatives?|healthy|no ?polyps?|non ?polyps?|without ?polyps?|polyp ?free|阴性|无息肉"
_UNLABELLED = r"unlabell?ed|no ?labels?|without ?labels?|未标注|无标注"
MASK_WORD = re.compile(rf"(?:^|.* )(?:{_MASK})(?: .*|$)")
NEGATIVE_WORD = re.compile(rf"(?:^|.* )(?:{_NEGATIVE})(?: .*|$)")
DRAWING_WORDS = re.compile(
    rf"(?:(?:gt|masks?|segmentation ?class|bbox) ?)?(?:{_DRAWN})"
    r"(?: ?(?:maps?|masks?|images?|gts?|labels?|png|c\d|\d+))*"
)
"""Folders of what was drawn beside masks: neither frames nor masks."""
INSTANCE_WORDS = re.compile(_INSTANCE)
UNLABELLED_WORD = re.compile(rf"(?:^|.* )(?:{_UNLABELLED})(?: .*|$)")
_MASK_AFFIX = re.compile(r"(?i)^(?:mask|gt|label|seg)[_\-. ]+|[_\-. ]+(?:mask|gt|label|seg|segmentation|annotation)s?$")
_IMAGE_AFFIX = re.compile(r"(?i)^(?:image|img|frame|picture|pic)[_\-. ]+|[_\-. ]+(?:image|img|frame)s?$")
_SEQUENCE = re.compile(r"(?i)^(?:seq|sequence|video|vid|clip|film|序列|视频)[_\-. ]?\d+")
_PROCEDURE = re.compile(r"(\d{3}-\d{3})_frames")
"""REAL-Colon's folders, one for each recording."""
_PATIENT = re.compile(
    r"(?i)(?P<patient>(?P<word>patient|pat|case|pt|subject|study|患者|病人|病例)[_\-. ]?\d+)(?P<more>.*)"
)


class Role(Enum):
    """What images in a folder of some name are."""

    MASK = "mask"
    DRAWING = "drawing"  # edges, scribbles, overlays…: neither
    OTHER = "other"  # frames, or its name says nothing


@dataclass(frozen=True)
class FolderMeaning:
    """What a path of folders says of the images in it; key: what is left of it to tell like places apart.

    instance: masks whose colours tell objects apart, not classes. drawing: neither frames nor masks.
    patient: ``case1`` of a folder ``case1_2`` as well, whose sequence is then the folder: a patient's clips share it.
    """

    mask: bool
    instance: bool
    drawing: bool
    negative: bool
    unlabelled: bool
    split: Split | None
    mode: str | None
    patient: str | None
    sequence: str | None
    key: tuple[str, ...]


def words_of(name: str) -> str:
    """A name in lower case, its words apart: ``Ground_Truth-2`` → ``ground truth 2``."""
    apart = re.sub(r"(?<=[a-z])(?=[A-Z])", " ", name)
    return re.sub(r"[\s_\-.]+", " ", apart).strip().lower()


def role_of(folder: str) -> Role:
    """Whether a folder's name promises masks or other drawings."""
    words = words_of(folder)
    if UNLABELLED_WORD.match(words):
        return Role.OTHER
    if DRAWING_WORDS.fullmatch(words):
        return Role.DRAWING
    return Role.MASK if MASK_WORD.match(words) else Role.OTHER


@lru_cache(maxsize=4096)
def meaning_of(folders: tuple[str, ...]) -> FolderMeaning:
    """What the folders above an image say; the innermost counts where several say something."""
    words = [words_of(folder) for folder in folders]
    named = next(filter(None, map(patient_named, reversed(folders))), None)
    return FolderMeaning(
        mask=any(role_of(folder) is Role.MASK for folder in folders),
        instance=any(INSTANCE_WORDS.fullmatch(word) for word in words),
        drawing=any(role_of(folder) is Role.DRAWING for folder in folders),
        negative=any(NEGATIVE_WORD.match(word) for word in words),
        unlabelled=any(UNLABELLED_WORD.match(word) for word in words),
        split=next((SPLIT_WORDS[word] for word in reversed(words) if word in SPLIT_WORDS), None),
        mode=next(filter(None, map(mode_of, reversed(words))), None),
        patient=named.patient if named else None,
        sequence=next(filter(None, map(_sequence, reversed(folders))), named.clip if named else None),
        key=tuple(rest for rest in map(_without_role, words) if rest),
    )


def same_part(one: FolderMeaning, other: FolderMeaning) -> bool:
    """Whether folders can be of one part of a split: not where they name two."""
    return one.split is None or other.split is None or one.split is other.split


def _sequence(folder: str) -> str | None:
    recorded = _PROCEDURE.fullmatch(folder)
    return recorded[1] if recorded else folder if _SEQUENCE.match(folder) else None


@dataclass(frozen=True)
class NamedPatient:
    """A patient by a folder's or file's name. clip: the whole name where it says more (``case1_2`` of ``case1``);
    word: how patients are called there."""

    patient: str
    clip: str | None
    word: str


def patient_named(name: str) -> NamedPatient | None:
    """The patient whom a name begins with; None where it names none."""
    match = _PATIENT.match(name)
    return NamedPatient(match["patient"], name if match["more"] else None, match["word"].lower()) if match else None


def mode_of(text: str) -> str | None:
    """The imaging mode that a word names; None where it names none."""
    return MODE_WORDS.get(words_of(text).replace(" ", ""))


def mode_within(text: str) -> str | None:
    """The one imaging mode that a text names somewhere (``Narrow band (NBI)``); None where it names none, or two."""
    words = re.findall(r"[^\W_]+", words_of(text))
    ends = range(1, LONGEST_MODE_WORDS + 1)
    runs = ("".join(words[start : start + length]) for start in range(len(words)) for length in ends)
    named = {MODE_WORDS[run] for run in runs if run in MODE_WORDS}
    named |= {mode for word, mode in MODE_WORDS.items() if not word.isascii() and word in text}
    return mode_of(text) or (named.pop() if len(named) == 1 else None)


def split_of(text: str) -> Split | None:
    """The part that a word names; None where it names none."""
    return SPLIT_WORDS.get(words_of(text).replace(" ", ""))


def without_mask_affix(stem: str) -> str:
    """``a_mask`` → ``a``, ``gt-a`` → ``a``; other stems as they are."""
    return _MASK_AFFIX.sub("", stem, count=1) or stem


def without_image_affix(stem: str) -> str:
    """``image_1`` → ``1``, ``a-img`` → ``a``; other stems as they are."""
    return _IMAGE_AFFIX.sub("", stem, count=1) or stem


def _without_role(words: str) -> str:
    """A folder's words without those that say image or mask: what pairs ``images_c4`` with ``masks_c4``."""
    rest = re.sub(rf"(?:^|(?<= ))(?:{_MASK}|{_IMAGE})(?= |$)", "", words)
    return re.sub(r" +", " ", rest).strip()


AUTO, WHOLE, NONE = "auto", "whole", "none"
CLIPS = " (clips of one patient by names that go on)"


@dataclass(frozen=True)
class PatientRule:
    """The option ``patients``: ``auto`` (a name such as case1_2 is a clip of patient case1), ``whole`` (it is a patient
    of its own), ``none`` (names say nothing of patients), or a pattern that finds the patient in a frame's path."""

    how: str = AUTO
    pattern: re.Pattern[str] | None = None

    @classmethod
    def parse(cls, text: str) -> PatientRule:
        """Raises: UsageError E_OPTION."""
        if text in (AUTO, WHOLE, NONE):
            return cls(text)
        try:
            pattern = re.compile(text)
        except re.error as error:
            fix = r"write auto, whole, none, or a pattern such as 'P(\d+)'."
            raise UsageError("E_OPTION", f"patients is '{text}', no regular expression ({error}).", fix=fix) from error
        return cls("pattern", pattern)

    def of(self, path: str, outer: str = "", *, video: bool = False) -> tuple[str | None, str | None, str | None]:
        """Patient, clip and how the patient was found, by a frame's path below the source called ``outer``.

        video: the path is a video's, whose own name may be a clip's.
        """
        if self.pattern is not None:
            match = self.pattern.search(str(PurePosixPath(path).with_suffix("")))
            found = (match[1] if match and self.pattern.groups else match[0]) if match else None
            return found, None, "the pattern of -O patients" if found else None
        if self.how == NONE:
            return None, None, None
        *folders, stem = PurePosixPath(path).with_suffix("").parts
        above = [(folder, "folders") for folder in (*reversed(folders), outer)]
        for name, kind in [*above, (stem, "films" if video else "files")]:
            named = patient_named(name)
            if named is None:
                continue
            by = f"{kind} called '{named.word}' and a number"
            if kind == "files":  # what goes on is the frame's own number
                return named.patient, None, by
            if self.how == WHOLE:
                return named.clip or named.patient, None, by
            return named.patient, named.clip, by + (CLIPS if named.clip else "")
        return None, None, None


class PatientTally:
    """How many patients were understood from names, and how; told at an import's end."""

    def __init__(self) -> None:
        self._found: defaultdict[str, set[str]] = defaultdict(set)
        self._without = 0

    def add(self, patient: str | None, by: str | None) -> None:
        """Count a frame that was taken; patient: as written, None where none is known."""
        if by is not None and patient:
            self._found[by].add(patient)
        self._without += not patient

    def tell(self, ledger: Ledger, where: str) -> None:
        """Lines on what was understood, and on what would decide otherwise."""
        for by, patients in self._found.items():
            counted = f"{len(patients)} patient{'s' if len(patients) != 1 else ''}"
            what = f"{counted} found by {by.removesuffix(CLIPS)}."
            if by.endswith(CLIPS):
                what += (
                    " A name that goes on (case1_2) is taken for a clip of its patient (case1), lest one patient lie in"
                    " two parts. Where each is a patient: -O patients=whole; else -O patients=none or a pattern."
                )
            ledger.remark(where, "W_PATIENT_GUESSED" if by.endswith(CLIPS) else "N_PATIENTS", what)
        if self._found and self._without:
            what = f"of {self._without} frames no patient is known: they could leak from train into test."
            ledger.remark(where, "W_PATIENT_PARTLY", what)
