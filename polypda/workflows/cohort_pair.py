"""The two cohorts of an adaptation, opened through the label firewall and checked before anything is trained."""

from __future__ import annotations

from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass
from hashlib import sha256
from multiprocessing import get_context
from pathlib import Path

from polypda.cohorts.catalogue import manifest, shared_frames
from polypda.cohorts.frames import Frame, LabelState, OpenedCohort, Split
from polypda.cohorts.manifest import Manifest
from polypda.cohorts.opening import open_cohort
from polypda.cohorts.phantom import PhantomLook, render_cohort
from polypda.cohorts.phantom.renderer import RENDERER_VERSION
from polypda.cohorts.splits import require_split
from polypda.errors import DataError, LeakageError, UsageError

TRAINING_FRAMES_PER_SEQUENCE = 2


@dataclass(frozen=True)
class CohortPair:
    """source: opened with labels. target: opened without; nothing in it leads to a mask."""

    source: OpenedCohort
    target: OpenedCohort
    root: Path

    def labelled_target(self) -> OpenedCohort:
        """The target with its labels: for the final evaluation, and for the oracle where the user permits it."""
        return open_cohort(self.target.id, self.root, labels=True)

    @property
    def phantom(self) -> bool:
        return self.source.phantom or self.target.phantom


def check_pair(source: str, target: str) -> None:
    """Refuse pairs that cannot mean anything, before any file is read.

    Raises: UsageError E_COHORT_UNKNOWN, E_SAME_COHORT; LeakageError E_SHARED_FRAMES.
    """
    manifest(source), manifest(target)
    if source == target:
        raise UsageError(
            "E_SAME_COHORT",
            f"source and target are both '{source}': there is nothing to adapt to.",
            fix="choose another target; `polypda cohorts list` shows them.",
        )
    overlap = shared_frames(source, target)
    if overlap is not None:
        raise LeakageError(
            "E_SHARED_FRAMES",
            f"'{source}' and '{target}' share frames: a gain between them would be memory, not adaptation.",
            fix="choose cohorts of different origin; `polypda cohorts show` tells the ancestry.",
        )


def open_pair(source: str, target: str, root: Path) -> CohortPair:
    """Open both cohorts and check that each part that will be needed holds frames.

    Raises: DataError E_NO_LABELS, E_SPLIT_EMPTY and whatever opening raises.
    """
    check_pair(source, target)
    pair = CohortPair(open_cohort(source, root, labels=True), open_cohort(target, root, labels=False), root)
    require_labels(pair.source, Split.TRAIN)
    for cohort in (pair.source, pair.target):
        for part in (Split.TRAIN, Split.TEST):
            require_split(cohort, part)
    return pair


def render_pair(source: str, target: str, frames: int, seed: int, folder: Path) -> Path:
    """Render both cohorts as phantoms (or find them rendered); returns their data root."""
    check_pair(source, target)
    looks = [_training_look(manifest(cohort)) for cohort in (source, target)]
    # Named after what decides its bytes: a later version or look renders beside it, not over it.
    identity = sha256(
        " ".join([str(RENDERER_VERSION), *(look.digest() for look in looks if look)]).encode()
    ).hexdigest()
    root = folder / f"{frames}-frames-seed-{seed}-{identity[:12]}"
    # Rendering takes one core per cohort. Spawned, since a fork of a process with torch's threads may hang.
    with ProcessPoolExecutor(2, mp_context=get_context("spawn")) as pool:
        done = [pool.submit(_render, cohort, frames, root, seed) for cohort in (source, target)]
        for rendering in done:
            rendering.result()
    return root


def _render(cohort: str, frames: int, root: Path, seed: int) -> None:
    described = manifest(cohort)
    render_cohort(
        described.model_copy(update={"phantom": _training_look(described)}), frames=frames, out=root, seed=seed
    )


def _training_look(described: Manifest) -> PhantomLook | None:
    """The cohort's look with short sequences: many scenes teach more than many neighbouring frames of few."""
    look = described.phantom
    return look and look.model_copy(update={"frames_per_sequence": TRAINING_FRAMES_PER_SEQUENCE})


def require_labels(cohort: OpenedCohort, part: Split) -> tuple[Frame, ...]:
    """The labelled frames of a part. Raises: DataError E_NO_LABELS when there are none."""
    frames = labelled_frames(cohort, part)
    if not frames:
        raise DataError(
            "E_NO_LABELS",
            f"no frame of the {part.value} part has a label to learn from.",
            where=cohort.id,
            fix="put the masks where the manifest says; `polypda cohorts check` shows what was found.",
        )
    return frames


def labelled_frames(cohort: OpenedCohort, part: Split) -> tuple[Frame, ...]:
    """The frames of a part whose label is known: a mask, or the statement that there is no polyp."""
    return tuple(frame for frame in cohort.split(part) if frame.label_state is not LabelState.NONE)
