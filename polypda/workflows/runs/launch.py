"""From options by their names to a started run: what `polypda adapt` and :func:`polypda.adapt` share."""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping
from pathlib import Path
from typing import Any

from polypda.errors import UsageError, nearest
from polypda.methods.index import DEFAULT_METHOD
from polypda.networks.encoder_weights import BUNDLED, IMAGENET, NONE
from polypda.options import options_of, spelled
from polypda.training.config import AdaptConfig
from polypda.training.run_folder import RunFolder, free_folder, run_name
from polypda.workflows.runs.adapt import check_start, open_data, start_run
from polypda.workflows.runs.cohort_pair import CohortPair
from polypda.workflows.runs.configure import OF_PHANTOMS, resolve_config, weights_name
from polypda.workflows.runs.early_checks import no_pair
from polypda.workflows.runs.paths import Paths
from polypda.workflows.runs.source_package import from_package, read_source_package

OF_THE_RUN = ("source", "target", "method", "preset", "phantom")
"""Options that :func:`configuration` takes by themselves."""


def option_names() -> tuple[str, ...]:
    """The names of all options of the configuration, as `polypda adapt --help` shows them, with underscores."""
    return tuple(known.name for known in options_of(AdaptConfig))


def all_options(given: Mapping[str, Any]) -> dict[str, Any]:
    """Every option by name, None where it is not given. Raises: UsageError E_OPTION, with the nearest name."""
    names = option_names()
    for name in given:
        if name not in names:
            raise UsageError(
                "E_OPTION",
                f"there is no option '{name}'.{nearest(name, names)}",
                fix="`polypda adapt --help` lists them; options of a method go into method_options.",
            )
    return {**dict.fromkeys(names), **given}


def configuration(
    options: Mapping[str, Any], *, source: str, target: str, method: str, method_options: Mapping[str, Any]
) -> AdaptConfig:
    """Resolve the options of one run over their preset.

    options: a value or None (not given) for each of :func:`option_names`.
    Raises: what :func:`polypda.workflows.runs.configure.resolve_config` raises; DataError E_WEIGHTS_MISSING.
    """
    phantom, weights = bool(options["phantom"]), options["encoder_weights"]
    wished: dict[str, dict[str, Any]] = {"": {}, "network": {}, "data": {}, "compute": {}}
    for known in options_of(AdaptConfig):
        if known.name not in OF_THE_RUN:
            wished[known.section][known.name] = options[known.name]
    top = wished.pop("")
    top |= {name: options[name] if phantom else None for name in OF_PHANTOMS}
    if weights is not None:
        is_word = str(weights).lower() in (NONE, BUNDLED, IMAGENET)
        top["encoder_weights"] = weights.lower() if is_word else weights_name(Path(weights).expanduser())
    return resolve_config(
        source=source,
        target=target,
        method=method,
        preset_name=options["preset"] or ("quick" if phantom else "standard"),
        phantom=phantom,
        top=top,
        sections=wished,
        options=dict(method_options),
    )


def launch(
    options: Mapping[str, Any],
    paths: Paths,
    *,
    method_options: Mapping[str, Any],
    source_package: Path | None = None,
    out: Path | None = None,
    before_data: Callable[[AdaptConfig], None] = lambda config: None,
) -> tuple[RunFolder, CohortPair]:
    """Check all that can be checked, open (or render) the data and create the run's folder.

    Args:
        options: as :func:`configuration` takes them. out: the folder; by default runs/SOURCE-to-TARGET-METHOD-sSEED.
        before_data: called when all is checked, before frames are rendered or read.
    Raises: UsageError E_COHORTS; what configuration, opening the data and creating the run raise.
    """
    package = read_source_package(source_package) if source_package is not None else None
    source, target = package.facts.source if package else options["source"], options["target"]
    if source is None or target is None:
        raise no_pair()
    method = options["method"] or DEFAULT_METHOD
    config = configuration(options, source=source, target=target, method=method, method_options=method_options)
    if package is not None:
        config = from_package(config, package, method_options)
    folder = out or free_folder(Path("runs"), run_name(config))
    segmenter = check_start(folder, config, paths, package)
    before_data(config)
    pair = open_data(config, paths)
    return start_run(folder, config, paths, pair, segmenter, package), pair


def reopen(folder: Path, paths: Paths) -> tuple[RunFolder, CohortPair]:
    """An interrupted run with its data. Raises: DataError E_RUN_MISSING; what opening the data raises."""
    run = RunFolder.open(folder)
    return run, open_data(run.config(), paths, run)


def require_taken(given: Collection[str], *, source_package: bool, phantom: bool) -> None:
    """Refuse options of a new run that would be ignored; given: their names. Raises: UsageError E_OPTION."""
    packed = {known.name for known in options_of(AdaptConfig) if known.option.by_package} | {"start"}
    if source_package and (decided := sorted(packed.intersection(given))):
        raise UsageError(
            "E_OPTION",
            f"{spelled(decided)} would be ignored: the source package decides it, or has no frames.",
            fix="leave it out.",
        )
    if not phantom and (rendering := sorted(set(OF_PHANTOMS).intersection(given))):
        what = f"{spelled(rendering)} is for phantoms." if len(rendering) == 1 else f"{spelled(rendering)} are."
        raise UsageError("E_OPTION", what, fix="add --phantom, or leave it out.")
