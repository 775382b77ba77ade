"""Small painted cohorts in the layouts and with the quirks of the public releases."""

from collections.abc import Callable, Sequence
from pathlib import Path

import cv2
import numpy as np
import tifffile

HEIGHT, WIDTH = 48, 64


def paint_frame(number: int, size: tuple[int, int] = (HEIGHT, WIDTH)) -> np.ndarray:
    """A lit frame, RGB, that differs from number to number by its coarse pattern."""
    rng = np.random.default_rng(number)
    coarse = rng.uniform(70, 220, (6, 8, 3)).astype(np.float32)
    return cv2.resize(coarse, (size[1], size[0]), interpolation=cv2.INTER_CUBIC).clip(40, 255).astype(np.uint8)


def paint_mask(size: tuple[int, int] = (HEIGHT, WIDTH)) -> np.ndarray:
    """A 0/255 disc."""
    y, x = np.mgrid[: size[0], : size[1]]
    disc = (x - size[1] / 2) ** 2 + (y - size[0] / 2) ** 2 < (size[0] / 4) ** 2
    return disc.astype(np.uint8) * 255


def save(path: Path, pixels: np.ndarray) -> None:
    """Write grey or RGB pixels in the format of the suffix."""
    path.parent.mkdir(parents=True, exist_ok=True)
    bgr = pixels if pixels.ndim == 2 else pixels[..., ::-1]
    written, data = cv2.imencode(path.suffix, bgr)
    assert written
    path.write_bytes(data.tobytes())


def save_minisblack_tif(path: Path, pixels: np.ndarray) -> None:
    """RGB pixels as ClinicDB stores them: three samples that the tag calls MINISBLACK."""
    path.parent.mkdir(parents=True, exist_ok=True)
    tifffile.imwrite(path, pixels, photometric="minisblack", planarconfig="contig")


def write_ordinary(
    root: Path, cohort: str = "zju2", stems: Sequence[str] = ("f1", "f2", "f3"), table: str | None = None
) -> Path:
    """An ordinary cohort folder with a PNG mask for each JPEG image; returns it."""
    for number, stem in enumerate(stems):
        save(root / cohort / "images" / f"{stem}.jpg", paint_frame(number))
        save(root / cohort / "masks" / f"{stem}.png", paint_mask())
    if table is not None:
        (root / cohort / "frames.csv").write_text(table, encoding="utf-8")
    return root / cohort


def write_release(
    folder: Path,
    stems: Sequence[str],
    image: Callable[[str], str],
    mask: Callable[[str], str] | None,
    mask_pixels: np.ndarray | None = None,
) -> None:
    """Frames of a release whose file names follow from the stems."""
    for number, stem in enumerate(stems):
        save(folder / image(stem), paint_frame(number))
        if mask is not None:
            save(folder / mask(stem), paint_mask() if mask_pixels is None else mask_pixels)
