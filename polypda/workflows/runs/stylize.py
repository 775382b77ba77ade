"""Source frames in the target's style: for a run whose method asks for that, and as pictures to look at before."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from copy import deepcopy
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import torch
from numpy.typing import NDArray
from pydantic import ValidationError

from polypda.cache import STYLIZED
from polypda.cohorts.frames import Split
from polypda.cohorts.opening import open_cohort
from polypda.cohorts.pairs import check_pair
from polypda.cohorts.splits import require_split
from polypda.data.cache import CachedFrames, FrameCache
from polypda.data.sampling import Stream, seed_of
from polypda.errors import DataError, UsageError, nearest
from polypda.evaluation.cases.run_metadata import PHANTOM_BANNER
from polypda.files import require_writable, write_json, write_png
from polypda.networks.encoder_weights import NONE
from polypda.networks.registry import SegmenterSpec, build_segmenter, load_segmenter
from polypda.networks.segmenter import Segmenter, check_input_size
from polypda.reporting.overlays.drawing import PAPER, Text, text_block
from polypda.reporting.report_folders import new_folder
from polypda.stylization.appearance import StylizationSettings, layer_weights
from polypda.stylization.stylized_frames import GROUP, EncoderMaps, Stylization
from polypda.training.config import AdaptConfig, Compute, DataConfig
from polypda.training.engine import open_fabric
from polypda.training.progress import Progress
from polypda.training.run_folder import RunFolder
from polypda.workflows.runs.cohort_pair import render_phantoms
from polypda.workflows.runs.paths import Paths
from polypda.workflows.runs.trained_models import RunModels

RECORD = "stylization.json"


def stylized_source(
    run: RunFolder, source: CachedFrames | None, target: CachedFrames, start: Path, cache: Path, progress: Progress
) -> CachedFrames | None:
    """The source as the run's method is to learn it: restyled where its options ask for that, else None (as it is).

    The encoder is the run's pretrained one; where nothing was pretrained, that of the source-only start. What was
    computed before, in this or another run, is taken from the cache; which it was is written into the run.

    Raises: DataError E_STYLISATION_CACHE, E_STYLE_EMPTY, E_DATA_CHANGED; UsageError E_FEATURE_TAP, E_STYLE_LAYERS.
    """
    config = run.config()
    options = config.of_method
    if options.stylizing is None or source is None:
        return None
    encoder, device = _encoder(config, run, start), device_of(config.compute)
    stylization = Stylization(source, target, encoder, options.stylizing, cache / STYLIZED.name, device)
    _record(run, {**stylization.record, "cache": stylization.key})
    progress.begin("stylize", 0, len(source))
    try:
        return stylization.frames(lambda done, _: progress.advance(done))
    finally:
        progress.end()


def _record(run: RunFolder, stylizing: dict[str, object]) -> None:
    """Write once by what the source is restyled. Raises: DataError E_DATA_CHANGED where it was by something else."""
    path = run.folder / RECORD
    if not path.is_file():
        write_json(path, stylizing, recorded=True)
        return
    then = json.loads(path.read_text(encoding="utf-8"))
    different = [name for name in stylizing if then.get(name) != stylizing[name]]
    if different:
        raise DataError(
            "E_DATA_CHANGED",
            f"its source was restyled otherwise: {', '.join(different)} differs.",
            where=run.name,
            fix="go on with the version that began the run, or start a new one.",
        )


def require_stylizing(config: AdaptConfig, segmenter: Segmenter) -> None:
    """Check what can be checked of a wanted restyling before any frame is looked at; the segmenter stays as it is.

    Raises: UsageError E_FEATURE_TAP, E_STYLE_LAYERS.
    """
    options = config.of_method
    if options.stylizing is not None:
        size = config.data.size
        maps = EncoderMaps(deepcopy(segmenter))(torch.zeros(1, 3, size, size))
        layer_weights(options.stylizing, len(maps))


def device_of(compute: Compute) -> torch.device:
    """The device that one process computes on, with the wanted number of threads."""
    if compute.threads:
        torch.set_num_threads(compute.threads)
    return open_fabric(compute, one_process=True).device


def _encoder(config: AdaptConfig, run: RunFolder, start: Path) -> EncoderMaps:
    weights = start if config.encoder_weights == "none" else RunModels(run, config).initial
    return EncoderMaps(load_segmenter(config.network, weights).to(device_of(config.compute)))


PANEL_PX = 320
GAP_PX = 8


@dataclass(frozen=True)
class Preview:
    """What to restyle and how; network: whose encoder tells what content and style are."""

    source: str
    target: str
    frames: int = 8
    phantom_frames: int = 0
    """Rendered frames per cohort; 0: the cohorts' own frames."""

    seed: int = 0
    network: SegmenterSpec = field(default_factory=SegmenterSpec)
    data: DataConfig = field(default_factory=DataConfig)  # type: ignore[arg-type]
    compute: Compute = field(default_factory=Compute)
    settings: StylizationSettings = field(default_factory=StylizationSettings)


def stylization_options(values: Mapping[str, Any]) -> StylizationSettings:
    """Validated settings from NAME=VALUE texts. Raises: UsageError E_METHOD_OPTION."""
    known = StylizationSettings.model_fields
    for name in values:
        if name not in known:
            raise UsageError(
                "E_METHOD_OPTION",
                f"the stylization has no option '{name}'.{nearest(name, known)}",
                fix=f"it has {', '.join(known)}.",
            )
    try:
        return StylizationSettings.model_validate(dict(values))
    except ValidationError as error:
        first = error.errors()[0]
        raise UsageError(
            "E_METHOD_OPTION",
            f"the stylization cannot take {first['loc'][0]}={first['input']!r}: {first['msg']}.",
            fix="`polypda methods fcan` lists the options with their meaning.",
        ) from error


def stylize(preview: Preview, paths: Paths, out: Path, progress: Progress) -> Path:
    """Restyle evenly spaced source frames and write a before/after picture of each; no mask file is opened.

    Returns: the folder: NNN.png per frame (before, after, a target frame) and stylization.json with the settings, what
    the encoder and the target were, and each frame's content and style distances at start and end.

    Raises: UsageError E_SAME_COHORT, E_COHORT_UNKNOWN, E_INPUT_SIZE, E_FEATURE_TAP, E_STYLE_LAYERS; LeakageError
        E_SHARED_FRAMES; DataError E_OUT_EXISTS and what opening cohorts raises.
    """
    check_pair(preview.source, preview.target)
    if out.exists():
        raise DataError("E_OUT_EXISTS", "something lies there already.", where=out, fix="choose another folder.")
    require_writable(out)
    require_writable(paths.cache)
    torch.manual_seed(seed_of(preview.seed, Stream.STEP))
    segmenter = build_segmenter(preview.network.model_copy(update={"encoder_weights": paths.encoder_weights or NONE}))
    check_input_size(torch.empty(1, 3, preview.data.size, preview.data.size), segmenter.stride)
    maps = EncoderMaps(deepcopy(segmenter))(torch.zeros(1, 3, preview.data.size, preview.data.size))
    layer_weights(preview.settings, len(maps))
    device = device_of(preview.compute)
    source, target = _opened(preview, paths)
    stylization = Stylization(
        source, target, EncoderMaps(segmenter.to(device)), preview.settings, paths.cache / STYLIZED.name, device
    )
    progress.begin("stylize", 0, len(source))
    rows = []
    try:
        with new_folder(out) as work:
            for start in range(0, len(source), GROUP):
                group = list(range(start, min(start + GROUP, len(source))))
                stylized = stylization.stylized(group)
                after = stylized.images.mul(255).round().byte().permute(0, 2, 3, 1).cpu().numpy()
                for index, image, first, last in zip(group, after, stylized.first, stylized.last, strict=True):
                    shown = target.images[index * len(target) // len(source)]
                    _write_image(work / f"{index:03d}.png", preview, source, index, image, shown)
                    rows.append({"frame": source.frames[index].frame, "first": first.tolist(), "last": last.tolist()})
                progress.advance(group[-1] + 1)
            write_json(work / RECORD, {**stylization.record, "distances": "content, weighted style", "frames": rows})
    finally:
        progress.end()
    return out


def _opened(preview: Preview, paths: Paths) -> tuple[CachedFrames, CachedFrames]:
    """The chosen source frames and all target training frames, cached without labels."""
    cohorts = (preview.source, preview.target)
    roots = dict.fromkeys(cohorts, paths.data_root)
    if preview.phantom_frames:
        roots = render_phantoms(cohorts, preview.phantom_frames, 0, 0, paths.cache / "phantoms")
    opened = [open_cohort(cohort, roots[cohort], labels=False) for cohort in cohorts]
    source, target = (require_split(cohort, Split.TRAIN) for cohort in opened)
    cache = FrameCache(paths.cache / "frames", preview.data.grid)
    chosen = [source[index] for index in _evenly(len(source), preview.frames)]
    return cache.unlabelled(chosen), cache.unlabelled(target)


def _evenly(count: int, wanted: int) -> list[int]:
    return np.unique(np.linspace(0, count - 1, min(count, wanted)).round().astype(int)).tolist()


def _write_image(
    path: Path, preview: Preview, source: CachedFrames, index: int, after: NDArray[np.uint8], target: NDArray[np.uint8]
) -> None:
    titles = [f"{preview.source}/{source.frames[index].frame}", f"in the style of {preview.target}"]
    panels = [
        _panel(image, title, preview.phantom_frames > 0)
        for image, title in zip(
            (source.images[index], after, target), [*titles, f"a frame of {preview.target}"], strict=True
        )
    ]
    height = max(panel.shape[0] for panel in panels)
    row: list[NDArray[np.uint8]] = []
    for panel in panels:
        below = height - panel.shape[0]
        row += [_paper(height, GAP_PX), np.pad(panel, ((0, below), (0, 0), (0, 0)), constant_values=PAPER[0])]
    drawing = np.hstack([*row, _paper(height, GAP_PX)])
    write_png(path, drawing)


def _panel(image: NDArray[np.uint8], title: str, phantom: bool) -> NDArray[np.uint8]:
    enlarged = cv2.resize(image, (PANEL_PX, PANEL_PX), interpolation=cv2.INTER_CUBIC)
    lines: Sequence[Text] = [Text(title, 15), *([Text(PHANTOM_BANNER, 11)] if phantom else [])]
    return np.vstack([enlarged, text_block(list(lines), PANEL_PX, padding_px=4)])


def _paper(height: int, width: int) -> NDArray[np.uint8]:
    return np.full((height, width, 3), PAPER[0], np.uint8)
