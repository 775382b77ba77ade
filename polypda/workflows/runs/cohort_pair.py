"""The two cohorts of an adaptation, opened through the label firewall and checked before anything is trained."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from hashlib import sha256
from pathlib import Path

from polypda.cache import Store, trim
from polypda.cohorts.catalogue import manifest
from polypda.cohorts.frames import OpenedCohort, Split
from polypda.cohorts.manifest import Manifest
from polypda.cohorts.opening import open_cohort
from polypda.cohorts.pairs import check_pair
from polypda.cohorts.splits import require_split
from polypda.cohorts.sub_cohorts import require_shared_units, whole_cohort
from polypda.data.labels import BoxSupervision
from polypda.errors import DataError
from polypda.phantom import PhantomLook, render_cohort, rendered_before
from polypda.phantom.renderer import RENDERER_VERSION
from polypda.processes import WorkerPool
from polypda.training.config import AdaptConfig
from polypda.workflows.runs.paths import Paths
from polypda.workflows.runs.source_labels import require_teaching

TRAINING_FRAMES_PER_SEQUENCE = 1


@dataclass(frozen=True)
class CohortPair:
    """source: opened with labels; None where a source package stands for it. target: opened without labels; nothing in
    it leads to a mask. target_root: its data root.

    leakage: what leaks between parts the user allows, in words; None where leave was not given.
    """

    source: OpenedCohort | None
    target: OpenedCohort
    target_root: Path
    leakage: tuple[str, ...] | None = None

    def labelled_target(self) -> OpenedCohort:
        """The target with its labels: for the final evaluation, and for the oracle where the user permits it."""
        allowed = self.leakage is not None
        return open_cohort(self.target.id, self.target_root, labels=True, allow_leakage=allowed)

    @property
    def here(self) -> tuple[OpenedCohort, ...]:
        """The cohorts whose frames are here, the source first."""
        return (self.target,) if self.source is None else (self.source, self.target)

    @property
    def phantom(self) -> bool:
        return any(cohort.phantom for cohort in self.here)


def open_pair(
    source: str,
    target: str,
    roots: Mapping[str, Path],
    boxes: BoxSupervision | None = None,
    *,
    allow_leakage: bool = False,
) -> CohortPair:
    """Open both cohorts and check that each part that will be needed holds frames.

    Args: roots: the data root of each of the two; without the source's it is not opened (a source package stands for
        it). boxes: how source frames with boxes teach.

    Raises: DataError E_NO_LABELS, E_NO_POLYP, E_BOX_SUPERVISION, E_SPLIT_EMPTY, E_PHANTOM_MIXED; LeakageError
        E_MODE_UNITS; whatever opening and reading masks up to the first polyp raise.
    """
    check_pair(source, target, allow_leakage=allow_leakage)
    teacher = open_cohort(source, roots[source], labels=True, allow_leakage=allow_leakage) if source in roots else None
    learner = open_cohort(target, roots[target], labels=False, allow_leakage=allow_leakage)
    if teacher is not None and teacher.phantom != learner.phantom:
        rendered, real = (source, target) if teacher.phantom else (target, source)
        raise DataError(
            "E_PHANTOM_MIXED",
            f"'{rendered}' is rendered and '{real}' is not: what comes of both is no clinical evidence, but half of it "
            "would look like some.",
            fix="render both with --phantom, or take real frames of both.",
        )
    pair = CohortPair(teacher, learner, roots[target], () if allow_leakage else None)
    if teacher is not None:
        require_shared_units(teacher, learner)
    require_polyps(learner)
    if teacher is not None:
        require_teaching(teacher, Split.TRAIN, boxes)
    for cohort in pair.here:
        for part in (Split.TRAIN, Split.TEST):
            require_split(cohort, part)
    return pair


def require_polyps(target: OpenedCohort) -> None:
    """Raise DataError E_TARGET_NEGATIVE where the target is declared free of polyps throughout."""
    if target.all_negative:
        raise DataError(
            "E_TARGET_NEGATIVE",
            "every frame is declared free of polyps: aligned to it, a segmenter learns to invent them or to find none.",
            where=target.id,
            fix=f"adapt to a cohort that shows polyps, and score the run on this one: "
            f"`polypda evaluate RUN --on {target.id}:all`.",
        )


def data_roots(cohorts: Sequence[str], config: AdaptConfig, paths: Paths) -> dict[str, Path]:
    """Where each cohort's folder lies: below the data root, or rendered when the run is on phantoms."""
    if config.phantom:
        frames, folder = (config.phantom_frames, config.phantom_test_frames), paths.cache / "phantoms"
        return render_phantoms(cohorts, *frames, config.phantom_seed, folder)
    return dict.fromkeys(cohorts, paths.data_root)


def render_phantoms(cohorts: Sequence[str], frames: int, test_frames: int, seed: int, folder: Path) -> dict[str, Path]:
    """Render cohorts as phantoms (or find them rendered), each of ``frames`` and ``test_frames`` further ones, which
    are held out; returns the data root of each."""
    roots = {cohort: _phantom_root(cohort, frames, test_frames, seed, folder) for cohort in cohorts}
    for root in set(roots.values()):
        Store(folder).find(root.name)  # held, so that no other command makes room there
    rendered = {whole_cohort(cohort): root for cohort, root in roots.items()}  # modes of one cohort are one phantom
    wanted = [(_described(cohort), frames, root, seed, test_frames) for cohort, root in rendered.items()]
    if missing := [one for one in wanted if rendered_before(*one) is None]:
        with WorkerPool(2) as pool:  # one core per cohort
            done = [pool.submit(_render, *one) for one in missing]
            for rendering in done:
                rendering.result()
        for root in set(roots.values()):
            Store(folder).find(root.name)
        trim(folder.parent)
    return roots


def _phantom_root(cohort: str, frames: int, test_frames: int, seed: int, folder: Path) -> Path:
    """Named after what decides its bytes: a later version or look renders beside it, not over it."""
    look = _training_look(manifest(cohort))
    identity = sha256(f"{RENDERER_VERSION} {look.digest() if look else ''}".encode()).hexdigest()
    more = f"+{test_frames}" if test_frames else ""
    return folder / f"{frames}{more}-frames-seed-{seed}-{identity[:12]}"


def _render(described: Manifest, frames: int, root: Path, seed: int, test_frames: int) -> None:
    render_cohort(described, frames=frames, out=root, seed=seed, test_frames=test_frames)


def _described(cohort: str) -> Manifest:
    """A cohort's manifest with the look that its phantom is rendered with."""
    return manifest(cohort).model_copy(update={"phantom": _training_look(manifest(cohort))})


def _training_look(described: Manifest) -> PhantomLook | None:
    """The cohort's look with one frame of a sequence: many scenes teach more than neighbouring frames of few."""
    look = described.phantom
    return look and look.model_copy(update={"frames_per_sequence": TRAINING_FRAMES_PER_SEQUENCE})
