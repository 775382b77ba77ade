"""Everything a run is decided by, validated, written beside its checkpoints."""

from __future__ import annotations

from enum import StrEnum
from typing import Any

import torch
from pydantic import BaseModel, ConfigDict, Field, field_validator, model_validator

from polypda.data.augmentation import AugmentationKind
from polypda.data.cache import NetworkGrid
from polypda.data.geometry import Fit
from polypda.data.inference import Inference
from polypda.data.labels import BoxSupervision
from polypda.errors import nearest
from polypda.networks.averaged_prediction import Asked
from polypda.networks.batch_norm import BatchNormPolicy
from polypda.networks.registry import SegmenterSpec
from polypda.training.criteria import CRITERIA, LAST


class FinalStatistics(StrEnum):
    """Batch-norm statistics that the adapted model is used with."""

    TRAINED = "trained"  # those of its training, a mixture of both cohorts unless they were frozen
    TARGET = "target"  # recomputed on the target's unlabelled training frames; compare such a model with `adabn`


class Precision(StrEnum):
    """Numbers the networks compute with."""

    FP32 = "32-true"
    FP64 = "64-true"
    BF16 = "bf16-mixed"


class Compute(BaseModel):
    """Where and how fast.

    Several processes share each batch and average their gradients. That is the joint batch's step where each process
    counts as many pixels; else (frames of unequal field of view, soft Dice) it is the mean of their means. Batch-norm
    statistics that move are those of the first process.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    device: str = Field(default="auto", description="auto, cpu, cuda or mps")
    processes: int = Field(default=1, ge=1, description="processes that share each batch")
    threads: int = Field(default=0, ge=0, description="CPU threads per process; 0 leaves torch's choice")
    workers: int = Field(default=0, ge=0, description="data-loader processes")
    precision: Precision = Precision.FP32


class DataConfig(BaseModel):
    """How frames become batches."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    size: int = Field(default=192, ge=32, description="network input, pixels per side")
    fit: Fit = Fit.RESIZE
    crop_to_field_of_view: bool = True
    batch_size: int = Field(default=4, ge=1, description="frames per domain and step")
    augmentation: AugmentationKind = AugmentationKind.STANDARD
    prevalence: float | None = Field(None, ge=0, le=1, description="share of polyp frames per source batch")
    box_supervision: BoxSupervision | None = Field(None, description="how source frames with boxes teach; None: not")

    @property
    def grid(self) -> NetworkGrid:
        return NetworkGrid(self.size, self.fit, self.crop_to_field_of_view)


class StageConfig(BaseModel):
    """One training: a method, its options, its budget."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    method: str
    options: dict[str, Any] = Field(default_factory=dict)
    steps: int = Field(..., ge=0)
    batch_norm: BatchNormPolicy = BatchNormPolicy.TRAIN
    settle_statistics: bool = Field(
        False, description="at the end, recompute batch-norm statistics on the labelled training frames"
    )
    clip_norm: float | None = Field(None, gt=0)
    checkpoint_every: int = Field(50, ge=1)
    snapshots: bool = Field(False, description="keep the segmenter of every checkpoint, for the selector")


class AdaptConfig(BaseModel):
    """A whole adaptation: the source-only start, the method beside its equal-budget control, the choice, the proof."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    source: str
    target: str
    method: str = "adaptsegnet"
    preset: str
    phantom: bool = False
    phantom_frames: int = Field(default=0, ge=0, description="frames rendered per cohort; 0: real frames")
    phantom_seed: int = Field(default=0, ge=0, description="decides the rendered frames; the seed decides the training")
    seed: int = Field(default=0, ge=0)
    network: SegmenterSpec = Field(..., description="always without weights: those are in initial.safetensors")
    encoder_weights: str = Field(
        "none", description="what the encoder started from: none, imagenet, or the name of what was read"
    )
    data: DataConfig
    compute: Compute = Field(default_factory=Compute)
    start_steps: int = Field(..., ge=0, description="steps of the source-only start")
    adapt_steps: int = Field(..., ge=0, description="steps of the method, and of its source-only control")
    supervised: dict[str, Any] = Field(default_factory=dict, description="options of every supervised part")
    start: dict[str, Any] = Field(default_factory=dict, description="options of the start that differ from supervised")
    options: dict[str, Any] = Field(default_factory=dict, description="options of the method")
    inference: Inference = Field(default_factory=Inference, description="how every model is asked, whatever made it")
    batch_norm: BatchNormPolicy = Field(BatchNormPolicy.TRAIN, description="after the start; the control's as well")
    final_statistics: FinalStatistics = FinalStatistics.TRAINED
    settle_statistics: bool = Field(
        True, description="end source-only and oracle trainings by recomputing their batch-norm statistics"
    )
    clip_norm: float | None = Field(None, gt=0)
    checkpoint_every: int = Field(50, ge=1)
    selector: str = Field(LAST, description="how the checkpoint is chosen: a name of CRITERIA")
    parts: bool = Field(False, description="train what the method is a sum of as well, one part added at a time")
    guard: bool = Field(True, description="hand out the source-only control where label-free alarms say so")
    oracle: bool = False
    target_labels: bool = False
    allow_leakage: bool = Field(False, description="held-out frames that depend on others are taken; reports say so")
    start_from: str | None = Field(None, description="name of the run whose source-only start is reused")
    control_from: str | None = Field(None, description="name of the run whose source-only control is reused")
    source_package: str | None = Field(None, description="name of the source package in place of source frames")
    oracle_from: str | None = Field(None, description="name of the run whose source-only model is the oracle here")

    def asked(self, device: torch.device) -> Asked:
        """How the run's models are asked for one frame, on a device."""
        return Asked(self.data.grid, self.inference, device)

    @field_validator("selector")
    @classmethod
    def _known_selector(cls, name: str) -> str:
        if name not in CRITERIA:
            raise ValueError(f"there is no such rule;{nearest(name, CRITERIA)} It is one of {', '.join(CRITERIA)}")
        return name

    @model_validator(mode="after")
    def _processes_share_batches_evenly(self) -> AdaptConfig:
        if self.data.batch_size % self.compute.processes:
            raise ValueError(
                f"a batch of {self.data.batch_size} is not shared evenly by {self.compute.processes} processes"
            )
        return self
