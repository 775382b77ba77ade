"""Whether what is held out is independent of what is learnt: refused where it is not, unless the user allows it.

A stamp says so on every report that is made of a run with such leave.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Sequence
from itertools import combinations
from pathlib import Path

from polypda.cache import FINGERPRINTS
from polypda.cohorts.catalogue import shared_frames
from polypda.cohorts.frames import Frame, OpenedCohort, Split
from polypda.cohorts.pairs import shared_ancestry
from polypda.cohorts.splits import require_no_leak
from polypda.errors import LeakageError
from polypda.files import write_json
from polypda.quality.fingerprints import cached_fingerprints
from polypda.quality.near_duplicates import AlikePair, Mirroring, find_alike

FILE_NAME = "leakage.json"
MOST_NAMED = 3


def leaks_among(cohorts: Sequence[OpenedCohort], cache: Path) -> tuple[LeakageError, ...]:
    """Every way in which held-out frames of a cohort, or of two, depend on others. Opens images, never a mask.

    A patient or sequence in two parts; nearly the same picture in two parts of a cohort, or in the held-out part of
    one and another part of the other; shared ancestry.
    """
    found = []
    for one, other in combinations([cohort.id for cohort in cohorts], 2):
        if shared_frames(one, other) is not None:
            found.append(shared_ancestry(one, other))
    for cohort in cohorts:
        try:
            require_no_leak(cohort.frames)
        except LeakageError as leak:
            found.append(leak)
    frames = tuple(frame for cohort in cohorts for frame in cohort.frames)
    leaking = [pair for pair in _copies(frames, cache) if _parts_leak(frames[pair.first], frames[pair.second])]
    return (*found, *([alike_error(frames, leaking)] if leaking else []))


def leaks_into(scored: Sequence[Frame], learnt: Sequence[Frame], cache: Path) -> tuple[LeakageError, ...]:
    """Scored frames that show nearly the same picture as another frame that a model learnt from."""
    known = {(frame.cohort, frame.frame) for frame in learnt}
    fresh = [frame for frame in scored if (frame.cohort, frame.frame) not in known]
    frames = (*learnt, *fresh)
    leaking = [pair for pair in _copies(frames, cache) if pair.first < len(learnt) <= pair.second]
    return (alike_error(frames, leaking),) if leaking else ()


def require_allowed(leaks: Sequence[LeakageError], *, allowed: bool) -> tuple[str, ...]:
    """What the leaks are, in words, where they are allowed. Raises: the first of them where they are not."""
    if leaks and not allowed:
        raise leaks[0]
    return tuple(f"{leak.where}: {leak.what}" if leak.where else leak.what for leak in leaks)


def alike_error(frames: Sequence[Frame], pairs: Sequence[AlikePair]) -> LeakageError:
    """The error for frames of two parts that show nearly the same picture."""
    named = "; ".join(_told(frames, pair) for pair in pairs[:MOST_NAMED])
    more = f"; and {len(pairs) - MOST_NAMED} more" if len(pairs) > MOST_NAMED else ""
    one = len(pairs) == 1
    cohorts = list(dict.fromkeys(frames[index].cohort for pair in pairs for index in (pair.first, pair.second)))
    return LeakageError(
        "E_ALIKE_LEAK",
        f"{len(pairs)} pair{'' if one else 's'} of nearly the same picture {'lies' if one else 'lie'} in parts that "
        f"must be independent: {named}{more}.",
        where=", ".join(cohorts),
        fix=f"look at them: `polypda cohorts check {' '.join(cohorts)} --out DIR`. Then name each pair as one sequence "
        "(frames.csv, or scenes in the manifest), leave one frame out, or give --allow-leakage, which every report "
        "will say.",
    )


def record_leakage(folder: Path, leakage: Iterable[str]) -> None:
    """Write beside a run what leaks it was allowed. Raises: DataError E_WRITE_FAILED."""
    write_json(folder / FILE_NAME, list(leakage))


def recorded_leakage(folder: Path) -> tuple[str, ...]:
    """What :func:`record_leakage` wrote; nothing where it wrote nothing."""
    path = folder / FILE_NAME
    return tuple(json.loads(path.read_text(encoding="utf-8"))) if path.is_file() else ()


def _copies(frames: Sequence[Frame], cache: Path) -> tuple[AlikePair, ...]:
    prints = cached_fingerprints(frames, cache / FINGERPRINTS.name)
    groups = [(f.cohort, f.cluster, f.split) if f.cluster is not None else None for f in frames]
    return find_alike(prints, groups).copies


def _parts_leak(one: Frame, other: Frame) -> bool:
    if one.cohort == other.cohort:
        return one.split is not other.split
    return (one.split is Split.TEST) is not (other.split is Split.TEST)


def _told(frames: Sequence[Frame], pair: AlikePair) -> str:
    one, other = frames[pair.first], frames[pair.second]
    turned = "" if pair.mirroring is Mirroring.NONE else f", {pair.mirroring}"
    return f"{one.cohort}/{one.frame} ({one.split}) ≈ {other.cohort}/{other.frame} ({other.split}{turned})"
