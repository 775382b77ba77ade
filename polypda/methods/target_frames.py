"""What a method that aligns distributions needs of its target, checked before the first step."""

from __future__ import annotations

from polypda.errors import DataError
from polypda.methods.contract import Preparation

LEAST_TARGET_FRAMES = 2


def require_several_target_frames(data: Preparation) -> None:
    """Raise DataError E_TARGET_FRAMES unless there are at least two target frames: one has no distribution."""
    first = next(iter(data.target()), None)
    found = 0 if first is None else len(first.frames)
    if found < LEAST_TARGET_FRAMES:
        raise DataError(
            "E_TARGET_FRAMES",
            f"the target has {found} training frame{'' if found == 1 else 's'}; distributions cannot be aligned to it.",
            fix="give at least two target frames (many more to be of use).",
        )
