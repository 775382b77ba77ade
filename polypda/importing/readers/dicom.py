"""Format ``dicom``: single frames and multi-frame objects, told by their content and not by their names.

Patient and sequence are pseudonyms by default: nothing that is in the header comes into the cohort but times, and no
date. What a pixel shows, ``--deidentify`` has to remove. Videos that are wrapped as MPEG or H.264 and segmentation
objects are not read: each has a code that says what to do.
"""

from __future__ import annotations

import hashlib
import io
import math
import secrets
import warnings
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from functools import partial
from itertools import accumulate, islice
from typing import TYPE_CHECKING, Any, ClassVar

from polypda.cohorts.image_files import suffix_of
from polypda.errors import DataError
from polypda.git_lfs import is_pointer, pointer_error
from polypda.importing.contract import (
    ImportedFrame,
    Ledger,
    Reader,
    Remark,
    SourceTree,
    check_option_names,
    extra_module,
    option_choice,
)
from polypda.importing.images.dicom_pixels import read_frame
from polypda.importing.readers.annotated import shortest_names

if TYPE_CHECKING:
    from pydicom.dataset import Dataset, FileDataset

SUFFIXES = (".dcm", ".dicom", ".dic")
MAGIC, MAGIC_AT = b"DICM", 128
DIRECTORY_CLASS = "1.2.840.10008.1.3.10"
SEGMENTATION_CLASS = "1.2.840.10008.5.1.4.1.1.66.4"
VIDEO_SYNTAXES = tuple(f"1.2.840.10008.1.2.4.{number}" for number in range(100, 109))
LARGEST_PX = 64_000_000
OPTIONS = {"patients": "pseudonym (default) or raw: the identifiers of the header, which may name people"}


ENDOSCOPIC = ("ES", "XC", "GM", "OT", "SC", "")
"""Modalities that hold frames of endoscopes: endoscopy, camera, microscopy, other."""
DIGITS = 12


@dataclass(frozen=True)
class Pseudonyms:
    """Names for patients and sequences that nobody can trace back: the salt is drawn for each import and kept nowhere.

    So the same patient has the same name within an import, and another one in the next.
    raw: the object's own identifiers instead, for owners who ask for it.
    """

    raw: bool = False
    salt: bytes = field(default_factory=lambda: secrets.token_bytes(32), repr=False)

    def of(self, kind: str, value: str | None) -> str | None:
        """The name for an identifier; None for none."""
        value = (value or "").strip()
        if not value or self.raw:
            return value or None
        digest = hashlib.blake2b(f"{kind}\n{value}".encode(), key=self.salt, digest_size=DIGITS // 2)
        return f"{kind}-{digest.hexdigest()}"


def _patient_of(dataset: Dataset, pseudonyms: Pseudonyms) -> str | None:
    """By PatientID, else by name and birth date together, as far as they are told."""
    known = str(dataset.get("PatientID", "") or "")
    if not known.strip():
        known = f"{dataset.get('PatientName', '') or ''} {dataset.get('PatientBirthDate', '') or ''}"
    return pseudonyms.of("patient", known)


def _sequence_of(dataset: Dataset, frames: int, pseudonyms: Pseudonyms) -> str | None:
    """A video is a sequence of its own; single frames are one sequence for each examination."""
    if frames > 1:
        return pseudonyms.of("film", str(dataset.get("SOPInstanceUID", "") or ""))
    return pseudonyms.of("study", str(dataset.get("StudyInstanceUID", "") or ""))


def _numbers(dataset: Dataset, name: str) -> list[float]:
    """The numbers of an element; none where it is missing, or holds anything that is no number."""
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            value = dataset.get(name)
        values = [value] if isinstance(value, (str, int, float)) else list(value or ())
        numbers = [float(each) for each in values]
    except Exception:  # a value is converted when it is asked for, and malformed ones fail in ways of their own
        return []
    return numbers if all(map(math.isfinite, numbers)) else []


def _number(dataset: Dataset, name: str) -> float:
    """The number of an element; 0 where it has none, or several."""
    numbers = _numbers(dataset, name)
    return numbers[0] if len(numbers) == 1 else 0.0


def _frame_times_s(dataset: Dataset, frames: int) -> list[float] | None:
    """Seconds of each frame from the first, by the time vector, the frame time or the rate; None where none is told."""
    if frames < 2:
        return None
    vector = _numbers(dataset, "FrameTimeVector")
    if len(vector) == frames:
        return list(accumulate([0.0, *(step / 1000 for step in vector[1:])]))
    step_ms = _number(dataset, "FrameTime")
    if step_ms <= 0:
        rate = _number(dataset, "CineRate") or _number(dataset, "RecommendedDisplayFrameRate")
        step_ms = 1000 / rate if rate > 0 else 0.0
    return [index * step_ms / 1000 for index in range(frames)] if step_ms > 0 else None


def _object_remarks(dataset: Dataset) -> tuple[Remark, ...]:
    """What a person should know of an object that is taken."""
    remarks = []
    modality = str(dataset.get("Modality", "") or "")
    if modality not in ENDOSCOPIC:
        remarks.append(Remark("W_DICOM_MODALITY", f"its modality is {modality}, which is no endoscope's."))
    if str(dataset.get("BurnedInAnnotation", "")).upper() == "YES":
        what = "says that text which tells the patient is burned into its pixels: import it with --deidentify."
        remarks.append(Remark("W_DICOM_BURNED_IN", what))
    aspect = _numbers(dataset, "PixelAspectRatio")
    if len(aspect) == 2 and aspect[0] != aspect[1]:
        what = f"says that its pixels are {aspect[1]:g}:{aspect[0]:g} (width:height); they are kept as they are."
        remarks.append(Remark("N_DICOM_PIXEL_ASPECT", what))
    return tuple(remarks)


@dataclass(frozen=True)
class DicomReader(Reader):
    """See the module."""

    name: ClassVar[str] = "dicom"
    title: ClassVar[str] = "DICOM objects with pixels"

    pseudonyms: Pseudonyms = field(default_factory=Pseudonyms)

    @classmethod
    def with_options(cls, options: Mapping[str, str]) -> DicomReader:
        """Raises: UsageError E_OPTION."""
        check_option_names(cls.name, options, OPTIONS)
        return cls(Pseudonyms(raw=option_choice(options, "patients", ("pseudonym", "raw")) == "raw"))

    def with_original_names(self) -> DicomReader:
        """With the header's identifiers."""
        return DicomReader(Pseudonyms(raw=True))

    def recognises(self, tree: SourceTree) -> bool:
        """By names; files without a suffix, as scanners write them, by their beginning."""
        files = tree.files()
        if any(suffix_of(path) in SUFFIXES or path.rsplit("/", 1)[-1] == "DICOMDIR" for path in files):
            return True
        return any(_has_magic(tree, path) for path in islice((path for path in files if not suffix_of(path)), 5))

    def frames(self, tree: SourceTree, ledger: Ledger) -> Iterator[ImportedFrame]:
        """Raises: DataError E_SOURCE_EMPTY; UsageError E_EXTRA_MISSING."""
        _require_pydicom()
        found = [path for path in tree.files() if is_dicom(tree, path)]
        if not found:
            fix = "name the folder that holds them, or another --format."
            raise DataError("E_SOURCE_EMPTY", "there is no DICOM object in it.", where=tree.name, fix=fix)
        names = shortest_names(found)
        for path in found:
            try:
                yield from self.of_object(tree, path, names[path])
            except DataError as error:
                ledger.leave_out(path, error)

    def of_object(self, tree: SourceTree, path: str, name: str) -> Iterator[ImportedFrame]:
        """The frames of one object. Raises: DataError E_FILE_UNREADABLE, E_DICOM_…, N_DICOM_DIRECTORY."""
        dataset = _opened(tree, path)
        try:
            count = max(1, int(dataset.get("NumberOfFrames", 1) or 1))
            times = _frame_times_s(dataset, count)
            remarks = _object_remarks(dataset)
            patient, sequence = _patient_of(dataset, self.pseudonyms), _sequence_of(dataset, count, self.pseudonyms)
        except Exception as error:
            raise _malformed(path, error) from error
        for index in range(count):
            yield ImportedFrame(
                name=name if count == 1 else f"{name}_{index:06d}",
                origin=path if count == 1 else f"{path} frame {index + 1}",
                read=partial(read_frame, dataset, index, path),
                patient=patient,
                sequence=sequence,
                t_s=None if times is None else round(times[index], 6),
                remarks=remarks if index == 0 else (),
            )


def _opened(tree: SourceTree, path: str) -> FileDataset:
    """An object whose pixels can be asked for.

    Raises: DataError E_FILE_UNREADABLE, E_DICOM_LFS_POINTER, E_DICOM_UNREADABLE, N_DICOM_DIRECTORY,
        E_DICOM_SEGMENTATION, E_DICOM_NO_PIXELS, E_DICOM_FILM, E_DICOM_SIZE.
    """
    pydicom = _require_pydicom()
    data = tree.read(path)
    if is_pointer(data):
        raise pointer_error("E_DICOM", path)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            dataset: FileDataset = pydicom.dcmread(io.BytesIO(data), force=True)
        sop_class = str(dataset.get("SOPClassUID", "") or dataset.file_meta.get("MediaStorageSOPClassUID", ""))
        syntax = str(dataset.file_meta.get("TransferSyntaxUID", ""))
        rows, columns = int(dataset.get("Rows", 0) or 0), int(dataset.get("Columns", 0) or 0)
        int(dataset.get("NumberOfFrames", 1) or 1)
    except Exception as error:  # malformed headers fail in ways of their own
        raise _malformed(path, error) from error
    if not sop_class and not rows:  # any bytes at all can be read as some element
        raise DataError("E_DICOM_UNREADABLE", "no DICOM object.", where=path, fix="leave it out, or export it again.")
    if sop_class == DIRECTORY_CLASS or "DirectoryRecordSequence" in dataset:
        what = "an index of other files, without pixels; the files themselves are read."
        raise DataError("N_DICOM_DIRECTORY", what, where=path, fix="nothing need be done.")
    if sop_class == SEGMENTATION_CLASS:
        what = "a segmentation object; these are not read as masks."
        raise DataError("E_DICOM_SEGMENTATION", what, where=path, fix="export the masks as PNG, then --format folders.")
    if "PixelData" not in dataset:
        known = pydicom.uid.UID(sop_class).name if sop_class else "of no known kind"
        what = f"has no pixels ({known})."
        raise DataError("E_DICOM_NO_PIXELS", what, where=path, fix="leave it out.")
    if syntax in VIDEO_SYNTAXES:
        what = f"a film wrapped in DICOM ({pydicom.uid.UID(syntax).name}), which is not unwrapped here."
        raise DataError("E_DICOM_FILM", what, where=path, fix="export it as MP4 or MPEG, then --format video.")
    if rows * columns > LARGEST_PX or rows * columns == 0:
        what = f"its header says {columns}×{rows} px."
        raise DataError("E_DICOM_SIZE", what, where=path, fix="no endoscope records this: check the file.")
    if not syntax:  # written without a file header: by the standard's default
        dataset.file_meta.TransferSyntaxUID = pydicom.uid.ImplicitVRLittleEndian
    return dataset


def _malformed(path: str, error: Exception) -> DataError:
    what = f"no DICOM object that can be read ({type(error).__name__})."
    return DataError("E_DICOM_UNREADABLE", what, where=path, fix="export it again.")


def is_dicom(tree: SourceTree, path: str) -> bool:
    """Whether a file is a DICOM object, by its name or its beginning."""
    return suffix_of(path) in SUFFIXES or _has_magic(tree, path)


def _has_magic(tree: SourceTree, path: str) -> bool:
    if suffix_of(path) in (".jpg", ".jpeg", ".png", ".csv", ".txt", ".xml", ".json"):
        return False
    try:
        with tree.local(path).open("rb") as file:
            return file.read(MAGIC_AT + len(MAGIC))[MAGIC_AT:] == MAGIC
    except OSError:
        return False


def _require_pydicom() -> Any:
    """The module. Raises: UsageError E_EXTRA_MISSING."""
    return extra_module("pydicom", "DICOM is read by pydicom")
