"""How a segmenter is asked for one frame: at several input sizes, mirrored as well; from which peak a region counts."""

from __future__ import annotations

import re
from typing import Any

from pydantic import BaseModel, ConfigDict, Field, field_validator, model_validator

from polypda.errors import UsageError, nearest

MOST_SCALES = 16
THRESHOLD = 0.5
"""From this probability on a pixel is polyp."""


class Inference(BaseModel):
    """The protocol of asking, the same for every model of a table.

    scales: input sizes relative to the training's; a larger one shows small polyps. flips: ask for the mirrored frame
    as well, at every scale. peak: a region above the threshold (0.5) counts where a pixel of it exceeds this
    (hysteresis thresholding, Canny, PAMI 1986); at 0.5 every region does.

    A text is read as well: ``"scales=1,1.5,2,flips=yes,peak=0.9"``, any part may be left out. Raises: UsageError
    E_INFERENCE.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    scales: tuple[float, ...] = Field(default=(1.0,), description="input sizes relative to the training size")
    flips: bool = Field(default=False, description="average with the answer to the mirrored frame")
    peak: float = Field(
        default=THRESHOLD, ge=THRESHOLD, lt=1, description="a region counts where a pixel of it exceeds this"
    )

    @model_validator(mode="before")
    @classmethod
    def _read(cls, given: Any) -> Any:
        if not isinstance(given, str):
            return given
        values = _parsed(given)
        try:
            cls.model_validate(values)
        except ValueError as error:
            raise _refused(f"'{given}' cannot be understood") from error
        return values

    @field_validator("scales")
    @classmethod
    def _sorted_scales(cls, scales: tuple[float, ...]) -> tuple[float, ...]:
        if not 0 < len(scales) <= MOST_SCALES or not all(0.25 <= scale <= 4 for scale in scales):
            raise ValueError(f"give 1 to {MOST_SCALES} scales between 0.25 and 4")
        return tuple(sorted(set(scales)))

    def sizes(self, size: int, stride: int) -> tuple[int, ...]:
        """Input sides in px for a training size, each divisible by the network's stride, smallest first."""
        return tuple(dict.fromkeys(max(stride, round(scale * size / stride) * stride) for scale in self.scales))

    @property
    def words(self) -> str:
        """For tables: ``one scale``, ``mean of scales 1, 2, each mirrored as well; regions with a peak above 0.9``."""
        peak = f"; regions with a peak above {self.peak:g}" if self.peak > THRESHOLD else ""
        if len(self.scales) == 1 and self.scales[0] == 1:
            return ("one scale, mirrored as well" if self.flips else "one scale") + peak
        scales = ", ".join(f"{scale:g}" for scale in self.scales)
        return f"mean of scales {scales}{', each mirrored as well' if self.flips else ''}{peak}"

    def key(self) -> str:
        """For names of what was computed with it."""
        peak = f"p{self.peak:g}" if self.peak > THRESHOLD else ""
        return "x".join(f"{scale:g}" for scale in self.scales) + ("f" if self.flips else "") + peak


def _parsed(text: str) -> dict[str, object]:
    values: dict[str, object] = {}
    for part in re.split(r",(?=\s*[a-z]+=)", text):
        name, equals, value = part.strip().partition("=")
        if not equals or name not in Inference.model_fields:
            raise _refused(f"'{part}' is not scales=…, flips=… or peak=….{nearest(name, Inference.model_fields)}")
        values[name] = value.split(",") if name == "scales" else value
    return values


def _refused(what: str) -> UsageError:
    fix = "e.g. --inference scales=1,1.5,2,flips=yes,peak=0.9 (scales from 0.25 to 4, peak from 0.5 to below 1)."
    return UsageError("E_INFERENCE", what, fix=fix)
