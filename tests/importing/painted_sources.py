"""Small painted folders, as other tools leave them, and the hashes of everything in a folder."""

import hashlib
import io
from pathlib import Path

import numpy as np
from PIL import Image

from polypda.workflows.cohorts.import_cohort import ImportRequest, import_cohort

HEIGHT, WIDTH = 40, 60


def frame(number: int = 0, size: tuple[int, int] = (HEIGHT, WIDTH)) -> np.ndarray:
    """A lit frame, RGB, different from number to number."""
    coarse = np.random.default_rng(number).integers(70, 220, (4, 6, 3), np.uint8)
    return np.asarray(Image.fromarray(coarse).resize((size[1], size[0]), Image.Resampling.BICUBIC))


def mask(size: tuple[int, int] = (HEIGHT, WIDTH), value: int = 255) -> np.ndarray:
    """A rectangle off the centre: no flip or turn leaves it where it is."""
    drawn = np.zeros(size, np.uint8)
    drawn[4 : size[0] // 2, 6 : size[1] // 3] = value
    return drawn


def encoded(pixels: np.ndarray, kind: str = "JPEG", **options: object) -> bytes:
    """Pixels as a file's bytes."""
    data = io.BytesIO()
    Image.fromarray(pixels).save(data, kind, **options)
    return data.getvalue()


def put(path: Path, data: bytes | np.ndarray) -> Path:
    """Write bytes, or pixels in the format of the suffix."""
    path.parent.mkdir(parents=True, exist_ok=True)
    kinds = {".jpg": "JPEG", ".png": "PNG", ".tif": "TIFF", ".bmp": "BMP"}
    path.write_bytes(data if isinstance(data, bytes) else encoded(data, kinds[path.suffix]))
    return path


def write_pairs(folder: Path, stems: tuple[str, ...] = ("a", "b", "c")) -> Path:
    """images/*.jpg and masks/*.png."""
    for number, stem in enumerate(stems):
        put(folder / "images" / f"{stem}.jpg", frame(number))
        put(folder / "masks" / f"{stem}.png", mask())
    return folder


def snapshot(folder: Path) -> dict[str, tuple[str, int]]:
    """Every file's content and time."""
    return {
        path.relative_to(folder).as_posix(): (hashlib.sha256(path.read_bytes()).hexdigest(), path.stat().st_mtime_ns)
        for path in sorted(folder.rglob("*"))
        if path.is_file()
    }


def run_import(source: Path, root: Path, cohort_id: str = "ward-7", **changes: object):
    """Import a folder as a new cohort; the result of the workflow."""
    return import_cohort(ImportRequest(source, cohort_id, root, **changes))


def lines(result) -> dict[str, list[str]]:
    """Code → the origins that have it."""
    told: dict[str, list[str]] = {}
    for line in result.summary.lines:
        told.setdefault(line.code, []).append(line.origin)
    return told
