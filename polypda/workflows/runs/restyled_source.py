"""The source of a run in the target's style, where the run's method asks for that."""

from __future__ import annotations

import json
from copy import deepcopy
from pathlib import Path

import torch

from polypda.data.cache import CachedFrames
from polypda.errors import DataError
from polypda.methods.registry import method_options
from polypda.networks.registry import load_segmenter
from polypda.networks.segmenter import Segmenter
from polypda.stylisation.appearance import layer_weights
from polypda.stylisation.restyled_frames import EncoderMaps, Stylisation
from polypda.training.config import AdaptConfig, Compute
from polypda.training.devices import open_fabric
from polypda.training.progress import Progress
from polypda.training.run_folder import RunFolder, write_json
from polypda.workflows.runs.trained_models import INITIAL, kept

FOLDER = "stylised"
"""Below the cache folder."""
RECORD = "stylisation.json"


def restyled_source(
    run: RunFolder, source: CachedFrames, target: CachedFrames, start: Path, cache: Path, progress: Progress
) -> CachedFrames | None:
    """The source as the run's method is to learn it: restyled where its options ask for that, else None (as it is).

    The encoder is the run's pretrained one; where nothing was pretrained, that of the source-only start. What was
    computed before, in this or another run, is taken from the cache; which it was is written into the run.

    Raises: DataError E_STYLISATION_CACHE, E_STYLE_EMPTY, E_DATA_CHANGED; UsageError E_FEATURE_TAP, E_STYLE_LAYERS.
    """
    config = run.config()
    options = method_options(config.method, {**config.supervised, **config.options})
    if options.restyling is None:
        return None
    encoder, device = _encoder(config, run, start), device_of(config.compute)
    stylisation = Stylisation(source, target, encoder, options.restyling, cache / FOLDER, device)
    _record(run, {**stylisation.record, "cache": stylisation.key})
    progress.begin("stylise", 0, len(source))
    try:
        return stylisation.frames(lambda done, _: progress.advance(done))
    finally:
        progress.end()


def _record(run: RunFolder, restyling: dict[str, object]) -> None:
    """Write once by what the source is restyled. Raises: DataError E_DATA_CHANGED where it was by something else."""
    path = run.folder / RECORD
    if not path.is_file():
        write_json(path, restyling)
        return
    then = json.loads(path.read_text(encoding="utf-8"))
    different = [name for name in restyling if then.get(name) != restyling[name]]
    if different:
        raise DataError(
            "E_DATA_CHANGED",
            f"its source was restyled otherwise: {', '.join(different)} differs.",
            where=run.name,
            fix="go on with the version that began the run, or start a new one.",
        )


def require_restyling(config: AdaptConfig, segmenter: Segmenter) -> None:
    """Check what can be checked of a wanted restyling before any frame is looked at; the segmenter stays as it is.

    Raises: UsageError E_FEATURE_TAP, E_STYLE_LAYERS.
    """
    options = method_options(config.method, {**config.supervised, **config.options})
    if options.restyling is not None:
        size = config.data.size
        maps = EncoderMaps(deepcopy(segmenter))(torch.zeros(1, 3, size, size))
        layer_weights(options.restyling, len(maps))


def device_of(compute: Compute) -> torch.device:
    """The device that one process computes on, with the wanted number of threads."""
    if compute.threads:
        torch.set_num_threads(compute.threads)
    return open_fabric(compute, one_process=True).device


def _encoder(config: AdaptConfig, run: RunFolder, start: Path) -> EncoderMaps:
    weights = start if config.encoder_weights == "none" else kept(run, INITIAL)
    return EncoderMaps(load_segmenter(config.network, weights).to(device_of(config.compute)))
