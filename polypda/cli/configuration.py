"""The option ``--data-root`` of every command: where cohorts lie, and whose manifests count.

From the options of `polypda adapt`, as parsed, to a resolved configuration; `polypda matrix` takes them as well.
"""

from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from polypda.cohorts.catalogue import use_data_root
from polypda.errors import UsageError
from polypda.workflows.runs.places import Places

if TYPE_CHECKING:
    from polypda.training.config import AdaptConfig


VARIABLE = "POLYPDA_DATA"


def name_data_root(root: Path | None) -> Path | None:
    """Let the manifests in a command's data root count, and hand the option's value on."""
    use_data_root(root)
    return root


DataRoot = Annotated[
    Path,
    typer.Option(
        "--data-root", envvar=VARIABLE, callback=name_data_root, help="Folder that holds the cohorts' folders."
    ),
]
OptionalDataRoot = Annotated[
    Path | None,
    typer.Option(
        "--data-root", envvar=VARIABLE, callback=name_data_root, help="Folder below which the cohorts' files lie."
    ),
]


TOP = (
    "seed",
    "start_steps",
    "adapt_steps",
    "checkpoint_every",
    "selector",
    "guard",
    "parts",
    "batch_norm",
    "final_statistics",
    "clip_norm",
    "oracle",
    "target_labels",
    "allow_leakage",
)
SECTIONS = {
    "network": ("architecture", "encoder", "levels", "two_branch_quirk"),
    "data": ("size", "fit", "batch_size", "augmentation", "prevalence", "box_supervision"),
    "compute": ("device", "precision", "processes", "threads", "workers"),
}
"""Which option belongs to which section of the configuration; they have the configuration's names."""


def default_cache() -> Path:
    """Where decoded frames and phantoms are kept: POLYPDA_CACHE, else the user's cache folder."""
    if "POLYPDA_CACHE" in os.environ:
        return Path(os.environ["POLYPDA_CACHE"])
    return Path(os.environ.get("XDG_CACHE_HOME", Path.home() / ".cache")) / "polypda"


def places_of(options: Mapping[str, Any]) -> Places:
    """Where the options say that things lie. Raises: UsageError E_OPTION."""
    return Places(
        data_root=Path(options["data_root"]),
        cache=Path(options["cache_dir"]) if options["cache_dir"] else default_cache(),
        encoder_weights=options["encoder_weights"],
        start=Path(options["start"]) if options["start"] else None,
        overlays=_overlay_count(options["overlays"]),
    )


def configuration(
    options: Mapping[str, Any], *, source: str, target: str, method: str, method_options: dict[str, str]
) -> AdaptConfig:
    """Resolve the options of one run over their preset.

    Raises: what :func:`polypda.workflows.runs.configure.resolve_config` raises; DataError E_WEIGHTS_MISSING.
    """
    from polypda.data.inference import parse_inference
    from polypda.networks.encoder_sources import BUNDLED
    from polypda.networks.encoder_weights import IMAGENET, NONE
    from polypda.workflows.runs.configure import resolve_config, weights_name

    phantom, weights = options["phantom"], options["encoder_weights"]
    top = {name: options[name] for name in TOP}
    top["phantom_frames"] = options["phantom_frames"] if phantom else None
    if weights is not None:
        is_word = weights.lower() in (NONE, BUNDLED, IMAGENET)
        top["encoder_weights"] = weights.lower() if is_word else weights_name(Path(weights).expanduser())
    if options["inference"] is not None:
        top["inference"] = parse_inference(options["inference"])
    sections = {section: {name: options[name] for name in names} for section, names in SECTIONS.items()}
    sections["network"]["two_branch_quirk"] = options["two_branch_quirk"] or None
    return resolve_config(
        source=source,
        target=target,
        method=method,
        preset_name=options["preset"] or ("quick" if phantom else "standard"),
        phantom=phantom,
        top=top,
        sections=sections,
        options=method_options,
    )


def _overlay_count(text: str) -> int | None:
    if text == "all":
        return None
    if not text.isdecimal():
        raise UsageError("E_OPTION", f"--overlays {text} is neither a number nor 'all'.", fix="e.g. --overlays 12")
    return int(text)
