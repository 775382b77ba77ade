"""``--deidentify`` of ``polypda cohorts import``: the key, the treatment, and the reports beside the frames."""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

from polypda import __version__
from polypda.cohorts.image_files import image_files, natural_key
from polypda.errors import DataError, UsageError
from polypda.importing.deidentification.findings import FILE_NAME, Findings, former_frames, in_order
from polypda.importing.deidentification.key import check_crosswalk, load_key, require_complete, write_crosswalk
from polypda.importing.deidentification.treatment import Choices, Deidentification
from polypda.importing.writing.cohort_writer import encode_png
from polypda.reporting.documents.deidentification import (
    SHEET_FILE,
    SUMMARY_FILE,
    deidentification_markdown,
    review_sheet,
)
from polypda.workflows.cohorts.import_cohort import ImportRequest


@dataclass(frozen=True)
class DeidentifyRequest:
    """key: file of the key, made when it does not exist. crosswalk: file for original names beside pseudonyms."""

    key: Path
    crosswalk: Path | None = None
    choices: Choices = field(default_factory=Choices)


class DeidentifyingImport(Deidentification):
    """The treatment with its reports; ``key_created`` tells whether the key was made just now."""

    def __init__(self, request: ImportRequest, wanted: DeidentifyRequest) -> None:
        """Raises: UsageError E_KEY_PLACE, E_CROSSWALK_PLACE; DataError E_KEY_…, E_CROSSWALK_…, E_DEIDENTIFY_MIXED."""
        forbidden = (request.root, *([request.source] if request.source.is_dir() else []))
        if wanted.crosswalk is not None:
            check_crosswalk(wanted.crosswalk, forbidden)
        key = load_key(wanted.key, forbidden)
        self._former = _former(request, key.fingerprint)
        self._crosswalk_file = wanted.crosswalk
        existing = sorted({path.stem for path in image_files(request.folder, ("images/*",))}, key=natural_key)
        super().__init__(
            key,
            request.cohort_id,
            wanted.choices,
            existing=existing if request.update else (),
            on_finish=self._report,
        )
        self.key_created = key.created
        if wanted.crosswalk is not None:  # what is done of an import that wrote none, or another, lacks its names
            place = os.fsencode(wanted.crosswalk.expanduser().resolve())
            self.identity += f" crosswalk {hashlib.sha256(place).hexdigest()}"

    def resume(self, origins: Mapping[str, str]) -> None:
        """Raises: DataError E_CROSSWALK_INCOMPLETE, E_CROSSWALK_UNREADABLE."""
        super().resume(origins)
        if self._crosswalk_file is not None:
            require_complete(self._crosswalk_file, origins)

    def keep(self) -> None:
        """The rows of frames that a repeated command does not look at again."""
        if self._crosswalk_file is not None:
            write_crosswalk(self._crosswalk_file, self.crosswalk)

    def seal(self, staged: Path) -> None:
        """The crosswalk is written where a cohort is."""
        super().seal(staged)
        if self._crosswalk_file is not None:
            write_crosswalk(self._crosswalk_file, self.crosswalk)

    def _report(self, staged: Path, findings: Findings) -> None:
        new = Findings(findings.cohort, findings.insets, findings.key_fingerprint, findings.frames, findings.removed)
        sheet = review_sheet(staged, new)
        if self._former is not None:
            findings.frames = in_order([*former_frames(self._former), *findings.frames])
            findings.removed.update(self._former["removed"])
            findings.without_figures += self._former["summary"]["frames_without_figures"]
        text = json.dumps(findings.as_dict(__version__), indent=1, ensure_ascii=False)
        (staged / FILE_NAME).write_text(text + "\n", encoding="utf-8")
        (staged / SUMMARY_FILE).write_text(deidentification_markdown(findings), encoding="utf-8")
        (staged / SHEET_FILE).write_bytes(encode_png(sheet))


def refuse_mixing(request: ImportRequest) -> None:
    """Frames with names must not join a cohort that has none. Raises: DataError E_DEIDENTIFY_MIXED."""
    if request.update and (request.folder / FILE_NAME).is_file():
        what = "the cohort is de-identified; frames as they are would join it."
        raise DataError(
            "E_DEIDENTIFY_MIXED", what, where=request.folder, fix="add --deidentify, or choose another --as."
        )


def _former(request: ImportRequest, fingerprint: str) -> dict | None:
    """The report of the cohort that is added to."""
    if not request.update or not request.folder.is_dir():
        return None
    path = request.folder / FILE_NAME
    if not path.is_file():
        what = "the cohort that would be added to is not de-identified."
        raise DataError("E_DEIDENTIFY_MIXED", what, where=request.folder, fix="import into a new folder.")
    former = json.loads(path.read_text(encoding="utf-8"))
    if former["key_fingerprint"] != fingerprint:
        what = "the cohort was made with another key: its patients would get a second name."
        raise UsageError("E_KEY_OTHER", what, where=request.folder, fix="name that key with --key.")
    return former
