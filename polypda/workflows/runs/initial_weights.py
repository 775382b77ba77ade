"""What the encoder of a run starts from: what the user asked for, else what the preset says, told the same everywhere.

A configuration holds what is told of the weights (``none``, ``imagenet``, ``bundled (…)`` or a file's name and hash),
never a place; :class:`~polypda.workflows.runs.places.Places` holds what the user gave.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

from polypda.networks.bundled_weights import BUNDLED, PACKAGES, bundled_weights, has_bundled_weights
from polypda.networks.encoder_weights import NONE
from polypda.networks.segmenter import Segmenter
from polypda.training.config import AdaptConfig
from polypda.training.run_folder import RunFolder, write_json
from polypda.workflows.runs.places import Places
from polypda.workflows.runs.presets import PRESETS

RECORD = "initial-weights.json"


def told_weights(given: str | None, base: Mapping[str, Any], encoder: str) -> str:
    """Return what a configuration says of the weights.

    Args: given: what the user asked for, files already told by name; None: nothing. base: the preset, whose
        ``encoder_weights`` hold where nothing is given. Bundled weights of a preset hold for encoders that have some;
        others then start from none.
    Raises: UsageError E_WEIGHTS_BUNDLED where they were asked for and the encoder has none; DataError
        E_WEIGHTS_PACKAGE.
    """
    if given is None:
        given = str(base.get("encoder_weights", NONE))
        if given == BUNDLED and not has_bundled_weights(encoder):
            return NONE
    return bundled_weights(encoder).told if given == BUNDLED else given


def weights_to_load(config: AdaptConfig, places: Places) -> str:
    """Return what a segmenter is built with: none, bundled, imagenet or a path."""
    if places.encoder_weights is not None:
        return places.encoder_weights
    return BUNDLED if config.encoder_weights.startswith(f"{BUNDLED} (") else config.encoder_weights


def record_initial_weights(run: RunFolder, segmenter: Segmenter, places: Places) -> None:
    """Write what a run's segmenter starts from, and why where the preset's weights could not be taken."""
    note = _preset_note(run.config(), places)
    write_json(run.folder / RECORD, {**segmenter.describe_initial_weights(), **({"note": note} if note else {})})


def recorded_note(run: RunFolder) -> str:
    """What reports have to say of a run's start beside its name; an empty string where there is nothing."""
    try:
        return str(json.loads((run.folder / RECORD).read_text(encoding="utf-8")).get("note", ""))
    except FileNotFoundError:  # a run from a source package
        return ""


def _preset_note(config: AdaptConfig, places: Places) -> str:
    wanted = PRESETS.get(config.preset, {}).get("encoder_weights", NONE)
    given = places.encoder_weights is not None or has_bundled_weights(config.network.encoder)
    if given or wanted != BUNDLED or config.encoder_weights != NONE:
        return ""
    return (
        f"The encoder started from random weights: the preset's bundled ones are of {next(iter(PACKAGES))}, "
        f"not of {config.network.encoder}."
    )
