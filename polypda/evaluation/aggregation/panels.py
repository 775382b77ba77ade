"""Cases as arrays: one model in one cohort, every training on the same frames in the same order.

The cases are sorted once; each panel is a block of them, so no step works frame by frame. Nothing is copied but the
columns that are asked for.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from typing import NamedTuple

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from polypda.errors import DataError

FloatArray = NDArray[np.float64]
GROUP = ["source", "target", "role", "cohort", "split", "model"]
FRAME_FACTS = (
    *("frame", "patient", "sequence", "cluster", "phantom", "annotation", "positive", "negative"),
    *("relative_polyp_area", "lesions_reference", "lesion_specks_reference"),
)
"""What is known of a frame whoever predicted it."""
CONTROL = "control"
"""Column of joined cases: the source-only training that an adapted row is compared with, "" where there is none."""


class GroupKey(NamedTuple):
    """Whose figures, and where: a model of the adaptation source → target, scored on a part of a cohort."""

    source: str
    target: str
    role: str
    cohort: str
    split: str
    model: str


@dataclass(frozen=True, eq=False)
class SortedColumns:
    """Columns of cases in another order of rows, each made when it is first asked for: most never are, and a sorted
    table of a million cases would take as much memory as the cases."""

    cases: pd.DataFrame = field(repr=False)
    order: NDArray[np.int64] = field(repr=False)
    _known: dict[str, FloatArray] = field(default_factory=dict, repr=False)

    def numbers(self, column: str) -> FloatArray:
        """A numeric column, float64; absent values are NaN."""
        if column not in self._known:
            self._known[column] = self.cases[column].to_numpy(dtype=np.float64, na_value=np.nan)[self.order]
        return self._known[column]

    def rows(self, places: slice | NDArray[np.int64], columns: Sequence[str]) -> pd.DataFrame:
        """Some rows of the sorted table, with those of these columns that there are."""
        known = [name for name in columns if name in self.cases]
        return self.cases[known].iloc[self.order[places]].reset_index(drop=True)


@dataclass(frozen=True, eq=False)
class Panel:
    """T trainings of one model on the same N frames.

    frames: N rows, in order of their ids: the group's columns and FRAME_FACTS (those that the cases hold). trainings,
    seeds, controls: one per training, in order of their identities.
    """

    key: GroupKey
    frames: pd.DataFrame = field(repr=False)
    trainings: tuple[str, ...]
    seeds: tuple[int, ...]
    controls: tuple[str, ...]
    _columns: SortedColumns = field(repr=False)
    _rows: slice = field(repr=False)
    """Of the sorted cases; those of a training lie together."""
    _blocks: NDArray[np.int64] = field(repr=False)
    """Which N-row block of them belongs to each training."""

    def values(self, column: str) -> FloatArray:
        """A numeric column as float64 [T, N]; absent values are NaN."""
        return self._columns.numbers(column)[self._rows].reshape(-1, len(self.frames))[self._blocks]

    def holds(self, column: str) -> bool:
        """Whether the cases have this column."""
        return column in self._columns.cases

    def mean_values(self, column: str) -> FloatArray:
        """Per frame the mean over the trainings, float64 [N]."""
        return self.values(column).mean(axis=0)

    def mask(self, column: str) -> NDArray[np.bool_]:
        """A yes/no fact of the frames (positive, negative …), bool [N]."""
        return self.frames[column].to_numpy(dtype=bool)

    def with_trainings(self, wanted: Sequence[str]) -> Panel:
        """The same frames with these of the panel's trainings, in this order; one may come several times."""
        indices = [self.trainings.index(training) for training in wanted]
        return replace(
            self,
            trainings=tuple(wanted),
            seeds=tuple(self.seeds[index] for index in indices),
            controls=tuple(self.controls[index] for index in indices),
            _blocks=self._blocks[indices],
        )

    @property
    def annotation(self) -> str:
        """ "mask", "box" or "mixed"."""
        kinds = set(self.frames["annotation"])
        return kinds.pop() if len(kinds) == 1 else "mixed"

    @property
    def phantom(self) -> bool:
        """Whether any frame is rendered."""
        return bool(self.frames["phantom"].any())

    @property
    def n_seeds(self) -> int:
        """Distinct seeds: two controls of one seed count once."""
        return len(set(self.seeds))

    def seed_means(self, per_training: FloatArray) -> FloatArray:
        """Values [T] of the trainings as means per seed, in order of seed."""
        seeds, codes = np.unique(np.asarray(self.seeds), return_inverse=True)
        sums = np.bincount(codes, weights=np.asarray(per_training, dtype=np.float64), minlength=len(seeds))
        return sums / np.bincount(codes)


def panels(cases: pd.DataFrame) -> list[Panel]:
    """Split checked cases into panels, in the order in which their groups first appear.

    A training that appears several times in a group (a control shared by runs) counts once.

    Raises: DataError E_CASES_FRAMES_DIFFER when the trainings of a group were not scored on the same frames.
    """
    codes = cases.groupby(GROUP, sort=False).ngroup().to_numpy()
    frame_codes = pd.factorize(cases["frame"], sort=True)[0]
    training_codes = pd.factorize(cases["training"], sort=True)[0]
    order = np.lexsort((frame_codes, training_codes, codes))
    same = [code[order][1:] == code[order][:-1] for code in (codes, training_codes, frame_codes)]
    first = np.concatenate([[True], ~np.logical_and.reduce(same)])
    order = order[first]
    columns = SortedColumns(cases, order)
    starts = np.flatnonzero(np.diff(codes[order], prepend=-1))
    ends = [*starts[1:], len(order)]
    training_codes, frame_codes = training_codes[order], frame_codes[order]
    return [
        _panel(columns, slice(a, b), training_codes[a:b], frame_codes[a:b]) for a, b in zip(starts, ends, strict=True)
    ]


def _panel(
    columns: SortedColumns, rows: slice, training_codes: NDArray[np.int64], frame_codes: NDArray[np.int64]
) -> Panel:
    firsts = np.flatnonzero(np.diff(training_codes, prepend=-1))
    count = len(training_codes)
    n = count // len(firsts)
    heads = columns.rows(rows.start + firsts, [*GROUP, "training", "seed", CONTROL])
    key = GroupKey(**{name: str(heads[name].iloc[0]) for name in GROUP})
    complete = count == n * len(firsts) and bool((firsts == n * np.arange(len(firsts))).all())
    if not complete or (frame_codes.reshape(len(firsts), n) != frame_codes[:n]).any():
        counts = columns.rows(rows, ["frame"])["frame"].value_counts()
        differing = list(counts.index[counts != len(firsts)])
        raise frames_differ(f"the {len(firsts)} trainings of {key.model} on {key.cohort}", differing)
    controls = heads[CONTROL] if CONTROL in heads else [""] * len(firsts)
    return Panel(
        key=key,
        frames=columns.rows(slice(rows.start, rows.start + n), [*GROUP, *FRAME_FACTS]),
        trainings=tuple(map(str, heads["training"])),
        seeds=tuple(map(int, heads["seed"])),
        controls=tuple(map(str, controls)),
        _columns=columns,
        _rows=rows,
        _blocks=np.arange(len(firsts)),
    )


def frames_differ(who: str, frames: Sequence[str]) -> DataError:
    """The error for scorings that do not cover the same frames; names a few of them."""
    names = sorted(set(frames))
    more = "" if len(names) <= 5 else f" and {len(names) - 5} more"
    return DataError(
        "E_CASES_FRAMES_DIFFER",
        f"{who} were not scored on the same frames: {len(names)} differ ({', '.join(names[:5])}{more}).",
        where="cases",
        fix="evaluate all models of the comparison on the same split again.",
    )
