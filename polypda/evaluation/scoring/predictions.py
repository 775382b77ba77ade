"""Probability maps at a frame's own resolution: predicted by models, or read from files that others wrote."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from polypda.cohorts.field_of_view import FieldOfView, find_field_of_view
from polypda.cohorts.frames import Frame, LabelState
from polypda.cohorts.image_files import is_hidden
from polypda.cohorts.images import read_ignored, read_image
from polypda.cohorts.stored_pixels import decode_stored, read_npy
from polypda.data.cache import load_native
from polypda.data.labels import read_reference
from polypda.errors import DataError
from polypda.evaluation.scoring.map_scale import FULL_SCALE, Decision, MapFacts, MapKind, MapScale, decide
from polypda.git_lfs import is_pointer_file, pointer_error

if TYPE_CHECKING:  # networks take seconds to load, and maps that others wrote need none
    from polypda.networks.averaged_prediction import Asked
    from polypda.networks.segmenter import Segmenter


@dataclass(frozen=True)
class NativePrediction:
    """What the models predict for one frame, on the frame's own grid.

    image: uint8 H×W×3, RGB. reference: uint8 H×W, 0/1; None where the frame has boxes or no annotation. probabilities:
    model name → float32 H×W, P(polyp) in [0, 1], 0 outside the crop that the network saw. missing: models without a
    prediction for this frame, whose map is empty because the user asked for that. ignored: bool H×W, pixels that do
    not count; None for none.
    """

    frame: Frame
    image: NDArray[np.uint8]
    view: FieldOfView
    reference: NDArray[np.uint8] | None
    probabilities: dict[str, NDArray[np.float32]]
    missing: frozenset[str] = frozenset()
    ignored: NDArray[np.bool_] | None = None

    @property
    def valid(self) -> NDArray[np.bool_]:
        """Where pixels count, bool H×W: inside the field of view, and not ignored."""
        return self.view.mask if self.ignored is None else self.view.mask & ~self.ignored


def reference_mask(frame: Frame, image: NDArray[np.uint8]) -> NDArray[np.uint8] | None:
    """The mask to score a frame (image: H×W×3) by; None for one that has boxes instead."""
    return None if frame.label_state is LabelState.BOX else read_reference(frame, image)


def predict_native(
    models: Mapping[str, Segmenter], frames: Sequence[Frame], asked: Asked, *, scored: bool = True
) -> Iterator[NativePrediction]:
    """Predict frames with every model, in order; reads each frame once.

    scored: False for frames that are only looked at: no reference is read. The probability map is resampled bilinearly
    from the network's grid to native pixels; thresholding comes after. Raises: what reading the reference raises.
    """
    for model in models.values():
        model.eval().to(asked.device)
    for frame in frames:
        native = load_native(frame, asked.grid)
        yield NativePrediction(
            frame,
            native.image,
            native.view,
            reference_mask(frame, native.image) if scored else None,
            {name: asked.native_probability(model, native) for name, model in models.items()},
            ignored=native.ignored,
        )


SUFFIXES = (".png", ".npy")


@dataclass(frozen=True)
class StoredMap:
    """A file's grey values, H×W, uint8, uint16, bool or float; alpha: likewise, None where it has none."""

    grey: NDArray
    alpha: NDArray | None = None

    def values(self, in_alpha: bool) -> NDArray:
        """The map itself, H×W; in_alpha: where it has an alpha channel, it is drawn in that."""
        if self.alpha is None:
            return self.grey
        return self.alpha if in_alpha else np.where(self.alpha > 0, self.grey, 0).astype(self.grey.dtype)


@dataclass(frozen=True)
class AlphaFacts:
    """A file with an alpha channel. shown: least and greatest grey that is not wholly transparent. opaque: nothing is
    hidden. binary: every pixel is either hidden or not."""

    shown: frozenset[int]
    opaque: bool
    binary: bool

    @classmethod
    def of(cls, grey: NDArray, alpha: NDArray) -> AlphaFacts:
        """Of arrays H×W of whole numbers."""
        full = np.iinfo(alpha.dtype).max
        visible = grey[alpha > 0]
        ends = (int(visible.min()), int(visible.max())) if visible.size else ()
        return cls(frozenset(ends), bool((alpha == full).all()), bool(((alpha == 0) | (alpha == full)).all()))


@dataclass(frozen=True)
class PredictionFolder:
    """Files by stem, and how they are read, as decided from all of them.

    files: paths as text, half of what ``Path`` takes: there may be hundreds of thousands. in_alpha: files with an
    alpha channel are drawn in it, on one bright grey; else it hides nothing, or what is black.
    """

    name: str
    files: Mapping[str, str]
    in_alpha: bool
    decisions: Mapping[MapKind, Decision]

    @classmethod
    def open(cls, name: str, folder: Path, scale: MapScale | None = None) -> PredictionFolder:
        """Find the files (in subfolders as well) and decide what their values mean. scale: where the user says it.

        Raises: DataError E_PREDICTIONS_MISSING, E_PREDICTION_DUPLICATE, E_PREDICTION_FORMAT, E_PREDICTION_ALPHA,
            E_PREDICTION_SCALE, and what reading a file raises.
        """
        files = _found(folder)
        facts: list[MapFacts] = []
        known: dict[MapFacts, MapFacts] = {}  # most of a folder's maps hold the same: kept once
        transparent: dict[str, AlphaFacts] = {}
        for path in files.values():
            stored = _stored(Path(path))
            if stored.alpha is None:
                fact = MapFacts.of(stored.grey)
                facts.append(known.setdefault(fact, fact))
            else:
                transparent[path] = AlphaFacts.of(stored.grey, stored.alpha)
        in_alpha = _in_alpha(list(transparent.values()), name)
        facts += [MapFacts.of(_stored(Path(path)).values(in_alpha)) for path in transparent]
        return cls(name, files, in_alpha, decide(facts, scale, name))

    def probability(self, frame: Frame) -> NDArray[np.float32] | None:
        """P(polyp), float32 H×W as the file holds it; None where there is no file for the frame.

        Raises: DataError E_PREDICTION_UNREADABLE, E_PREDICTION_FORMAT.
        """
        path = self._path(frame)
        if path is None:
            return None
        values = _stored(path).values(self.in_alpha)
        return self.decisions[MapKind.of(values)].scale.probability(values)

    @property
    def notes(self) -> list[str]:
        """What was decided, for people."""
        alpha = [f"{self.name}: the maps are drawn in alpha on one bright grey."] if self.in_alpha else []
        return alpha + [f"{self.name}: {decision.note}" for decision in self.decisions.values()]

    def has(self, frame: Frame) -> bool:
        """Whether there is a map for the frame."""
        return self._path(frame) is not None

    def without_frame(self, frames: Iterable[Frame]) -> list[str]:
        """Stems of files that belong to no frame of a cohort."""
        known = {stem for frame in frames for stem in (frame.image.stem, Path(frame.frame).name)}
        return sorted(set(self.files) - known)

    def _path(self, frame: Frame) -> Path | None:
        found = self.files.get(frame.image.stem) or self.files.get(Path(frame.frame).name)
        return Path(found) if found else None


def require_predictions(folder: Path) -> None:
    """Raises: DataError E_PREDICTIONS_MISSING where there is no such folder; no file is looked at."""
    if not folder.is_dir():
        raise DataError("E_PREDICTIONS_MISSING", "there is no such folder.", where=folder, fix="check the path.")


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


def _found(folder: Path) -> dict[str, str]:
    require_predictions(folder)
    files: dict[str, str] = {}
    maps = (path for path in folder.rglob("*") if path.suffix.lower() in SUFFIXES and path.is_file())
    for path in sorted(maps, key=lambda path: path.as_posix().split("/")):  # compared itself, a path grows by a half
        if is_hidden(path.relative_to(folder).as_posix()):
            continue
        if path.stem in files:
            raise DataError(
                "E_PREDICTION_DUPLICATE",
                f"two files for one frame: {Path(files[path.stem]).relative_to(folder)}, {path.relative_to(folder)}.",
                where=path.stem,
                fix="keep one map per frame, named as the frame.",
            )
        files[path.stem] = str(path)
    if not files:
        raise DataError(
            "E_PREDICTIONS_MISSING",
            "it holds no PNG or NPY file.",
            where=folder,
            fix="write one map per frame under the frame's own name.",
        )
    return files


def _stored(path: Path) -> StoredMap:
    """The file's arrays, H×W: uint8, uint16, bool or float."""
    try:
        if path.suffix.lower() == ".npy":
            if is_pointer_file(path):
                raise pointer_error("E_PREDICTION", path.name)
            return StoredMap(_grey(read_npy(path.read_bytes(), path.name, "E_PREDICTION"), path))
        stored = decode_stored(path.read_bytes(), path.name, "E_PREDICTION")
    except (OSError, ValueError, EOFError) as error:
        what = "the file cannot be decoded."
        raise DataError("E_PREDICTION_UNREADABLE", what, where=path.name, fix="write it again.") from error
    return StoredMap(_grey(stored.pixels, path), stored.alpha)


def _grey(pixels: NDArray, path: Path) -> NDArray:
    bands = pixels.ndim == 3 and pixels.shape[2] in (3, 4)
    if bands and all((pixels[..., 0] == pixels[..., band]).all() for band in (1, 2)):
        pixels = pixels[..., 0]  # grey that was written as colour
    known = pixels.dtype in FULL_SCALE or pixels.dtype == bool or np.issubdtype(pixels.dtype, np.floating)
    if pixels.ndim != 2 or not known:
        raise DataError(
            "E_PREDICTION_FORMAT",
            f"an array of {pixels.dtype} with shape {pixels.shape} is no map.",
            where=path.name,
            fix="write one grey channel: 8- or 16-bit PNG (0 … full scale), or float NPY in [0, 1].",
        )
    return pixels


def _in_alpha(transparent: Sequence[AlphaFacts], where: str) -> bool:
    """Whether files with an alpha channel are drawn in it. Raises: DataError E_PREDICTION_ALPHA."""
    if all(one.opaque for one in transparent):
        return False
    shown = frozenset[int]().union(*(one.shown for one in transparent))
    if len(shown) == 1 and shown != {0}:
        return True
    if len(shown) > 1 and all(one.binary for one in transparent):
        return False
    what = "both the grey and the transparency vary" if len(shown) > 1 else "all that is drawn is black or transparent"
    fix = "write one grey channel without alpha."
    raise DataError("E_PREDICTION_ALPHA", f"{what}: which of them is the map is not known.", where=where, fix=fix)
