"""What may leave a centre whose frames may not: a source-only model, features of its training frames, and the recipe.

Features are no frames, but they are not anonymous either: parts of a picture can be painted back from them. Whoever
hands a package on decides that with the centre.
"""

from __future__ import annotations

import json
from collections.abc import Collection
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from polypda.cohorts.catalogue import manifest_hash
from polypda.cohorts.frames import Split
from polypda.data.cache import FrameCache
from polypda.data.loading import frame_batches
from polypda.errors import DataError, UsageError
from polypda.files import require_writable, write_json
from polypda.integrity import check_folder
from polypda.methods.registry import method_class, method_options, source_free_methods
from polypda.methods.source_features import save_source_features
from polypda.networks.registry import load_segmenter
from polypda.networks.taps import FeatureTap, tap_width
from polypda.networks.weights import save_module
from polypda.reporting.report_folders import new_folder, refuse_existing
from polypda.training.config import AdaptConfig
from polypda.training.criteria import CRITERIA
from polypda.training.progress import Progress
from polypda.training.run_folder import RunFolder
from polypda.training.selectors import foreground_fraction
from polypda.workflows.runs.cohort_pair import data_roots, open_pair
from polypda.workflows.runs.paths import Paths
from polypda.workflows.runs.recorded_data import LEARNT_OF_SOURCE, data_table, require_recorded
from polypda.workflows.runs.reuse import finished_start
from polypda.workflows.runs.source_labels import require_teaching
from polypda.workflows.runs.stages import FEATURES
from polypda.workflows.runs.stylize import device_of
from polypda.workflows.runs.trained_models import RunModels

FACTS, MODEL = "package.json", "start.safetensors"
BATCH = 8
CONTROL_NOTE = (
    "No source frame was at hand: source-only is the model as it came in the source package, not trained on for the "
    "method's budget, and nothing was scored on the source."
)
DECIDED_OPTIONS = {"tap", "source_features"}
"""Options of these methods that the package stands for."""


class PackageFacts(BaseModel):
    """Everything that the other centre needs to know. source_foreground: mean share of polyp pixels, for the selectors'
    area guard. config: the configuration of the run that trained the model."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    format: Literal["polypda-source-package 1"] = "polypda-source-package 1"
    source: str
    source_manifest: str
    frames: Annotated[int, Field(ge=1)]
    tap: FeatureTap
    source_foreground: Annotated[float, Field(ge=0, le=1)]
    config: dict[str, Any]


@dataclass(frozen=True)
class SourcePackage:
    """A package on disk."""

    folder: Path
    facts: PackageFacts
    config: AdaptConfig

    @property
    def name(self) -> str:
        """The folder's own name."""
        return self.folder.resolve().name


def write_source_package(folder: Path, out: Path, tap: FeatureTap, paths: Paths, progress: Progress) -> Path:
    """Pack the source-only start of a run, with features of all its source training frames; returns the folder.

    Raises: UsageError E_FEATURE_TAP; DataError E_RUN_MISSING, E_RUN_INCOMPLETE, E_START_MISSING, E_REPORT_EXISTS,
        E_DATA_CHANGED where the source is not what the run learnt, and what opening the cohorts raises.
    """
    run = RunFolder.open(folder)
    config = run.config()
    refuse_existing(out)
    require_writable(paths.cache)
    segmenter = load_segmenter(config.network, _start(run, config))
    tap_width(segmenter, tap)  # a place that is not there is told before frames are read
    boxes = config.data.box_supervision
    pair = open_pair(
        config.source,
        config.target,
        data_roots((config.source, config.target), config, paths),
        boxes,
        allow_leakage=config.allow_leakage,
    )
    assert pair.source is not None  # its root was given
    source = pair.source
    require_recorded(run, {source.id: data_table(source, LEARNT_OF_SOURCE, boxes)})
    cache = FrameCache(paths.cache / "frames", config.data.grid)
    labelled = cache.labelled(require_teaching(source, Split.TRAIN, boxes), boxes)
    device_of(config.compute)  # the wanted number of threads
    progress.begin("features", 0, len(labelled))

    def batches():
        done = 0
        for batch in frame_batches(labelled, BATCH):
            yield batch
            done += len(batch.frames)
            progress.advance(done)

    try:
        with new_folder(out) as work:
            frames = save_source_features(segmenter, batches(), work / FEATURES, tap)
            save_module(segmenter, work / MODEL)
            facts = PackageFacts(
                source=config.source,
                source_manifest=manifest_hash(config.source),
                frames=frames,
                tap=tap,
                source_foreground=foreground_fraction(labelled),
                config=config.model_dump(mode="json"),
            )
            write_json(work / FACTS, facts.model_dump(mode="json"))
    finally:
        progress.end()
    return out


def read_source_package(folder: Path) -> SourcePackage:
    """Raises: DataError E_SOURCE_PACKAGE where files are missing or of another version, E_FILE_CHANGED."""
    missing = [name for name in (FACTS, MODEL, FEATURES) if not (folder / name).is_file()]
    if missing:
        raise _unusable(folder, f"{', '.join(missing)} missing")
    check_folder(folder, fix="fetch the package again from the centre that wrote it.")
    try:
        facts = PackageFacts.model_validate(json.loads((folder / FACTS).read_text(encoding="utf-8")))
        return SourcePackage(folder, facts, AdaptConfig.model_validate(facts.config))
    except (ValueError, ValidationError) as error:
        raise _unusable(folder, f"{FACTS} does not fit this version ({str(error).splitlines()[0]})") from error


def packaged_facts(run: RunFolder) -> PackageFacts | None:
    """What a run was told of its source by a package; None for one that has source frames."""
    path = run.folder / FACTS
    return PackageFacts.model_validate_json(path.read_text(encoding="utf-8")) if path.is_file() else None


def from_package(config: AdaptConfig, package: SourcePackage, chosen: Collection[str] = ()) -> AdaptConfig:
    """A configuration with what the package decides: source, network and geometry.

    Args: chosen: names of the method options that the user gave.
    Raises: UsageError E_SOURCE_PACKAGE_METHOD, E_TARGET_LABELS, E_OPTION, E_ADDA_OPTION.
    """
    _require_source_free(config, chosen)
    own, grid = package.config, package.config.data.grid
    data = {"size": grid.size, "fit": grid.fit, "crop_to_field_of_view": grid.crop_to_field_of_view}
    options = dict(config.options)
    if method_class(config.method).reads_source_features:
        options["tap"] = package.facts.tap.value
        method_options(config.method, {**config.supervised, **options, "source_features": package.folder / FEATURES})
    return config.model_copy(
        update={
            **dict.fromkeys(("source_package", "start_from", "control_from"), package.name),
            **{name: getattr(own, name) for name in ("source", "network", "encoder_weights", "start_steps", "start")},
            "data": config.data.model_copy(update=data),
            "options": options,
        }
    )


def _require_source_free(config: AdaptConfig, chosen: Collection[str]) -> None:
    """Refuse what needs source frames or target labels, or would be ignored."""
    if not method_class(config.method).source_free:
        raise UsageError(
            "E_SOURCE_PACKAGE_METHOD",
            f"'{config.method}' is none of the methods that adapt from a source package.",
            fix=f"choose one of {', '.join(source_free_methods())}; adabn is made beside each of them.",
        )
    if config.target_labels:
        what = "from a source package nothing is trained or chosen on target labels."
        raise UsageError("E_TARGET_LABELS", what, fix="leave --target-labels out, and --selector oracle with it.")
    if CRITERIA[config.selector].reads_source_labels:
        what = f"the selector '{config.selector}' looks at source frames, which a package does not hold."
        others = [name for name, rule in CRITERIA.items() if not (rule.reads_source_labels or rule.reads_target_labels)]
        raise UsageError("E_OPTION", what, fix=f"choose one of {', '.join(others)}.")
    decided = sorted(set(chosen) & DECIDED_OPTIONS)
    if decided:
        what = f"-O {', '.join(decided)} would be ignored: the package decides it."
        raise UsageError("E_OPTION", what, fix="leave it out; `polypda source-package --tap` decides the tap.")


def _start(run: RunFolder, config: AdaptConfig) -> Path:
    if config.source_package is not None:
        raise DataError(
            "E_START_MISSING",
            "that run was made from a source package: it learnt no source frame of its own.",
            where=run.name,
            fix="hand that package on.",
        )
    return RunModels(run, config).start if config.start_from else finished_start(run)


def _unusable(folder: Path, what: str) -> DataError:
    return DataError(
        "E_SOURCE_PACKAGE",
        f"is no source package that can be used: {what}.",
        where=folder.name,
        fix="have it written again with this version: `polypda source-package RUN --out FOLDER`.",
    )
