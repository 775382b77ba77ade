"""Probability maps and masks that someone else's model wrote to files."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import cv2
import numpy as np
from numpy.typing import NDArray

from polypda.cohorts.field_of_view import find_field_of_view
from polypda.cohorts.frames import Frame
from polypda.cohorts.images import read_image
from polypda.data.references import read_ignored
from polypda.errors import DataError
from polypda.evaluation.prediction import NativePrediction, reference_mask

SUFFIXES = (".png", ".npy")
FULL_SCALE = {np.dtype(np.uint8): 255, np.dtype(np.uint16): 65535}


@dataclass(frozen=True)
class PredictionFolder:
    """Files by stem.

    masks: there are files of whole numbers, and none holds a value above 1: they are 0/1 masks, not dark maps.
    dark: how many files of whole numbers hold nothing above 1 (and not only 0) where others do.
    """

    name: str
    files: Mapping[str, Path]
    masks: bool
    dark: int

    @classmethod
    def open(cls, name: str, folder: Path) -> PredictionFolder:
        """Find the files (in subfolders as well) and tell masks from probability maps.

        Raises: DataError E_PREDICTIONS_MISSING, E_PREDICTION_DUPLICATE, E_PREDICTION_UNREADABLE, E_PREDICTION_FORMAT.
        """
        if not folder.is_dir():
            raise DataError("E_PREDICTIONS_MISSING", "there is no such folder.", where=folder, fix="check the path.")
        files: dict[str, Path] = {}
        for path in sorted(path for path in folder.rglob("*") if path.suffix.lower() in SUFFIXES and path.is_file()):
            if path.stem in files:
                raise DataError(
                    "E_PREDICTION_DUPLICATE",
                    f"two files for one frame: {files[path.stem].relative_to(folder)}, {path.relative_to(folder)}.",
                    where=path.stem,
                    fix="keep one map per frame, named as the frame.",
                )
            files[path.stem] = path
        if not files:
            raise DataError(
                "E_PREDICTIONS_MISSING",
                "it holds no PNG or NPY file.",
                where=folder,
                fix="write one map per frame under the frame's own name.",
            )
        largest = [int(raw.max(initial=0)) for raw in map(_raw, files.values()) if raw.dtype in FULL_SCALE]
        masks = bool(largest) and max(largest) <= 1
        return cls(name, files, masks, 0 if masks else largest.count(1))

    def probability(self, frame: Frame) -> NDArray[np.float32] | None:
        """P(polyp), float32 H×W as the file holds it; None where there is no file for the frame.

        Raises: DataError E_PREDICTION_UNREADABLE, E_PREDICTION_FORMAT.
        """
        path = self._path(frame)
        if path is None:
            return None
        raw = _raw(path)
        if raw.dtype in FULL_SCALE:
            return raw.astype(np.float32) / np.float32(1 if self.masks else FULL_SCALE[raw.dtype])
        return raw.astype(np.float32)

    def has(self, frame: Frame) -> bool:
        """Whether there is a map for the frame."""
        return self._path(frame) is not None

    def without_frame(self, frames: Iterable[Frame]) -> list[str]:
        """Stems of files that belong to no frame of a cohort."""
        known = {stem for frame in frames for stem in (frame.image.stem, Path(frame.frame).name)}
        return sorted(set(self.files) - known)

    def _path(self, frame: Frame) -> Path | None:
        return self.files.get(frame.image.stem) or self.files.get(Path(frame.frame).name)


def predictions_of(
    folders: Sequence[PredictionFolder], frames: Sequence[Frame], *, missing_as_empty: bool
) -> Iterator[NativePrediction]:
    """The maps of every folder for each labelled frame, in order.

    Raises: DataError E_PREDICTION_MISSING unless a missing map is to be scored as an empty one; what reading raises.
    """
    if not missing_as_empty:
        _require_all(folders, frames)
    for frame in frames:
        image = read_image(frame.image)
        found = {folder.name: folder.probability(frame) for folder in folders}
        empty = np.zeros(image.shape[:2], np.float32)
        yield NativePrediction(
            frame,
            image,
            find_field_of_view(image),
            reference_mask(frame, image),
            {name: empty if map_ is None else map_ for name, map_ in found.items()},
            frozenset(name for name, map_ in found.items() if map_ is None),
            read_ignored(frame, image.shape),
        )


def _require_all(folders: Sequence[PredictionFolder], frames: Sequence[Frame]) -> None:
    for folder in folders:
        absent = [frame.frame for frame in frames if not folder.has(frame)]
        if absent:
            raise DataError(
                "E_PREDICTION_MISSING",
                f"{len(absent)} of {len(frames)} frames have no map, such as {', '.join(absent[:3])}.",
                where=folder.name,
                fix="predict every frame of the part; `--missing as-empty` scores what is missing as an empty map.",
            )


def _raw(path: Path) -> NDArray:
    """The file's array, H×W: uint8, uint16 or float."""
    try:
        data = path.read_bytes()
        if path.suffix.lower() == ".npy":
            raw = np.load(path, allow_pickle=False)
        else:
            raw = cv2.imdecode(np.frombuffer(data, np.uint8), cv2.IMREAD_UNCHANGED) if data else None
    except (OSError, ValueError, EOFError) as error:
        raise _unreadable(path) from error
    if raw is None:
        raise _unreadable(path)
    if raw.ndim == 3 and raw.shape[2] in (3, 4) and all((raw[..., 0] == raw[..., band]).all() for band in (1, 2)):
        raw = raw[..., 0]  # grey that was written as colour
    if raw.dtype == bool:
        raw = raw.astype(np.float32)  # says of itself what 0 and 1 mean
    if raw.ndim != 2 or not (raw.dtype in FULL_SCALE or np.issubdtype(raw.dtype, np.floating)):
        raise DataError(
            "E_PREDICTION_FORMAT",
            f"an array of {raw.dtype} with shape {raw.shape} is no map.",
            where=path.name,
            fix="write one grey channel: 8- or 16-bit PNG (0 … full scale), or float NPY in [0, 1].",
        )
    return raw


def _unreadable(path: Path) -> DataError:
    return DataError("E_PREDICTION_UNREADABLE", "the file cannot be decoded.", where=path.name, fix="write it again.")
