"""The adapted models of several runs as one: late fusion, an ensemble, told as such."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from polypda.errors import UsageError
from polypda.networks.late_fusion import FusedSegmenter
from polypda.networks.registry import load_segmenter
from polypda.training.config import AdaptConfig
from polypda.training.run_folder import RunFolder
from polypda.workflows.runs.stages import adapts
from polypda.workflows.runs.trained_models import trained_models

FUSED = "fused"
"""The fusion's name among the models."""


def fused_model(first: RunFolder, others: Sequence[Path]) -> FusedSegmenter:
    """The mean of the adapted models' probabilities, of the first run and the others.

    FCAN fuses models trained on sources restyled in several directions (``-O stylise=false`` is one of them).
    Raises: UsageError E_FUSION_RUNS where a run is named twice, adapted nothing, or differs in its cohorts, its split
        seed or its geometry; DataError E_RUN_MISSING, E_RUN_UNFINISHED.
    """
    runs = [first, *(RunFolder.open(folder) for folder in others)]
    places = [run.folder.resolve() for run in runs]
    if len(set(places)) < len(places):
        raise _not_fusible(first.name, "a run is named twice.")
    own = first.config()
    members = []
    for run in runs:
        config = run.config()
        if different := _difference(own, config):
            raise _not_fusible(run.name, f"its {different} differs from that of {first.name}.")
        if not adapts(config.method):
            raise _not_fusible(run.name, f"'{config.method}' adapts nothing.")
        members.append(load_segmenter(config.network, trained_models(run, config)[config.method]))
    return FusedSegmenter(members)


def fusion_note(first: RunFolder, others: Sequence[Path]) -> str:
    """What must be said of it."""
    names = ", ".join([first.name, *(RunFolder.open(folder).name for folder in others)])
    return (
        f"{FUSED} is the mean probability of the adapted models of {names}: an ensemble. Part of its "
        "gain would come to any ensemble; compare it with its members."
    )


def _difference(one: AdaptConfig, other: AdaptConfig) -> str:
    facts = {
        "source": (one.source, other.source),
        "target": (one.target, other.target),
        "phantom": (one.phantom, other.phantom),
        "input size or crop": (one.data.grid, other.data.grid),
        "inference": (one.inference, other.inference),
    }
    return next((name for name, (here, there) in facts.items() if here != there), "")


def _not_fusible(run: str, what: str) -> UsageError:
    return UsageError("E_FUSION_RUNS", what, where=run, fix="fuse runs of the same source, target and input size.")
