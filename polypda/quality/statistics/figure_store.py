"""Figures of frames that were measured before, kept by the content of the files that they were made from.

A picture's figures and its label's are separate entries: finding the former opens no mask.
"""

from __future__ import annotations

import base64
import binascii
import hashlib
import json
import zlib
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Any, TypeVar

import numpy as np
from numpy.typing import NDArray

from polypda.cache import Store
from polypda.quality.statistics.image import MAP_SIDE, ImageFigures
from polypda.quality.statistics.polyps import PolypFigures

FIGURES_VERSION = 2
"""Raise it whenever a figure is measured differently: older entries are then never found."""
Figures = TypeVar("Figures", ImageFigures, PolypFigures)


@dataclass(frozen=True)
class FigureStore:
    """Entries of figures, one small JSON file each. folder None: nothing is kept."""

    folder: Path | None

    def find(self, kind: type[Figures], files: tuple[Path, ...], beside: str = "") -> Figures | None:
        """The figures made from these files and what is known beside them; None where there are none."""
        name = _name(kind, files, beside)
        kept = None if name is None else Store(self.folder).read(name)
        if kept is None:
            return None
        try:
            return _unpacked(kind, json.loads(kept))
        except (ValueError, LookupError, TypeError, AttributeError, zlib.error, binascii.Error):
            return None  # damaged: it is measured again

    def keep(self, figures: ImageFigures | PolypFigures, files: tuple[Path, ...], beside: str = "") -> None:
        """Keep figures for the next time. A store that cannot be written to is no reason to stop measuring."""
        name = _name(type(figures), files, beside)
        if name is not None:
            Store(self.folder).keep(name, json.dumps(_packed(figures)).encode())


def _name(kind: type[ImageFigures] | type[PolypFigures], files: tuple[Path, ...], beside: str) -> str | None:
    digest = hashlib.sha256(f"{FIGURES_VERSION} {kind.__name__} {beside}".encode())
    try:
        for file in files:
            digest.update(hashlib.sha256(file.read_bytes()).digest())
    except OSError:
        return None
    return f"{digest.hexdigest()[:40]}.json"


def _packed(figures: ImageFigures | PolypFigures) -> dict[str, Any]:
    values = {field.name: getattr(figures, field.name) for field in fields(figures)}
    return {
        name: {"map": base64.b64encode(zlib.compress(value.tobytes())).decode()}
        if isinstance(value, np.ndarray)
        else value
        for name, value in values.items()
    }


def _unpacked(kind: type[Figures], values: dict[str, Any]) -> Figures:
    known: dict[str, Any] = {
        name: _map(value) if isinstance(value, dict) else value for name, value in values.items()
    }  # fmt: skip
    return kind(**known)


def _map(value: dict[str, str]) -> NDArray[np.uint8]:
    pixels = np.frombuffer(zlib.decompress(base64.b64decode(value["map"])), np.uint8)
    return pixels.reshape(MAP_SIDE, MAP_SIDE)
