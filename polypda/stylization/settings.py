"""Settings of the appearance adaptation; every one of them is part of the name of what is cached."""

from __future__ import annotations

from enum import StrEnum

from pydantic import BaseModel, ConfigDict, Field, field_validator


class Start(StrEnum):
    """What the optimisation of an image begins with."""

    SOURCE = "source"  # the frame itself: keeps the detail that noise loses
    NOISE = "noise"  # white noise, as published


class Normalisation(StrEnum):
    """The units of both distances.

    RELATIVE: per layer the squared distance over the squared norm of what is to be reached, Grams averaged over the
    positions. Free of the network's scale and of the image's size.
    PUBLISHED: plain squared distances, Grams summed over the positions. α then belongs to the published frames of
    1914×1052 px and is multiplied by (1914·1052 / pixels)² here, since squared Gram sums grow so.
    """

    RELATIVE = "relative"
    PUBLISHED = "published"


class StepNorm(StrEnum):
    """What the gradient is divided by."""

    MEAN = "mean"  # mean |g| over the values that may move: the rate is then in grey levels per value
    L1 = "l1"  # Σ|g|, the formula taken literally: at 256² no value ever moves by more than 0.03 grey levels


class StylizationSettings(BaseModel):
    """Published: start noise, normalisation published, α 1e-14, 1000 steps, rate 10; layer weights are not given."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    aan_start: Start = Field(Start.SOURCE, description="what each image starts from: source or noise")
    aan_normalisation: Normalisation = Field(Normalisation.RELATIVE, description="units: relative or published")
    aan_step_norm: StepNorm = Field(StepNorm.MEAN, description="the gradient is divided by its mean or its l1 norm")
    aan_alpha: float = Field(1.0, ge=0, description="weight of the style (mean Gram) against the content")
    aan_steps: int = Field(100, ge=1, description="steps of the optimisation (published: 1000)")
    aan_rate: float = Field(4.0, gt=0, description="first step in grey levels of 255, falling to 0 (published: 10)")
    aan_content_weights: tuple[float, ...] = Field((), description="per encoder map, finest first; empty: all 1")
    aan_style_weights: tuple[float, ...] = Field((), description="per encoder map, finest first; empty: all 1")
    aan_smooth: bool | None = Field(
        None, description="smooth the gradient (not in the paper), against chequered texture; None: if not from noise"
    )
    aan_target_frames: int | None = Field(
        None, ge=1, description="mean Gram over this many evenly spaced target frames; None: over all"
    )

    @property
    def smooths(self) -> bool:
        """Whether the gradient is smoothed. Noise could not be taken back where its gradient is smoothed away."""
        return self.aan_start is Start.SOURCE if self.aan_smooth is None else self.aan_smooth

    @field_validator("aan_content_weights", "aan_style_weights", mode="before")
    @classmethod
    def _listed(cls, value: object) -> object:
        return tuple(part for part in value.split(",") if part.strip()) if isinstance(value, str) else value

    @field_validator("aan_content_weights", "aan_style_weights")
    @classmethod
    def _not_negative(cls, weights: tuple[float, ...]) -> tuple[float, ...]:
        if any(weight < 0 for weight in weights):
            raise ValueError("a weight is negative")
        return weights


def stylization_settings(options: StylizationSettings) -> StylizationSettings:
    """Only the stylization's part of a method's options, so that nothing else decides what is cached."""
    return StylizationSettings(**{name: getattr(options, name) for name in StylizationSettings.model_fields})


PUBLISHED = StylizationSettings.model_validate(
    {
        "aan_start": Start.NOISE,
        "aan_normalisation": Normalisation.PUBLISHED,
        "aan_alpha": 1e-14,
        "aan_steps": 1000,
        "aan_rate": 10.0,
    }
)
"""FCAN's own settings, with the mean norm without which noise could not become an image."""
