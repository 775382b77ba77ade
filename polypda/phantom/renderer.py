"""Rendered frames and cohorts: frame *k* of a seed is a pure function of look, seed and *k*."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator
from dataclasses import dataclass
from functools import lru_cache
from itertools import chain, count, islice
from pathlib import Path

import cv2
import numpy as np
from numpy.typing import NDArray

from polypda.cohorts.frames import LabelState, Split
from polypda.cohorts.manifest import Manifest
from polypda.cohorts.phantom_look import PhantomLook
from polypda.cohorts.tables import FRAMES_CSV, FrameRow, frames_csv
from polypda.errors import DataError, UsageError
from polypda.files import whole_folder
from polypda.phantom.camera import canvas_of
from polypda.phantom.optics import assemble, expose, paint
from polypda.phantom.scene import Scene, draw_scene, spread
from polypda.phantom.shading import shade

RENDERER_VERSION = 2
"""Raised whenever the same seed and look would give other pixels."""
FRAME_INTERVAL_S = 0.4

Pixels = NDArray[np.uint8]


@dataclass(frozen=True)
class Position:
    """Where a frame stands in its cohort: sequence index, index in the sequence, and seconds from its start."""

    sequence: int
    within: int
    t_s: float


def position_of(look: PhantomLook, index: int) -> Position:
    """Where frame ``index`` (from 0) of a cohort stands."""
    sequence, within = divmod(index, look.frames_per_sequence)
    return Position(sequence, within, within * FRAME_INTERVAL_S)


def cohort_seed(cohort: str, seed: int) -> int:
    """The seed of one cohort's frames: cohorts of the same seed must not show the same scenes in another light."""
    return int.from_bytes(hashlib.sha256(f"{cohort}\n{seed}".encode()).digest()[:6], "big")


def render_frame(look: PhantomLook, *, seed: int, index: int) -> tuple[NDArray[np.uint8], NDArray[np.uint8]]:
    """Render one frame.

    seed: non-negative; for a cohort's own frames :func:`cohort_seed`. index: of the frame, from 0; neighbours share a
    scene (see ``frames_per_sequence``).

    Returns: image uint8 H×W×3 RGB (before JPEG) and mask uint8 H×W, 255 on the polyps' visible silhouette, else 0.
        With interlacing the mask belongs to the first field.
    """
    location = position_of(look, index)
    scene = _scene(look.model_dump_json(), seed, location.sequence)
    canvas = canvas_of(scene.size, look.field_of_view)
    rng = np.random.default_rng([seed, 15485863, index])
    moment = (location.within + 0.5) / look.frames_per_sequence - 0.5
    coarse = shade(look, scene, canvas, scene.pose(moment))
    image, mask = paint(look, scene, canvas, coarse)
    image = expose(look, scene, canvas, image, rng)
    return assemble(look, canvas, scene, image, mask, 60.0 * location.sequence + location.t_s)


@lru_cache(maxsize=4)
def _scene(look_json: str, seed: int, sequence: int) -> Scene:
    return draw_scene(PhantomLook.model_validate_json(look_json), seed, sequence)


def video_moments(look: PhantomLook, *, seed: int, moments: int, scene: int = 0) -> Iterator[Pixels]:
    """A scene at evenly spaced moments, each a whole progressive image; the fewer, the faster the scope moves.

    Returns: uint8 H×W×3, RGB, ``moments`` times.
    """
    moving = look.model_copy(update={"interlaced": False, "frames_per_sequence": moments})
    for moment in range(moments):
        yield render_frame(moving, seed=seed, index=scene * moments + moment)[0]


def woven(moments: Iterator[Pixels], *, top_first: bool = True) -> Iterator[Pixels]:
    """Interlaced frames of a progressive video: each takes one field of a moment, the other of the next.

    moments: twice as many as frames come out (a last odd one is left over). top_first: whether the even lines (0, 2…)
    are the earlier ones, as PAL has them.
    """
    for first in moments:
        second = next(moments, None)
        if second is None:
            return
        frame = first.copy()
        late = 1 if top_first else 0
        frame[late::2] = second[late::2]
        yield frame


MARKER = "PHANTOM.json"
NOTICE = (
    "Synthetic frames rendered by polypda. Not clinical evidence: no figure made from them says anything of patients."
)


def render_cohort(manifest: Manifest, *, frames: int, out: Path, seed: int = 0, test_frames: int = 0) -> Path:
    """Render a cohort's phantom into ``out/<id>``, whole or not at all, and return that folder.

    The identical phantom, if already there, is returned at once. frames: at least 1; the first ones do not depend on
    how many follow. out: a data root; made if absent. seed: non-negative. test_frames: so many more, of further
    patients, all of them held out.

    Raises: UsageError E_PHANTOM_FRAMES, E_PHANTOM_SEED; DataError E_PHANTOM_LOOK, E_PHANTOM_EXISTS, E_PHANTOM_WRITE.
    """
    if (before := rendered_before(manifest, frames, out, seed, test_frames)) is not None:
        return before
    look = _checked_look(manifest, frames, seed)
    folder = out / manifest.id
    marker = _marker(manifest.id, look, frames, seed, test_frames)
    try:
        with whole_folder(folder) as unfinished:
            _write_frames(manifest.id, look, frames, seed, unfinished, test_frames)
            (unfinished / MARKER).write_text(json.dumps(marker, indent=2, sort_keys=True) + "\n", encoding="utf-8")
    except OSError as error:
        if folder.exists():  # another process was quicker
            return _identical_or_refuse(folder, marker)
        raise DataError(
            "E_PHANTOM_WRITE",
            f"{error.strerror or error}; nothing half-written was left.",
            where=folder,
            fix="free space, or choose an --out folder that you may write to.",
        ) from error
    return folder


def rendered_before(manifest: Manifest, frames: int, out: Path, seed: int, test_frames: int = 0) -> Path | None:
    """The folder that :func:`render_cohort` would return at once, or None; nothing is rendered.

    Raises: UsageError E_PHANTOM_FRAMES, E_PHANTOM_SEED; DataError E_PHANTOM_LOOK, E_PHANTOM_EXISTS.
    """
    look = _checked_look(manifest, frames, seed)
    folder = out / manifest.id
    marker = _marker(manifest.id, look, frames, seed, test_frames)
    return _identical_or_refuse(folder, marker) if folder.exists() else None


def group_of(seed: int, sequence: int) -> tuple[int, int]:
    """(patient index, sequence index): patients have one to three sequences, whatever the number of frames."""
    patient, first = 0, 0
    while True:
        sequences = 1 + int(3 * spread(seed, "patient", patient) ** 2)
        if sequence < first + sequences:
            return patient, sequence
        patient, first = patient + 1, first + sequences


def _checked_look(manifest: Manifest, frames: int, seed: int) -> PhantomLook:
    if frames < 1:
        raise UsageError("E_PHANTOM_FRAMES", f"{frames} frames were asked for.", fix="ask for at least 1.")
    if seed < 0:
        raise UsageError("E_PHANTOM_SEED", f"the seed is {seed}.", fix="take a whole number from 0 on.")
    if manifest.phantom is None:
        raise DataError(
            "E_PHANTOM_LOOK",
            "this cohort's manifest has no `phantom` look, so it is not known how to render it.",
            where=manifest.id,
            fix="add a `phantom:` block to its manifest.",
        )
    return manifest.phantom


def _marker(cohort: str, look: PhantomLook, frames: int, seed: int, test_frames: int) -> dict[str, str | int]:
    held_out = {"test_frames": test_frames} if test_frames else {}
    return {
        "notice": NOTICE,
        "cohort": cohort,
        "frames": frames,
        "seed": seed,
        "renderer_version": RENDERER_VERSION,
        "look_sha256": look.digest(),
        **held_out,
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


def _write_frames(cohort: str, look: PhantomLook, frames: int, seed: int, folder: Path, test_frames: int) -> None:
    (folder / "images").mkdir()
    (folder / "masks").mkdir()
    suffix, options = ".png", [cv2.IMWRITE_PNG_COMPRESSION, 1]
    if look.jpeg_quality is not None:
        suffix, options = ".jpg", [cv2.IMWRITE_JPEG_QUALITY, look.jpeg_quality]
    frame_seed = cohort_seed(cohort, seed)
    rows = []

    def patient_of(index: int) -> int:
        return group_of(frame_seed, position_of(look, index).sequence)[0]

    last = patient_of(frames - 1)
    further = islice((index for index in count(frames) if patient_of(index) > last), test_frames)
    for index in chain(range(frames), further):
        image, mask = render_frame(look, seed=frame_seed, index=index)
        position = position_of(look, index)
        patient, sequence = group_of(frame_seed, position.sequence)
        name = f"{cohort}-{index:05d}"
        _write_image(folder / "images" / f"{name}{suffix}", cv2.cvtColor(image, cv2.COLOR_RGB2BGR), options)
        _write_image(folder / "masks" / f"{name}.png", mask, [cv2.IMWRITE_PNG_COMPRESSION, 1])
        state = LabelState.MASK if mask.any() else LabelState.NEGATIVE
        split = Split.TEST if index >= frames else None
        rows.append(FrameRow(name, f"p{patient:04d}", f"s{sequence:04d}", position.t_s, split, state))
    (folder / FRAMES_CSV).write_text(frames_csv(rows), encoding="utf-8")


def _write_image(path: Path, pixels: NDArray, options: list[int]) -> None:
    # Encoded in memory and written by Python: non-ASCII paths work, and a full disk is an error instead of silence.
    encoded, data = cv2.imencode(path.suffix, pixels, options)
    if not encoded:
        raise OSError(f"{path.name} could not be encoded")
    path.write_bytes(np.asarray(data).tobytes())
