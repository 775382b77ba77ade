"""What a training's curves show, in sentences: collapse, a judge that won or never began, a task that was forgotten.

Rules of thumb with stated limits, made without any target label. They say where to look, not what to conclude.
"""

from __future__ import annotations

from collections.abc import Iterator

import pandas as pd

from polypda.training.curves import StageCurves

WON, ABOVE_CHANCE = 0.95, 0.05
"""An accuracy above the first, or less than the second above chance, leaves the alignment little to follow."""
LATE_SHARE = 0.25
COLLAPSED = 0.25
"""Foreground on the target fell below this share of what the start marked."""
FLOODED = 4.0
FROM_NOTHING = 0.01
"""…and above this share it is told, where the start marked nothing to compare with."""
FORGOTTEN = 0.05
"""Source validation Dice lost since the start."""


def curve_findings(curves: StageCurves, snapshots: pd.DataFrame, *, chance: float = 0.5) -> list[str]:
    """Sentences, gravest first; one that says so where nothing was found.

    Args:
        snapshots: as :func:`polypda.training.curves.snapshot_table` makes it; may be empty.
        chance: accuracy of a discriminator that guesses.
    """
    found = [*_collapse(snapshots), *_forgotten(snapshots), *_judges(curves, chance), *_losses(curves)]
    return found or ["No collapse, no runaway loss and no decided discriminator was found by these rules."]


def _collapse(snapshots: pd.DataFrame) -> Iterator[str]:
    if len(snapshots) < 2:
        return
    marked = snapshots["target_foreground"]
    if not marked.iloc[0] > 0:
        if marked.iloc[-1] > FROM_NOTHING:
            yield f"The start marked nothing of the target, the end {marked.iloc[-1]:.1%}: look at what it marks."
        return
    first, last, lowest = marked.iloc[0], marked.iloc[-1], marked.idxmin()
    told = f"of the target's field of view {first:.1%} was marked at the start, {last:.1%} at the end"
    if last < COLLAPSED * first:
        yield f"Mode collapse towards background: {told}."
    elif last > FLOODED * first:
        yield f"Mode collapse towards polyp: {told}."
    elif marked.min() < COLLAPSED * first:
        yield f"Passing collapse at step {lowest} ({marked.min():.1%} marked); {told}."
    half = snapshots[snapshots.index >= snapshots.index.max() / 2]["target_foreground"]
    if len(half) > 1 and half.iloc[-1] < 0.5 * half.max() and last >= COLLAPSED * first:
        yield f"Late decline: the marked share halved between step {half.idxmax()} and the end ({told})."


def _forgotten(snapshots: pd.DataFrame) -> Iterator[str]:
    dice = snapshots["source_dice"].dropna() if len(snapshots) else pd.Series(dtype=float)
    if len(dice) > 1 and dice.iloc[0] - dice.iloc[-1] > FORGOTTEN:
        yield f"The task on the source was partly forgotten: validation Dice {dice.iloc[0]:.3f} → {dice.iloc[-1]:.3f}."


def _judges(curves: StageCurves, chance: float) -> Iterator[str]:
    for name in curves.accuracy.columns:
        judged = curves.accuracy[name].dropna()
        late = judged.iloc[-max(1, round(LATE_SHARE * len(judged))) :].mean()
        if late > WON:
            yield f"{name} won (accuracy {late:.2f} in the last quarter): the domains stayed apart."
        elif late < chance + ABOVE_CHANCE:
            yield (
                f"{name} is near chance (accuracy {late:.2f} in the last quarter, chance {chance:g}): either it was "
                "fooled, or it never learnt to tell the domains apart. See whether it was better before."
            )


def _losses(curves: StageCurves) -> Iterator[str]:
    for player, losses in curves.losses.items():
        for term in [term for term in losses.columns if term.startswith("seg")]:
            values = losses[term].dropna()
            quarter = len(values) // 4
            if quarter < 2:
                continue
            first, last = values.iloc[:quarter].median(), values.iloc[-quarter:].median()
            if last > 2 * first:
                yield f"{player}'s {term} grew from {first:.3g} to {last:.3g} (medians of the first and last quarter)."
