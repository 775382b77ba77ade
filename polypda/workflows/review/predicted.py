"""A folder of `polypda predict` as something to judge: one model's outlines, without references.

What is read of it: predictions.csv (``input``, ``kind``, ``name``, ``mask``, ``input_sha256``), the masks,
``prediction.json`` (which weights), and the maps of ``probabilities/`` where they were kept. Pictures are found by the
inputs' paths, or below a folder that the user names, and are those that were predicted: by their SHA-256, or where the
table does not tell that (of films' frames, in folders of earlier versions) by a path that means one file alone.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property
from itertools import takewhile
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from polypda.cohorts.field_of_view import find_field_of_view
from polypda.cohorts.frames import Frame
from polypda.cohorts.image_files import is_image_name, name_some, stays_inside
from polypda.cohorts.images import read_image, read_mask
from polypda.cohorts.stored_pixels import decode_stored, read_npy
from polypda.errors import DataError
from polypda.importing.images.decoded_image import read_upright
from polypda.integrity import recorded, sha256_of
from polypda.networks.weights import IDENTITY_HEX
from polypda.review.folder import PredictedCase
from polypda.review.frames import entropy
from polypda.review.orderings import Candidate, Order
from polypda.review.record import Side, prediction_hash

TABLE, FACTS, PROBABILITIES = "predictions.csv", "prediction.json", "probabilities"
PART = "predicted"
STILLS = ("image", "cohort")
"""Kinds of inputs that are the picture themselves."""
FULL_16_BIT = 65535


@dataclass(frozen=True)
class PredictedFolder:
    """folder: of `polypda predict`. images: where its pictures lie; None: where the inputs' paths say."""

    folder: Path
    images: Path | None = None

    @classmethod
    def recognises(cls, folder: Path) -> bool:
        return (folder / TABLE).is_file()

    @property
    def name(self) -> str:
        return self.folder.resolve().name

    @cached_property
    def facts(self) -> dict[str, Any]:
        """What prediction.json says; {} where it says nothing."""
        self._check(FACTS)
        try:
            found = json.loads((self.folder / FACTS).read_text(encoding="utf-8"))
        except (OSError, ValueError):
            return {}
        return found if isinstance(found, dict) else {}

    def fact(self, *names: str) -> str:
        """One of them by its place; "" where it is not told."""
        value: Any = self.facts
        for name in names:
            value = value.get(name, {}) if isinstance(value, dict) else {}
        return value if isinstance(value, str) else ""

    @property
    def models(self) -> dict[Side, str]:
        """One model only."""
        return {"before": "", "after": self.fact("model", "training", "model") or "model"}

    @property
    def trainings(self) -> dict[Side, str]:
        """The weights' SHA-256, as far as the folder tells."""
        return {"before": "", "after": self.fact("settings", "model")[:IDENTITY_HEX]}

    @cached_property
    def rows(self) -> dict[str, dict[str, str]]:
        """Frames with a mask, by name. Raises: DataError E_REVIEW_PREDICTIONS."""
        self._check(TABLE)
        try:
            table = pd.read_csv(self.folder / TABLE, dtype=str, keep_default_na=False)
            rows = [row for row in table.to_dict("records") if row["mask"]]
            # an input is where the user said that it lies, and is read as an image alone
            if strange := [row for row in rows if not all(stays_inside(row[name]) for name in ("name", "mask"))]:
                raise self._unusable(f"predictions.csv names a file outside its folder ({strange[0]['mask'][:80]})")
            if len({row["name"] for row in rows}) < len(rows):
                raise self._unusable("two lines of predictions.csv have one name: whose mask it is cannot be told")
            return {str(row["name"]): {str(key): str(value) for key, value in row.items()} for row in rows}
        except (OSError, ValueError, KeyError) as error:
            raise self._unusable("predictions.csv cannot be read, or names no masks") from error

    @cached_property
    def images_by_stem(self) -> dict[str, list[Path]]:
        """Stem → pictures of it, below the folder that the user named."""
        found: dict[str, list[Path]] = {}
        for path in sorted(self.images.absolute().rglob("*")) if self.images is not None else []:
            if is_image_name(path.name):
                found.setdefault(path.stem, []).append(path)
        return found

    def sha256(self, name: str) -> str:
        """Of the picture that a frame was predicted of; "" where that is not known, or is a part of a recording."""
        row = self.rows[name]
        return row.get("input_sha256", "") if row.get("kind", "") in STILLS else ""

    def frame(self, name: str, sha256: str = "") -> Frame:
        """A frame with the picture that was predicted. sha256: of it, where the table may not tell.

        Raises: DataError E_REVIEW_IMAGE.
        """
        if name not in self.rows:
            raise self._no_picture(f"'{name}' is no longer among the predictions.", "build the review anew.")
        known = self.sha256(name) or sha256
        told = f"the picture of '{name}' ({self.rows[name]['input']})"
        candidates = self._candidates(name, told=bool(known))
        if known:
            found = [path for path in candidates if _sha256_of(path) == known][:1]
        else:
            ranks = [self._rank(path, name) for path in candidates]
            found = [path for path, rank in zip(candidates, ranks, strict=True) if rank == max(ranks)]
        if len(found) == 1:
            return Frame(self.name, name, found[0])
        if found:
            some = name_some([path.as_posix() for path in found])
            what = f"{told} may be any of {some}: the table does not tell its SHA-256."
            raise self._no_picture(what, "--images FOLDER that holds no other files of the name, or predict again.")
        if candidates:
            what = f"{told} is not the one that was predicted (SHA-256 differs)."
            raise self._no_picture(what, "--images FOLDER that holds the pictures as they were predicted.")
        fix = "--images FOLDER that holds the pictures; frames of films are exported first."
        raise self._no_picture(f"{told} is not found.", fix)

    def _candidates(self, name: str, *, told: bool) -> list[Path]:
        """Files that may be a frame's picture. told: its SHA-256 is known, so that a wrong one is noticed."""
        row = self.rows[name]
        if self.images is None:
            path = Path(row["input"])  # of a folder that the user named: where that was, the table does not tell
            there = is_image_name(path.name) and (told or path.is_absolute()) and path.is_file()
            return [path] if there else []
        stems = [name]
        if row.get("kind", "") in ("", "image"):
            stems = [Path(row["input"]).stem, name]
        elif row["kind"] == "cohort":
            stems = [Path(row["input"]).name, name]
        found = [self.images_by_stem.get(stem, []) for stem in dict.fromkeys(stems)]
        return [path for paths in found for path in paths] if told else next(filter(None, found), [])

    def _rank(self, path: Path, name: str) -> tuple[int, bool]:
        """How well a file fits an input by its path: folders that both end in, and whether it has the same suffix."""
        meant = Path(self.rows[name]["input"])
        pairs = zip(reversed(path.parent.parts), reversed(meant.parent.parts), strict=False)
        return len(list(takewhile(lambda pair: pair[0] == pair[1], pairs))), path.name == meant.name

    def pixels(self, frame: Frame) -> NDArray[np.uint8]:
        """A frame's picture as it was predicted: images upright, frames of cohorts as stored. Raises: as reading it."""
        if self.rows[frame.frame].get("kind", "") in ("", "image"):
            return read_upright(frame.image)
        return read_image(frame.image)

    def candidates(self) -> list[Candidate]:
        """Every frame that was predicted."""
        return [Candidate(self.name, self.name, name) for name in self.rows]

    def measured(self, candidates: list[Candidate]) -> Iterator[Candidate]:
        """With the mean entropy, where maps were kept."""
        for one in candidates:
            probability = self.probability(one.frame)
            value = float("nan") if probability is None else float(entropy(probability).mean())
            yield Candidate(one.run, one.cohort, one.frame, uncertainty=value)

    def mask(self, name: str) -> NDArray[np.bool_]:
        """bool H×W. Raises: DataError E_REVIEW_PREDICTIONS where it is gone or damaged."""
        self._check(self.rows[name]["mask"])
        try:
            return read_mask(self.folder / self.rows[name]["mask"]).astype(bool)
        except DataError as error:
            raise self._unusable(f"the mask of '{name}' is missing or damaged") from error

    def probability(self, name: str) -> NDArray[np.float32] | None:
        """float32 H×W in [0, 1]; None where no map was kept."""
        stem = self.folder / PROBABILITIES / name
        plain, png = Path(f"{stem}.npy"), Path(f"{stem}.png")
        for found in (plain, png):
            self._check(found.relative_to(self.folder).as_posix())
        if plain.is_file():
            return read_npy(plain.read_bytes(), plain.name, "E_PREDICTION").astype(np.float32)
        if png.is_file():
            return (decode_stored(png.read_bytes(), str(png)).pixels / FULL_16_BIT).astype(np.float32)
        return None

    def case(self, candidate: Candidate, order: Order) -> PredictedCase:
        """A prediction as it is handed out. Raises: DataError E_REVIEW_IMAGE, E_OVERLAY_SIZE."""
        frame = self.frame(candidate.frame)
        pixels, after = self.pixels(frame), self.mask(candidate.frame)
        if after.shape != pixels.shape[:2]:
            what = f"the mask of '{candidate.frame}' and its picture differ in size."
            raise DataError("E_OVERLAY_SIZE", what, where=self.name, fix="name the pictures that were predicted.")
        probability = self.probability(candidate.frame)
        uncertainty: dict[Side, NDArray[np.float32]] | None = None
        if probability is not None and probability.shape == after.shape:
            uncertainty = {"before": entropy(probability), "after": entropy(probability)}
        return PredictedCase(
            run=self.name,
            owner=self.folder,
            frame=frame,
            pixels=pixels,
            field=find_field_of_view(pixels).mask,
            before=np.zeros(after.shape, bool),
            after=after,
            trainings=self.trainings,
            phantom=False,
            uncertainty=uncertainty,
            why=order.value,
            values={} if np.isnan(candidate.uncertainty) else {"uncertainty": candidate.uncertainty},
        )

    def now(self, name: str, sha256: str = "") -> str | None:
        """The hash of what lies there now; None where nothing does. Field of view as when it was handed out.

        sha256: as of :meth:`frame`.
        """
        try:
            after, field = self.mask(name), find_field_of_view(self.pixels(self.frame(name, sha256))).mask
        except (DataError, KeyError):
            return None
        if after.shape != field.shape:
            return None
        after &= field
        return prediction_hash(np.zeros(after.shape, bool), after)

    @cached_property
    def _recorded(self) -> dict[str, list[str]]:
        """Name → SHA-256; {} where the prediction was not ended."""
        try:
            return recorded(self.folder)
        except DataError as error:
            raise self._unusable("its list of checksums is damaged") from error

    def _check(self, name: str) -> None:
        """One of its files must be what was written. Raises: DataError E_REVIEW_PREDICTIONS."""
        path = self.folder / name
        if path.is_file() and name in self._recorded and sha256_of(path) not in self._recorded[name]:
            raise self._unusable(f"{name} is not what was predicted (SHA-256 differs)")

    def _no_picture(self, what: str, fix: str) -> DataError:
        return DataError("E_REVIEW_IMAGE", what, where=self.name, fix=fix)

    def _unusable(self, what: str) -> DataError:
        return DataError("E_REVIEW_PREDICTIONS", f"{what}.", where=self.name, fix="predict again: `polypda predict`.")


def _sha256_of(path: Path) -> str:
    """Empty of a file that cannot be read."""
    try:
        return sha256_of(path)
    except OSError:
        return ""
