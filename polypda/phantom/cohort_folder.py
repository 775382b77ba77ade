"""Write a phantom as an ordinary cohort folder: images, masks, frames.csv, and the marker PHANTOM.json."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Protocol

import cv2
import numpy as np
from numpy.typing import NDArray

from polypda.cohorts.frames import LabelState
from polypda.cohorts.phantom_look import PhantomLook
from polypda.cohorts.tables import FRAMES_CSV, FrameRow, frames_csv
from polypda.errors import DataError, UsageError
from polypda.files import whole_folder
from polypda.phantom.renderer import RENDERER_VERSION, cohort_seed, place_of, render_frame
from polypda.phantom.scene import spread

MARKER = "PHANTOM.json"
NOTICE = (
    "Synthetic frames rendered by polypda. Not clinical evidence: no figure made from them says anything of patients."
)


class HasPhantomLook(Protocol):
    """What the renderer needs of a manifest."""

    @property
    def id(self) -> str: ...

    @property
    def phantom(self) -> PhantomLook | None: ...


def render_cohort(manifest: HasPhantomLook, *, frames: int, out: Path, seed: int = 0) -> Path:
    """Render a cohort's phantom into ``out/<id>`` and return that folder.

    The folder appears whole or not at all. The identical phantom, if already there, is returned at once.

    Args:
        manifest: id and phantom look of the cohort.
        frames: how many frames, at least 1; the first ones do not depend on how many follow.
        out: a data root; made if absent.
        seed: non-negative.

    Raises: UsageError E_PHANTOM_FRAMES, E_PHANTOM_SEED; DataError E_PHANTOM_LOOK, E_PHANTOM_EXISTS, E_PHANTOM_WRITE.
    """
    if (before := rendered_before(manifest, frames, out, seed)) is not None:
        return before
    look = _checked_look(manifest, frames, seed)
    folder = out / manifest.id
    marker = _marker(manifest.id, look, frames, seed)
    try:
        with whole_folder(folder) as unfinished:
            _write_frames(manifest.id, look, frames, seed, unfinished)
            (unfinished / MARKER).write_text(json.dumps(marker, indent=2, sort_keys=True) + "\n", encoding="utf-8")
    except OSError as error:
        if folder.exists():  # another process was quicker
            return _identical_or_refuse(folder, marker)
        raise _not_written(folder, error) from error
    return folder


def rendered_before(manifest: HasPhantomLook, frames: int, out: Path, seed: int) -> Path | None:
    """The folder that :func:`render_cohort` would return at once, or None; nothing is rendered.

    Raises: UsageError E_PHANTOM_FRAMES, E_PHANTOM_SEED; DataError E_PHANTOM_LOOK, E_PHANTOM_EXISTS.
    """
    look = _checked_look(manifest, frames, seed)
    folder = out / manifest.id
    return _identical_or_refuse(folder, _marker(manifest.id, look, frames, seed)) if folder.exists() else None


def group_of(seed: int, sequence: int) -> tuple[int, int]:
    """(patient index, sequence index): patients have one to three sequences, whatever the number of frames."""
    patient, first = 0, 0
    while True:
        count = 1 + int(3 * spread(seed, "patient", patient) ** 2)
        if sequence < first + count:
            return patient, sequence
        patient, first = patient + 1, first + count


def _checked_look(manifest: HasPhantomLook, frames: int, seed: int) -> PhantomLook:
    if frames < 1:
        raise UsageError("E_PHANTOM_FRAMES", f"{frames} frames were asked for.", fix="ask for at least 1.")
    if seed < 0:
        raise UsageError("E_PHANTOM_SEED", f"the seed is {seed}.", fix="take a whole number from 0 on.")
    if manifest.phantom is None:
        raise DataError(
            "E_PHANTOM_LOOK",
            "this cohort's manifest has no `phantom` look, so nothing tells how to render it.",
            where=manifest.id,
            fix="add a `phantom:` block to its manifest.",
        )
    return manifest.phantom


def _marker(cohort: str, look: PhantomLook, frames: int, seed: int) -> dict[str, str | int]:
    return {
        "notice": NOTICE,
        "cohort": cohort,
        "frames": frames,
        "seed": seed,
        "renderer_version": RENDERER_VERSION,
        "look_sha256": look.digest(),
    }


def _identical_or_refuse(folder: Path, marker: dict[str, str | int]) -> Path:
    try:
        found = json.loads((folder / MARKER).read_text(encoding="utf-8"))
    except (OSError, ValueError):
        found = None
    if found == marker:
        return folder
    if isinstance(found, dict):
        differing = ", ".join(key for key in marker if found.get(key) != marker[key]) or "its marker"
        what = f"another phantom lies here already ({differing} differs)."
    else:
        what = "a folder that is no phantom lies here already; it may hold real frames."
    raise DataError(
        "E_PHANTOM_EXISTS", what, where=folder, fix="choose another --out folder, or remove this one yourself."
    )


def _write_frames(cohort: str, look: PhantomLook, frames: int, seed: int, folder: Path) -> None:
    (folder / "images").mkdir()
    (folder / "masks").mkdir()
    suffix, options = _encoding(look)
    own_seed = cohort_seed(cohort, seed)
    rows = []
    for index in range(frames):
        image, mask = render_frame(look, seed=own_seed, index=index)
        position = place_of(look, index)
        patient, sequence = group_of(own_seed, position.sequence)
        name = f"{cohort}-{index:05d}"
        _write_image(folder / "images" / f"{name}{suffix}", cv2.cvtColor(image, cv2.COLOR_RGB2BGR), options)
        _write_image(folder / "masks" / f"{name}.png", mask, [cv2.IMWRITE_PNG_COMPRESSION, 1])
        state = LabelState.MASK if mask.any() else LabelState.NEGATIVE
        rows.append(FrameRow(name, f"p{patient:04d}", f"s{sequence:04d}", position.t_s, label_state=state))
    (folder / FRAMES_CSV).write_text(frames_csv(rows), encoding="utf-8")


def _encoding(look: PhantomLook) -> tuple[str, list[int]]:
    if look.jpeg_quality is None:
        return ".png", [cv2.IMWRITE_PNG_COMPRESSION, 1]
    return ".jpg", [cv2.IMWRITE_JPEG_QUALITY, look.jpeg_quality]


def _write_image(path: Path, pixels: NDArray, options: list[int]) -> None:
    # Encoded in memory and written by Python: non-ASCII paths work, and a full disk is an error instead of silence.
    encoded, data = cv2.imencode(path.suffix, pixels, options)
    if not encoded:
        raise OSError(f"{path.name} could not be encoded")
    path.write_bytes(np.asarray(data).tobytes())


def _not_written(position: Path, error: OSError) -> DataError:
    return DataError(
        "E_PHANTOM_WRITE",
        f"{error.strerror or error}; nothing half-written was left.",
        where=position,
        fix="free space, or choose an --out folder that you may write to.",
    )
