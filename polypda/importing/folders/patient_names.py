"""Patients by the names of folders and files: what is understood, and what the user can say instead."""

from __future__ import annotations

import re
from collections import defaultdict
from dataclasses import dataclass
from pathlib import PurePosixPath

from polypda.errors import UsageError
from polypda.importing.contract import Ledger
from polypda.importing.folders.folder_words import NamedPatient, patient_named

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

        film: the path is a film's, whose own name may be a clip's.
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
            if named is not None:
                return self._told(named, kind)
        return None, None, None

    def _told(self, named: NamedPatient, kind: str) -> tuple[str, str | None, str]:
        by = f"{kind} called '{named.word}' and a number"
        if kind == "files":  # what goes on is the frame's own number
            return named.patient, None, by
        if self.how == WHOLE:
            return named.clip or named.patient, None, by
        return named.patient, named.clip, by + (CLIPS if named.clip else "")


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
