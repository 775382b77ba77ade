"""From a preset and the user's wishes to a resolved configuration, and what the encoder starts from.

A configuration holds what is told of the weights (``none``, ``imagenet``, ``bundled (…)`` or a file's name and hash),
never a place; :class:`~polypda.workflows.runs.paths.Paths` holds what the user gave.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from pydantic import ValidationError

from polypda.cohorts.pairs import check_pair
from polypda.cohorts.sub_cohorts import canonical
from polypda.data.labels import BoxSupervision
from polypda.errors import DataError, UsageError
from polypda.files import write_json
from polypda.methods.contract import MethodOptions
from polypda.methods.registry import method_class, method_options
from polypda.methods.segmentation import SupervisedOptions
from polypda.networks.encoder_weights import BUNDLED, NONE, PACKAGES, bundled_weights, has_bundled_weights
from polypda.networks.registry import network_of
from polypda.networks.segmenter import Segmenter
from polypda.networks.smp_library import plain_architecture
from polypda.options import with_present_names
from polypda.training.config import AdaptConfig
from polypda.training.criteria import ORACLE as ORACLE_RULE
from polypda.training.run_folder import RunFolder
from polypda.workflows.runs.paths import Paths
from polypda.workflows.runs.presets import PRESETS, preset

RECORD = "initial-weights.json"
OF_PHANTOMS = ("phantom_frames", "phantom_test_frames")


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
    return bundled_weights(encoder).description if given == BUNDLED else given


def weights_to_load(config: AdaptConfig, paths: Paths) -> str:
    """Return what a segmenter is built with: none, bundled, imagenet or a path."""
    if paths.encoder_weights is not None:
        return paths.encoder_weights
    return BUNDLED if config.encoder_weights.startswith(f"{BUNDLED} (") else config.encoder_weights


def record_initial_weights(run: RunFolder, segmenter: Segmenter, paths: Paths) -> None:
    """Write what a run's segmenter starts from, and why where the preset's weights could not be taken."""
    note = _preset_note(run.config(), paths)
    write_json(run.folder / RECORD, {**segmenter.describe_initial_weights(), **({"note": note} if note else {})})


def recorded_note(run: RunFolder) -> str:
    """What reports have to say of a run's start beside its name; an empty string where there is nothing."""
    try:
        return str(json.loads((run.folder / RECORD).read_text(encoding="utf-8")).get("note", ""))
    except FileNotFoundError:  # a run from a source package
        return ""


def _preset_note(config: AdaptConfig, paths: Paths) -> str:
    wanted = PRESETS.get(config.preset, {}).get("encoder_weights", NONE)
    given = paths.encoder_weights is not None or has_bundled_weights(config.network.encoder)
    if given or wanted != BUNDLED or config.encoder_weights != NONE:
        return ""
    return (
        f"The encoder started from random weights: the preset's bundled ones are of {next(iter(PACKAGES))}, "
        f"not of {config.network.encoder}."
    )


def resolve_config(
    *,
    source: str,
    target: str,
    method: str,
    preset_name: str,
    phantom: bool,
    top: dict[str, Any],
    sections: dict[str, dict[str, Any]],
    options: dict[str, Any],
) -> AdaptConfig:
    """Lay the user's values (None: not given) over a preset.

    Args:
        top: fields of AdaptConfig itself; encoder_weights as :func:`told_weights` takes them.
        sections: values for ``network``, ``data`` and ``compute``.
        options: the method's options, as texts or values.
    Raises: UsageError E_PRESET_UNKNOWN, E_METHOD_UNKNOWN, E_METHOD_OPTION, E_TARGET_LABELS, E_OPTION; what
        :func:`check_pair` and :func:`told_weights` raise.
    """
    top, sections, options = (with_present_names(given) for given in (top, sections, options))
    check_pair(source, target, allow_leakage=bool(top.get("allow_leakage")))
    source, target = canonical(source), canonical(target)
    method_class(method)
    base = preset(preset_name)
    values: dict[str, Any] = {
        **{name: value for name, value in base.items() if name not in ("encoder_weights", *OF_PHANTOMS)},
        "options": {**_preset_options(base["options"], method), **options},
        "source": source,
        "target": target,
        "method": method,
        "preset": preset_name,
        "phantom": phantom,
        **_given(top),
    }
    if phantom:
        if "phantom_frames" not in values:  # else the user knows how many
            values.setdefault("phantom_test_frames", base.get("phantom_test_frames", 0))
        values.setdefault("phantom_frames", base["phantom_frames"])
    for section, given in sections.items():
        values[section] = {**base[section], **_given(given)}
    _keep_what_fits(values["network"], base["network"], sections["network"])
    encoder = values["network"].get("encoder") or network_of(values["network"]["architecture"]).encoder
    values["encoder_weights"] = told_weights(values.get("encoder_weights"), base, encoder)
    asked = method_options(method, options if not method_class(method).plays_on_target else values["options"])
    if not values.get("target_labels"):
        _require_no_target_labels(values, asked)
    if asked.pseudo_labels is not None and asked.learns_target_labels:
        what = f"'{method}' would learn the target's pseudo-labels and its labels at once."
        fix = "leave self-training out, or the semi-supervised term."
        raise UsageError("E_METHOD_COMBINATION", what, fix=fix)
    _share_supervised_options(values)
    config = _validated(values)
    _require_effect(config)
    return config


def with_processes(config: AdaptConfig, processes: int) -> AdaptConfig:
    """The same training by another number of processes. Raises: UsageError E_OPTION where they share no batch."""
    values = config.model_dump()
    return _validated(values | {"compute": {**values["compute"], "processes": processes}})


def _validated(values: dict[str, Any]) -> AdaptConfig:
    try:
        return AdaptConfig.model_validate(values)
    except ValidationError as error:
        first = error.errors()[0]
        index = ".".join(str(part) for part in first["loc"])
        told = f"{index}={first['input']!r}: " if index else ""
        raise UsageError(
            "E_OPTION",
            f"{told}{first['msg']}.",
            fix="`polypda adapt --help` lists the options.",
        ) from error


def _require_effect(config: AdaptConfig) -> None:
    """Refuse settings that would change nothing. Raises: UsageError E_OPTION."""
    ignored = ""
    if config.data.polyp_free and config.data.box_supervision is BoxSupervision.PROJECTION:
        ignored = "--polyp-free: a box that teaches by its projections does not tell what is to be covered"
    if config.frozen_stages and "tent" in config.method.split("+"):
        ignored = "--frozen-stages: tent learns scale and shift of every batch-norm layer, and nothing else"
    if ignored:
        raise UsageError("E_OPTION", f"nothing would come of {ignored}.", fix="leave it out.")


def _keep_what_fits(network: dict[str, Any], base: dict[str, Any], given: dict[str, Any]) -> None:
    """Another architecture than the preset's has decoder settings of its own, and perhaps an encoder."""
    architecture = given.get("architecture")
    if architecture is None or plain_architecture(architecture) == plain_architecture(base["architecture"]):
        return
    network.pop("decoder", None)
    if network_of(architecture).own_encoder and not given.get("encoder"):
        network.pop("encoder")


def _require_no_target_labels(values: dict[str, Any], options: MethodOptions) -> None:
    if values.get("oracle") or values["method"] == "oracle":
        what = "the oracle is trained on the target's labels, and adaptation must not see any."
    elif values.get("selector") == ORACLE_RULE:
        what = "the selector 'oracle' chooses the checkpoint on the target's labels, and adaptation must not see any."
    elif options.learns_target_labels:
        what = "the semi-supervised term learns from the target's labels, and adaptation must not see any."
    else:
        return
    raise UsageError("E_TARGET_LABELS", what, fix="add --target-labels to permit it; every table will say so.")


def _share_supervised_options(values: dict[str, Any]) -> None:
    """What decides the supervised part holds for the control as well, or it would be no control."""
    shared = {name: value for name, value in values["options"].items() if name in SupervisedOptions.model_fields}
    values["supervised"] = {**values["supervised"], **shared}
    values["options"] = {name: value for name, value in values["options"].items() if name not in shared}
    method_options("source-only", values["supervised"])


def weights_name(path: Path) -> str:
    """What a run tells of a local weights file: its name and content, never its place."""
    try:
        digest = hashlib.sha256(path.read_bytes()).hexdigest()[:12]
    except OSError as error:
        raise DataError(
            "E_WEIGHTS_MISSING",
            f"cannot be read: {error.strerror}.",
            where=path,
            fix="check the path of --encoder-weights.",
        ) from error
    return f"{path.name} (sha256 {digest})"


def _given(values: dict[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in values.items() if value is not None}


def _preset_options(options: dict[str, dict[str, Any]], method: str) -> dict[str, Any]:
    """What a preset says of every part of a sum."""
    merged: dict[str, Any] = {}
    for part in method.split("+"):
        merged |= options.get(method_class(part).preset_family or part, {})
    return merged
